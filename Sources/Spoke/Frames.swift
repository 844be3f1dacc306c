public import MailModel

/// What host and stage say to each other. Frames to one side arrive in the order in which they were sent; content does
/// not travel in them (``JobFrame/extents``, ``UpFrame/piece(draft:chunk:octets:)``).
///
/// A job: `job` → `outcome`. The host never repeats a job's number, so an outcome for a job it has given up is ignored.
/// A draft: `piece`* → `offer` → `verdict`, or → `discard`, or is named by an `outcome`. Each `piece` is answered by
/// `piecesTaken`, when its chunk may be written again.
/// The end: `stop` → `outcome`s of what was open → `stopped`.
public enum DownFrame: Equatable, Sendable {
  case job(JobFrame)
  /// The host would like the job back soon.
  case cancel(job: UInt64)
  case verdict(draft: UInt64, OfferVerdict)
  /// Chunks of the arena that the stage may write again.
  case piecesTaken([UInt32])
  /// `ix_congestion`.
  case congestion(UInt8)
  /// Asks for a `health` frame.
  case askHealth
  case stop
}

/// One message in a stage's hands, with the recipients that are its business.
public struct JobFrame: Equatable, Sendable {
  public var job: UInt64
  public var queueID: QueueID
  /// 1 at the first try at this stage.
  public var attempt: UInt32
  public var acceptedAt: WallTime
  public var envelope: Envelope
  public var contentOctets: UInt64
  /// Where the content lies in the spool.
  public var extents: [ContentExtent]

  public init(
    job: UInt64, queueID: QueueID, attempt: UInt32, acceptedAt: WallTime, envelope: Envelope, contentOctets: UInt64,
    extents: [ContentExtent]
  ) {
    self.job = job
    self.queueID = queueID
    self.attempt = attempt
    self.acceptedAt = acceptedAt
    self.envelope = envelope
    self.contentOctets = contentOctets
    self.extents = extents
  }
}

public enum OfferVerdict: Equatable, Sendable {
  /// Durable.
  case accepted(QueueID)
  /// Still the peer's; the code's class says whether it may try again.
  case refused(DeliveryStatus)
}

public enum UpFrame: Equatable, Sendable {
  /// The instance has started.
  case ready
  /// It could not be made or started; the line says why.
  case startFailed(String)
  /// Octets of a draft's content, in a chunk of the arena.
  case piece(draft: UInt64, chunk: UInt32, octets: UInt32)
  /// A complete message, wanting a verdict.
  case offer(draft: UInt64, port: UInt16, Envelope)
  case discard(draft: UInt64)
  case outcome(OutcomeFrame)
  case log(severity: UInt8, QueueID?, String)
  /// A counter's step, or with `isGauge` a value.
  case metric(name: String, value: Int64, isGauge: Bool)
  /// A complaint about the configuration; line and column count from 1.
  case diagnostic(severity: UInt8, line: UInt32, column: UInt32, String)
  /// Nil: well.
  case health(String?)
  /// Nothing more will come.
  case stopped
}

/// What a stage made of a job: takes effect as a whole or not at all.
public struct OutcomeFrame: Equatable, Sendable {
  public var job: UInt64
  public var emissions: [Emission]
  /// For each recipient of the job in order, run by run.
  public var runs: [Run]

  /// A new message of a filter's making.
  public struct Emission: Equatable, Sendable {
    /// The draft whose pieces are the content; nil: the content of the job's message.
    public var draft: UInt64?
    public var port: UInt16
    public var envelope: Envelope

    public init(draft: UInt64?, port: UInt16, envelope: Envelope) {
      self.draft = draft
      self.port = port
      self.envelope = envelope
    }
  }

  /// The same answer for `count` recipients in a row.
  public struct Run: Equatable, Sendable {
    public var count: UInt32
    public var answer: StageAnswer

    public init(count: UInt32, answer: StageAnswer) {
      self.count = count
      self.answer = answer
    }
  }

  public init(job: UInt64, emissions: [Emission] = [], runs: [Run]) {
    self.job = job
    self.emissions = emissions
    self.runs = runs
  }
}

public enum StageAnswer: Equatable, Sendable {
  case answered(Answer)
  /// Goes on as a recipient of the emission with this index.
  case moved(emission: UInt32)
  /// The stage said nothing: a fault of the stage.
  case unanswered
}

public import MailModel

/// A message as the spool keeps it. Envelope and content never change after they were accepted; only the states of
/// its recipients do. A stage that changes either makes a child message, and the recipients it took along end here
/// as ``RecipientState/moved(to:)``.
public struct StoredMessage: Sendable, Hashable {
  public var id: QueueID
  /// The message that this one was made from: by a filter that changed it, or as a report about it.
  public var parent: QueueID?
  /// When this node took responsibility; a child inherits it from its parent, so age cannot be reset by a filter.
  public var acceptedAt: WallTime
  /// The stage that offered it.
  public var origin: String
  /// How many generated messages (reports) lie between this one and one that came from outside (failure mode E7).
  public var generation: UInt8
  public var envelope: Envelope
  public var contentOctets: UInt64

  public init(
    id: QueueID, parent: QueueID? = nil, acceptedAt: WallTime, origin: String, generation: UInt8 = 0,
    envelope: Envelope, contentOctets: UInt64
  ) {
    self.id = id
    self.parent = parent
    self.acceptedAt = acceptedAt
    self.origin = origin
    self.generation = generation
    self.envelope = envelope
    self.contentOctets = contentOctets
  }
}

/// Where one recipient of a stored message stands. `queued`, `deferred` and `held` are live; the rest are ends.
public enum RecipientState: Sendable, Hashable {
  /// To be handed, or handed, to `stage`. `suspicions` counts the times that a process died while it held this.
  case queued(stage: String, attempts: UInt32, suspicions: UInt8)
  /// To be handed to `stage` again at `until`.
  case deferred(stage: String, until: WallTime, attempts: UInt32, DeliveryStatus)
  /// Kept for an operator, who releases it to `stage`.
  case held(stage: String, attempts: UInt32, reason: String)
  case settled(Settlement, DeliveryStatus)
  /// Failed for good; `report` is the message that tells the originator, nil when nobody may be told.
  case failed(DeliveryStatus, report: QueueID?)
  /// In the dead-letter store.
  case dead(DeliveryStatus)
  /// Goes on as a recipient of another message.
  case moved(to: QueueID)
  /// Removed by an operator.
  case deleted(reason: String)

  public var isLive: Bool {
    switch self {
    case .queued, .deferred, .held: true
    case .settled, .failed, .dead, .moved, .deleted: false
    }
  }
}

/// One durable step. Steps given to the engine together become durable together or not at all.
public enum SpoolChange: Sendable {
  /// A new message with all its recipients at one stage. Seals `content`.
  case accept(StoredMessage, content: ContentID, stage: String)
  /// The named recipients (indices into the envelope's list, ascending) are now in `state`.
  case recipients(QueueID, [Int], RecipientState)
}

/// A content that is being written; meaningless after a restart.
public struct ContentID: Hashable, Sendable {
  public let rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue }
}

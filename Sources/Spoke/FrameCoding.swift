import MailModel

/// How frames are written as octets. The reader trusts nothing: the other side may be a stage gone mad.
///
/// A frame has a kind, which travels in the slot's header (``FrameSender``), and a payload.
extension DownFrame {
  enum Kind: UInt16 {
    case job = 1
    case cancel, verdict, piecesTaken, congestion, askHealth, stop
  }

  func encode() -> (kind: UInt16, payload: [UInt8]) {
    var writer = WireWriter()
    let kind: Kind
    switch self {
    case .job(let job):
      kind = .job
      writer.write(job.job)
      writer.write(job.queueID.rawValue)
      writer.write(job.attempt)
      writer.write(job.acceptedAt.millisecondsSinceEpoch)
      writer.write(job.contentOctets)
      writer.writeList(job.extents) { writer, extent in
        writer.write(extent.segment)
        writer.write(extent.offset)
        writer.write(extent.count)
      }
      writer.write(job.envelope)
    case .cancel(let job):
      kind = .cancel
      writer.write(job)
    case .verdict(let draft, let verdict):
      kind = .verdict
      writer.write(draft)
      switch verdict {
      case .accepted(let id):
        writer.write(true)
        writer.write(id.rawValue)
      case .refused(let status):
        writer.write(false)
        writer.write(status)
      }
    case .piecesTaken(let chunks):
      kind = .piecesTaken
      writer.writeList(chunks) { writer, chunk in writer.write(chunk) }
    case .congestion(let level):
      kind = .congestion
      writer.write(level)
    case .askHealth: kind = .askHealth
    case .stop: kind = .stop
    }
    return (kind.rawValue, writer.octets)
  }

  init(kind: UInt16, payload: [UInt8]) throws(WireCodingError) {
    guard let kind = Kind(rawValue: kind) else { throw .invalid("frame kind") }
    var reader = WireReader(payload)
    switch kind {
    case .job:
      let job = try reader.read(UInt64.self)
      let queueID = QueueID(rawValue: try reader.read(UInt64.self))
      let attempt = try reader.read(UInt32.self)
      let acceptedAt = WallTime(millisecondsSinceEpoch: try reader.read(Int64.self))
      let contentOctets = try reader.read(UInt64.self)
      let extents = try reader.readList(max: Int.max) { reader throws(WireCodingError) in
        ContentExtent(
          segment: try reader.read(UInt32.self), offset: try reader.read(UInt64.self),
          count: try reader.read(UInt32.self))
      }
      self = .job(
        JobFrame(
          job: job, queueID: queueID, attempt: attempt, acceptedAt: acceptedAt, envelope: try reader.readEnvelope(),
          contentOctets: contentOctets, extents: extents))
    case .cancel: self = .cancel(job: try reader.read(UInt64.self))
    case .verdict:
      let draft = try reader.read(UInt64.self)
      self =
        try reader.readBool()
        ? .verdict(draft: draft, .accepted(QueueID(rawValue: try reader.read(UInt64.self))))
        : .verdict(draft: draft, .refused(try reader.readStatus()))
    case .piecesTaken:
      self = .piecesTaken(
        try reader.readList(max: Int.max) { reader throws(WireCodingError) in try reader.read(UInt32.self) })
    case .congestion: self = .congestion(try reader.read(UInt8.self))
    case .askHealth: self = .askHealth
    case .stop: self = .stop
    }
    try reader.finish()
  }
}

extension UpFrame {
  enum Kind: UInt16 {
    case ready = 1
    case startFailed, piece, offer, discard, outcome, log, metric, diagnostic, health, stopped
  }

  func encode() -> (kind: UInt16, payload: [UInt8]) {
    var writer = WireWriter()
    let kind: Kind
    switch self {
    case .ready: kind = .ready
    case .startFailed(let reason):
      kind = .startFailed
      writer.write(reason)
    case .piece(let draft, let chunk, let octets):
      kind = .piece
      writer.write(draft)
      writer.write(chunk)
      writer.write(octets)
    case .offer(let draft, let port, let envelope):
      kind = .offer
      writer.write(draft)
      writer.write(port)
      writer.write(envelope)
    case .discard(let draft):
      kind = .discard
      writer.write(draft)
    case .outcome(let outcome):
      kind = .outcome
      outcome.write(to: &writer)
    case .log(let severity, let id, let text):
      kind = .log
      writer.write(severity)
      writer.write(id?.rawValue ?? 0)
      writer.write(text)
    case .metric(let name, let value, let isGauge):
      kind = .metric
      writer.write(name)
      writer.write(value)
      writer.write(isGauge)
    case .diagnostic(let severity, let line, let column, let text):
      kind = .diagnostic
      writer.write(severity)
      writer.write(line)
      writer.write(column)
      writer.write(text)
    case .health(let line):
      kind = .health
      writer.write(line)
    case .stopped: kind = .stopped
    }
    return (kind.rawValue, writer.octets)
  }

  init(kind: UInt16, payload: [UInt8]) throws(WireCodingError) {
    guard let kind = Kind(rawValue: kind) else { throw .invalid("frame kind") }
    var reader = WireReader(payload)
    switch kind {
    case .ready: self = .ready
    case .startFailed: self = .startFailed(try reader.readString())
    case .piece:
      self = .piece(
        draft: try reader.read(UInt64.self), chunk: try reader.read(UInt32.self), octets: try reader.read(UInt32.self))
    case .offer:
      self = .offer(
        draft: try reader.read(UInt64.self), port: try reader.read(UInt16.self), try reader.readEnvelope())
    case .discard: self = .discard(draft: try reader.read(UInt64.self))
    case .outcome: self = .outcome(try OutcomeFrame(&reader))
    case .log:
      let severity = try reader.read(UInt8.self)
      let id = try reader.read(UInt64.self)
      self = .log(severity: severity, id == 0 ? nil : QueueID(rawValue: id), try reader.readString())
    case .metric:
      self = .metric(
        name: try reader.readString(max: 64), value: try reader.read(Int64.self), isGauge: try reader.readBool())
    case .diagnostic:
      self = .diagnostic(
        severity: try reader.read(UInt8.self), line: try reader.read(UInt32.self),
        column: try reader.read(UInt32.self), try reader.readString())
    case .health: self = .health(try reader.readOptionalString())
    case .stopped: self = .stopped
    }
    try reader.finish()
  }
}

extension OutcomeFrame {
  fileprivate func write(to writer: inout WireWriter) {
    writer.write(job)
    writer.writeList(emissions) { writer, emission in
      writer.write(emission.draft != nil)
      writer.write(emission.draft ?? 0)
      writer.write(emission.port)
      writer.write(emission.envelope)
    }
    writer.writeList(runs) { writer, run in
      writer.write(run.count)
      switch run.answer {
      case .answered(let answer):
        writer.write(UInt8(1))
        writer.write(answer)
      case .moved(let emission):
        writer.write(UInt8(2))
        writer.write(emission)
      case .unanswered: writer.write(UInt8(3))
      }
    }
  }

  fileprivate init(_ reader: inout WireReader) throws(WireCodingError) {
    let job = try reader.read(UInt64.self)
    let emissions = try reader.readList(max: Limits.recipientsMax) { reader throws(WireCodingError) in
      let hasDraft = try reader.readBool()
      let draft = try reader.read(UInt64.self)
      return Emission(
        draft: hasDraft ? draft : nil, port: try reader.read(UInt16.self), envelope: try reader.readEnvelope())
    }
    let runs = try reader.readList(max: Limits.recipientsMax) { reader throws(WireCodingError) in
      let count = try reader.read(UInt32.self)
      switch try reader.read(UInt8.self) {
      case 1: return Run(count: count, answer: .answered(try reader.readAnswer()))
      case 2: return Run(count: count, answer: .moved(emission: try reader.read(UInt32.self)))
      case 3: return Run(count: count, answer: .unanswered)
      default: throw WireCodingError.invalid("stage answer")
      }
    }
    self.init(job: job, emissions: emissions, runs: runs)
  }
}

internal import MailModel

/// How changes are written into records. Version 0; a field more means a new version in the record's header.

/// A change as the log keeps it: extents in place of a content that is being written.
enum LoggedChange: Hashable {
  case accept(StoredMessage, [ContentExtent], stage: String)
  case recipients(QueueID, [Int], RecipientState)
}

/// A message in whole, as a `copy` record keeps it.
struct MessageCopy: Hashable {
  var message: StoredMessage
  var extents: [ContentExtent]
  var states: [RecipientState]
  /// A damage to its content is known and its recipients were set to held for it; not to be done again.
  var isDamageNoted: Bool
}

extension WireWriter {
  mutating func write(_ message: StoredMessage) {
    write(message.id.rawValue)
    write(message.parent?.rawValue ?? 0)
    write(message.acceptedAt.millisecondsSinceEpoch)
    write(message.origin)
    write(message.generation)
    write(message.contentOctets)
    write(message.envelope)
  }

  mutating func write(_ extents: [ContentExtent]) {
    writeList(extents) { writer, extent in
      writer.write(extent.segment)
      writer.write(extent.offset)
      writer.write(extent.count)
    }
  }

  mutating func write(_ state: RecipientState) {
    switch state {
    case .queued(let stage, let attempts, let suspicions):
      write(UInt8(1))
      write(stage)
      write(attempts)
      write(suspicions)
    case .deferred(let stage, let until, let attempts, let status):
      write(UInt8(2))
      write(stage)
      write(until.millisecondsSinceEpoch)
      write(attempts)
      write(status)
    case .held(let stage, let attempts, let reason):
      write(UInt8(3))
      write(stage)
      write(attempts)
      write(reason)
    case .settled(let settlement, let status):
      write(UInt8(4))
      write(settlement.rawValue)
      write(status)
    case .failed(let status, let report):
      write(UInt8(5))
      write(status)
      write(report?.rawValue ?? 0)
    case .dead(let status):
      write(UInt8(6))
      write(status)
    case .moved(let id):
      write(UInt8(7))
      write(id.rawValue)
    case .deleted(let reason):
      write(UInt8(8))
      write(reason)
    }
  }

  mutating func write(_ change: LoggedChange) {
    switch change {
    case .accept(let message, let extents, let stage):
      write(UInt8(1))
      write(message)
      write(extents)
      write(stage)
    case .recipients(let id, let indices, let state):
      write(UInt8(2))
      write(id.rawValue)
      writeList(indices) { writer, index in writer.write(UInt32(truncatingIfNeeded: index)) }
      write(state)
    }
  }

  mutating func write(_ copy: MessageCopy) {
    write(copy.message)
    write(copy.extents)
    writeList(copy.states) { writer, state in writer.write(state) }
    write(copy.isDamageNoted)
  }
}

extension WireReader {
  private mutating func readQueueID() throws(WireCodingError) -> QueueID? {
    let value = try read(UInt64.self)
    return value == 0 ? nil : QueueID(rawValue: value)
  }

  mutating func readStoredMessage() throws(WireCodingError) -> StoredMessage {
    guard let id = try readQueueID() else { throw .invalid("queue identifier") }
    let parent = try readQueueID()
    let acceptedAt = WallTime(millisecondsSinceEpoch: try read(Int64.self))
    let origin = try readString()
    let generation = try read(UInt8.self)
    let contentOctets = try read(UInt64.self)
    return StoredMessage(
      id: id, parent: parent, acceptedAt: acceptedAt, origin: origin, generation: generation,
      envelope: try readEnvelope(), contentOctets: contentOctets)
  }

  mutating func readExtents() throws(WireCodingError) -> [ContentExtent] {
    try readList(max: Int(UInt32.max)) { reader throws(WireCodingError) in
      ContentExtent(
        segment: try reader.read(UInt32.self), offset: try reader.read(UInt64.self),
        count: try reader.read(UInt32.self))
    }
  }

  mutating func readState() throws(WireCodingError) -> RecipientState {
    switch try read(UInt8.self) {
    case 1:
      return .queued(
        stage: try readString(), attempts: try read(UInt32.self), suspicions: try read(UInt8.self))
    case 2:
      let stage = try readString()
      let until = WallTime(millisecondsSinceEpoch: try read(Int64.self))
      return .deferred(stage: stage, until: until, attempts: try read(UInt32.self), try readStatus())
    case 3:
      return .held(stage: try readString(), attempts: try read(UInt32.self), reason: try readString())
    case 4:
      guard let settlement = Settlement(rawValue: try read(UInt8.self)) else { throw .invalid("settlement") }
      return .settled(settlement, try readStatus())
    case 5:
      let status = try readStatus()
      return .failed(status, report: try readQueueID())
    case 6: return .dead(try readStatus())
    case 7:
      guard let id = try readQueueID() else { throw .invalid("queue identifier") }
      return .moved(to: id)
    case 8: return .deleted(reason: try readString())
    default: throw .invalid("recipient state")
    }
  }

  private mutating func readChange() throws(WireCodingError) -> LoggedChange {
    switch try read(UInt8.self) {
    case 1: return .accept(try readStoredMessage(), try readExtents(), stage: try readString())
    case 2:
      guard let id = try readQueueID() else { throw .invalid("queue identifier") }
      let indices = try readList(max: Limits.recipientsMax) { reader throws(WireCodingError) in
        Int(try reader.read(UInt32.self))
      }
      return .recipients(id, indices, try readState())
    default: throw .invalid("change")
    }
  }

  /// The payload of a `changes` record.
  static func changes(_ payload: [UInt8]) throws(WireCodingError) -> [LoggedChange] {
    var reader = WireReader(payload)
    let changes = try reader.readList(max: Int(UInt32.max)) { reader throws(WireCodingError) in
      try reader.readChange()
    }
    try reader.finish()
    return changes
  }

  /// The payload of a `copy` record.
  static func copy(_ payload: [UInt8]) throws(WireCodingError) -> MessageCopy {
    var reader = WireReader(payload)
    let message = try reader.readStoredMessage()
    let extents = try reader.readExtents()
    let states = try reader.readList(max: Limits.recipientsMax) { reader throws(WireCodingError) in
      try reader.readState()
    }
    let isDamageNoted = try reader.readBool()
    try reader.finish()
    guard states.count == message.envelope.recipients.count else { throw .invalid("count of recipient states") }
    return MessageCopy(message: message, extents: extents, states: states, isDamageNoted: isDamageNoted)
  }
}

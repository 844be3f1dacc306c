internal import MailModel
internal import Platform

/// The index on disk, so that a start replays only what came after it.
///
/// The file is a row of records (``RecordFormat``), sequence 0, 1, 2…:
/// - `snapshotHead`, seeded with 0: u64 salt of the records that follow, u32 segment and u64 offset at which replay
///   begins, u64 sequence of the last record before that place.
/// - `snapshotMessages`: a list of live messages. May be newer than the place (``LogSpool``, invariant 9).
/// - `snapshotEnd`: what else is needed, and how many messages there are. A file without it does not count.
struct SnapshotStart: Equatable {
  var salt: UInt64
  var segment: UInt32
  var offset: UInt64
  var sequence: UInt64
}

/// What the end record holds.
struct SnapshotEnd {
  struct SegmentFacts {
    var id: UInt32
    var isMovedFrom: Bool
    var dependsOn: [UInt32]
  }

  var messageCount: UInt64
  var lastQueueID: UInt64
  var nextSegment: UInt32
  /// The highest sequence that was synced when the snapshot was finished.
  var durable: UInt64
  var stages: [String]
  var segments: [SegmentFacts]
}

/// A snapshot that is being written, in steps.
struct SnapshotWriter {
  var descriptor: Int32
  var start: SnapshotStart
  var offset: UInt64 = 0
  var sequence: UInt64 = 0
  /// The next slot of the index.
  var slot = 0
  var messageCount: UInt64 = 0

  /// One record of the file.
  mutating func record(_ kind: RecordKind, _ payload: [UInt8]) -> [UInt8] {
    var octets: [UInt8] = []
    octets.reserveCapacity(RecordFormat.recordOctets(payloadOctets: payload.count))
    octets.beginRecord(kind, sequence: sequence, durable: 0)
    octets.append(contentsOf: payload)
    octets.finishRecord(at: 0, seed: kind == .snapshotHead ? 0 : start.salt)
    sequence += 1
    return octets
  }
}

extension WireWriter {
  mutating func write(_ start: SnapshotStart) {
    write(start.salt)
    write(start.segment)
    write(start.offset)
    write(start.sequence)
  }

  mutating func write(_ end: SnapshotEnd) {
    write(end.messageCount)
    write(end.lastQueueID)
    write(end.nextSegment)
    write(end.durable)
    writeList(end.stages) { $0.write($1) }
    writeList(end.segments) { writer, facts in
      writer.write(facts.id)
      writer.write(facts.isMovedFrom)
      writer.writeList(facts.dependsOn) { $0.write($1) }
    }
  }

  mutating func write(_ entry: LiveMessage) {
    write(entry.id.rawValue)
    write(entry.place.segment)
    write(entry.place.offset)
    write(entry.place.octets)
    write(entry.isDamageNoted)
    write(entry.extents.array)
    write(UInt32(entry.states.count))
    entry.states.forEach { state in
      switch state {
      case .queued(let stage, let attempts, let suspicions):
        write(UInt8(0))
        write(stage)
        write(attempts)
        write(suspicions)
      case .other(let box):
        write(UInt8(1))
        write(box.state)
      }
    }
  }
}

extension WireReader {
  mutating func readSnapshotStart() throws(WireCodingError) -> SnapshotStart {
    let start = SnapshotStart(
      salt: try read(UInt64.self), segment: try read(UInt32.self), offset: try read(UInt64.self),
      sequence: try read(UInt64.self))
    try finish()
    return start
  }

  mutating func readSnapshotEnd() throws(WireCodingError) -> SnapshotEnd {
    let end = SnapshotEnd(
      messageCount: try read(UInt64.self), lastQueueID: try read(UInt64.self), nextSegment: try read(UInt32.self),
      durable: try read(UInt64.self),
      stages: try readList(max: Int(UInt16.max) + 1) { reader throws(WireCodingError) in try reader.readString() },
      segments: try readList(max: Int(UInt32.max)) { reader throws(WireCodingError) in
        SnapshotEnd.SegmentFacts(
          id: try reader.read(UInt32.self), isMovedFrom: try reader.readBool(),
          dependsOn: try reader.readList(max: Int(UInt32.max)) { reader throws(WireCodingError) in
            try reader.read(UInt32.self)
          })
      })
    try finish()
    return end
  }

  mutating func readLiveMessages() throws(WireCodingError) -> [LiveMessage] {
    let messages = try readList(max: Int(UInt32.max)) { reader throws(WireCodingError) in
      try reader.readLiveMessage()
    }
    try finish()
    return messages
  }

  private mutating func readLiveMessage() throws(WireCodingError) -> LiveMessage {
    let id = QueueID(rawValue: try read(UInt64.self))
    guard id.rawValue != 0 else { throw .invalid("queue identifier") }
    let place = RecordPlace(
      segment: try read(UInt32.self), offset: try read(UInt64.self), octets: try read(UInt32.self))
    guard place.octets < 1 << 31, place.offset < 1 << 48 else { throw .invalid("place of a message") }
    let isDamageNoted = try readBool()
    let extents = try readExtents()
    let states = try readList(max: Limits.recipientsMax) { reader throws(WireCodingError) in
      switch try reader.read(UInt8.self) {
      case 0:
        return CompactState.queued(
          stage: try reader.read(UInt16.self), attempts: try reader.read(UInt32.self),
          suspicions: try reader.read(UInt8.self))
      case 1: return CompactState.other(CompactState.Box(try reader.readState()))
      default: throw .invalid("recipient state")
      }
    }
    return LiveMessage(
      id: id, place: place, extents: extents, states: CompactList(states), isDamageNoted: isDamageNoted)
  }
}

/// A snapshot read back whole.
struct Snapshot {
  var start: SnapshotStart
  var end: SnapshotEnd
  var messages: [LiveMessage]
  var octets: Int

  /// What makes a snapshot useless; the text says where.
  struct Damage: Error {
    var offset: UInt64
    var text: String
  }

  enum Reading {
    case whole(Snapshot)
    case damaged(Damage)
  }

  /// Reads a snapshot file record by record.
  static func read(_ descriptor: Int32, _ files: any FileCalls) throws(SystemError) -> Reading {
    var offset: UInt64 = 0
    var sequence: UInt64 = 0
    var start: SnapshotStart?
    var messages: [LiveMessage] = []
    let size = try files.status(descriptor).octets
    while true {
      let head = try files.readAll(descriptor, count: RecordFormat.headerOctets, at: offset)
      guard let header = head.withUnsafeBytes({ RecordHeader($0, at: 0) }), header.sequence == sequence,
        UInt64(header.recordOctets) <= size - offset
      else { return .damaged(Damage(offset: offset, text: "no record of a snapshot")) }
      let octets = try files.readAll(descriptor, count: header.recordOctets, at: offset)
      guard octets.withUnsafeBytes({ RecordHeader.valid($0, at: 0, seed: start?.salt ?? 0) }) != nil else {
        return .damaged(Damage(offset: offset, text: "a record of the snapshot does not fit its checksum"))
      }
      let payloadEnd = RecordFormat.headerOctets + header.payloadOctets
      var reader = WireReader(Array(octets[RecordFormat.headerOctets..<payloadEnd]))
      do throws(WireCodingError) {
        switch (RecordKind(rawValue: header.kind), start) {
        case (.snapshotHead, nil): start = try reader.readSnapshotStart()
        case (.snapshotMessages, .some): messages += try reader.readLiveMessages()
        case (.snapshotEnd, .some(let start)):
          let end = try reader.readSnapshotEnd()
          guard end.messageCount == UInt64(messages.count) else { throw .invalid("count of messages") }
          return .whole(
            Snapshot(start: start, end: end, messages: messages, octets: Int(offset) + header.recordOctets))
        default: throw .invalid("kind of record")
        }
      } catch {
        return .damaged(Damage(offset: offset, text: "a record of the snapshot cannot be understood: \(error)"))
      }
      offset += UInt64(header.recordOctets)
      sequence += 1
    }
  }
}

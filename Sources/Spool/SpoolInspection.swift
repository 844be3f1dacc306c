internal import MailModel
public import Platform

/// Looking at a spool directory that no host uses, without changing it: for `interchange spool verify` and
/// `interchange spool dump`.
public enum SpoolInspection {
  public struct Report: Sendable, Equatable {
    public var segments = 0
    public var octets: UInt64 = 0
    public var records = 0
    public var pieces = 0
    public var pieceOctets: UInt64 = 0
    public var accepts = 0
    public var recipientChanges = 0
    public var copies = 0
    /// Messages with a live recipient.
    public var liveMessages = 0
    /// Recipients in a live state.
    public var liveRecipients = 0
    /// Live messages in the snapshot, nil without a whole one.
    public var snapshotMessages: Int?
    /// What is damaged or missing; each with file and offset. A torn end is not a problem: recovery cuts it.
    public var problems: [SpoolNote] = []
    public var tornEnd: SpoolNote?

    public var isSound: Bool { problems.isEmpty }
  }

  /// One record, for people and for programs.
  public struct Record: Sendable, CustomStringConvertible {
    public var file: String
    public var offset: UInt64
    public var octets: UInt64
    public var sequence: UInt64
    /// `piece`, `accept`, `recipients`, `copy` or `damage`. A group appears as one line for each of its changes.
    public var kind: String
    /// Names and values in order; the values are not neutralised for a terminal or a log.
    public var fields: [(name: String, value: String)]

    public var description: String {
      let list = fields.map { "\($0.name)=\($0.value)" }.joined(separator: " ")
      return "\(file):\(offset) #\(sequence) \(kind) \(list)"
    }
  }

  /// Reads everything, checks every checksum and follows every message.
  ///
  /// - Throws: ``SpoolError/unusable(_:)`` when the directory cannot be read or a host uses it; ``SpoolError/io``.
  public static func verify(_ path: String, files: any FileCalls = SystemFileCalls()) throws(SpoolError) -> Report {
    var report = Report()
    var live = LiveContents()
    try walk(path, files, &report) { report, file, segment, event, octets in
      switch event {
      case .damage(let range, let sequence):
        live.damages[segment, default: []].append(range)
        report.problems.append(
          SpoolNote(
            file: file, offset: UInt64(range.lowerBound), octets: UInt64(range.count),
            text: range.isEmpty ? "records from \(sequence) on are missing" : "damaged: record \(sequence) was here"))
      case .record(let record):
        report.records += 1
        do throws(WireCodingError) {
          switch try Contents(record, octets) {
          case .piece(_, let count):
            report.pieces += 1
            report.pieceOctets += UInt64(count)
          case .changes(let changes):
            for change in changes {
              switch change {
              case .accept(let message, let extents, _):
                report.accepts += 1
                live.put(message.id, extents, Array(repeating: true, count: message.envelope.recipients.count))
              case .recipients(let id, let indices, let state):
                report.recipientChanges += 1
                live.set(id, indices, state.isLive)
              }
            }
          case .copy(let copy):
            report.copies += 1
            live.put(copy.message.id, copy.extents, copy.states.map(\.isLive))
          }
        } catch {
          report.problems.append(
            SpoolNote(
              file: file, offset: UInt64(record.offset), octets: UInt64(record.header.recordOctets),
              text: "the record cannot be understood: \(error)"))
        }
      }
    }
    report.liveMessages = live.messages.count
    report.liveRecipients = live.messages.values.reduce(0) { $0 + $1.states.count(where: { $0 }) }
    report.problems += live.problems()
    return report
  }

  /// Hands over every record in order, damaged places among them.
  ///
  /// - Throws: As ``verify(_:files:)``.
  public static func dump(
    _ path: String, files: any FileCalls = SystemFileCalls(), _ body: (Record) -> Void
  ) throws(SpoolError) {
    var report = Report()
    try walk(path, files, &report) { _, file, _, event, octets in
      switch event {
      case .damage(let range, let sequence):
        body(
          Record(
            file: file, offset: UInt64(range.lowerBound), octets: UInt64(range.count), sequence: sequence,
            kind: "damage", fields: [("octets", "\(range.count)")]))
      case .record(let record):
        for (kind, fields) in describe(record, octets) {
          body(
            Record(
              file: file, offset: UInt64(record.offset), octets: UInt64(record.header.recordOctets),
              sequence: record.header.sequence, kind: kind, fields: fields))
        }
      }
    }
  }

  // MARK: Walking

  private enum Contents {
    case piece(content: UInt64, octets: Int)
    case changes([LoggedChange])
    case copy(MessageCopy)

    init(_ record: SegmentScan.Record, _ octets: UnsafeRawBufferPointer) throws(WireCodingError) {
      switch RecordKind(rawValue: record.header.kind) {
      case .piece:
        guard record.payload.count >= 8 else { throw .truncated }
        self = .piece(
          content: octets.number(UInt64.self, at: record.payload.lowerBound), octets: record.payload.count - 8)
      case .changes: self = .changes(try WireReader.changes(Array(octets[record.payload])))
      case .copy: self = .copy(try WireReader.copy(Array(octets[record.payload])))
      case .snapshotHead, .snapshotMessages, .snapshotEnd, nil: throw .invalid("kind of record")
      }
    }
  }

  private static func walk(
    _ path: String, _ files: any FileCalls, _ report: inout Report,
    _ body: (inout Report, String, UInt32, SegmentScan.Event, UnsafeRawBufferPointer) -> Void
  ) throws(SpoolError) {
    let directory = try SpoolDirectory.openForReading(path, files)
    defer { directory.close(files) }
    do throws(SystemError) {
      let names = try files.names(in: directory.descriptor)
      let numbers = names.compactMap { SpoolDirectory.NumberedFile.segment.number($0) }.sorted()
      let durable = try readSnapshot(names, directory, files, &report)
      var expected: (id: UInt32, sequence: UInt64)?
      for number in numbers {
        let name = SpoolDirectory.NumberedFile.segment.name(number)
        let descriptor = try files.open(name, in: directory.descriptor, .reading)
        defer { files.close(descriptor) }
        let size = try files.status(descriptor).octets
        report.segments += 1
        report.octets += size
        let image = try files.readAll(descriptor, count: Int(clamping: size), at: 0)
        guard let header = SegmentHeader(image, id: number) else {
          report.problems.append(
            SpoolNote(file: name, offset: 0, octets: size, text: "both copies of the header are damaged"))
          continue
        }
        if !SegmentHeader.isUndamaged(image, id: number) {
          report.problems.append(SpoolNote(file: name, offset: 0, octets: 0, text: "one copy of the header is damaged"))
        }
        if let expected, expected.id &+ 1 == number, expected.sequence < header.firstSequence {
          let text = "records \(expected.sequence) to \(header.firstSequence &- 1) are missing before this segment"
          report.problems.append(SpoolNote(file: name, offset: 0, octets: 0, text: text))
        }
        let scan = SegmentScan(seed: header.seed, isSealed: number != numbers.last)
        let end = image.withUnsafeBytes { octets in
          scan.walk(
            octets, from: min(RecordFormat.firstRecordOffset, octets.count), nextSequence: header.firstSequence,
            durable: max(durable, header.firstSequence &- 1)
          ) { event in body(&report, name, number, event, octets) }
        }
        if end.isTorn, number == numbers.last {
          report.tornEnd = SpoolNote(
            .tornEnd, file: name, offset: UInt64(end.offset), octets: 0, text: "the log's torn end; recovery cuts it")
        }
        expected = (number, end.nextSequence)
      }
    } catch {
      throw .io(operation: error.call, errno: error.errno)
    }
  }

  /// The highest sequence that the snapshot knows to be durable.
  private static func readSnapshot(
    _ names: [String], _ directory: SpoolDirectory, _ files: any FileCalls, _ report: inout Report
  ) throws(SystemError) -> UInt64 {
    guard names.contains(SpoolDirectory.snapshotName) else { return 0 }
    let descriptor = try files.open(SpoolDirectory.snapshotName, in: directory.descriptor, .reading)
    defer { files.close(descriptor) }
    switch try Snapshot.read(descriptor, files) {
    case .damaged(let damage):
      report.problems.append(
        SpoolNote(file: SpoolDirectory.snapshotName, offset: damage.offset, octets: 0, text: damage.text))
      return 0
    case .whole(let snapshot):
      report.snapshotMessages = snapshot.messages.count
      return snapshot.end.durable
    }
  }

  // MARK: Describing

  private static func describe(
    _ record: SegmentScan.Record, _ octets: UnsafeRawBufferPointer
  ) -> [(String, [(name: String, value: String)])] {
    do throws(WireCodingError) {
      switch try Contents(record, octets) {
      case .piece(let content, let count): return [("piece", [("content", "\(content)"), ("octets", "\(count)")])]
      case .changes(let changes): return changes.map(describe)
      case .copy(let copy):
        return [
          ("copy", fields(copy.message, copy.extents) + [("states", copy.states.map(word).joined(separator: ","))])
        ]
      }
    } catch {
      return [("damage", [("error", "\(error)")])]
    }
  }

  private static func describe(_ change: LoggedChange) -> (String, [(name: String, value: String)]) {
    switch change {
    case .accept(let message, let extents, let stage): ("accept", fields(message, extents) + [("stage", stage)])
    case .recipients(let id, let indices, let state):
      (
        "recipients",
        [
          ("id", "\(id)"), ("recipients", indices.map(String.init).joined(separator: ",")), ("state", word(state)),
          ("detail", "\(state)"),
        ]
      )
    }
  }

  private static func fields(_ message: StoredMessage, _ extents: [ContentExtent]) -> [(name: String, value: String)] {
    [
      ("id", "\(message.id)"), ("parent", message.parent.map { "\($0)" } ?? ""), ("origin", message.origin),
      ("accepted_at", "\(message.acceptedAt.millisecondsSinceEpoch)"),
      ("from", message.envelope.reversePath?.text ?? ""),
      ("to", message.envelope.recipients.map(\.address.text).joined(separator: ",")),
      ("content_octets", "\(message.contentOctets)"),
      ("extents", extents.map { "\($0.segment):\($0.offset)+\($0.count)" }.joined(separator: ",")),
    ]
  }

  private static func word(_ state: RecipientState) -> String {
    switch state {
    case .queued: "queued"
    case .deferred: "deferred"
    case .held: "held"
    case .settled(let settlement, _): settlement.disposition.word
    case .failed: "failed"
    case .dead: "dead"
    case .moved: "moved"
    case .deleted: "deleted"
    }
  }
}

/// Live messages and where their contents lie, as verifying follows them.
private struct LiveContents {
  var messages: [QueueID: (extents: [ContentExtent], states: [Bool])] = [:]
  var damages: [UInt32: [Range<Int>]] = [:]

  mutating func put(_ id: QueueID, _ extents: [ContentExtent], _ states: [Bool]) {
    messages[id] = states.contains(true) ? (extents, states) : nil
  }

  mutating func set(_ id: QueueID, _ indices: [Int], _ isLive: Bool) {
    guard let message = messages.removeValue(forKey: id) else { return }
    var states = message.states
    for index in indices where states.indices.contains(index) { states[index] = isLive }
    put(id, message.extents, states)
  }

  func problems() -> [SpoolNote] {
    var notes: [SpoolNote] = []
    for (id, message) in messages.sorted(by: { $0.key < $1.key }) {
      for extent in message.extents {
        let start = Int(clamping: extent.offset)
        let range = start..<start.addingReportingOverflow(Int(extent.count)).partialValue
        guard damages[extent.segment]?.contains(where: { $0.overlaps(range) }) == true else { continue }
        notes.append(
          SpoolNote(
            file: SpoolDirectory.NumberedFile.segment.name(extent.segment), offset: extent.offset,
            octets: UInt64(extent.count), text: "content of a live message is damaged", messages: [id]))
      }
    }
    return notes
  }
}

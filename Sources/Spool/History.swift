public import MailModel
public import Platform

/// What happened to messages, for `trace`, also after the log has let them go: text files of JSON lines below
/// `history/` in the spool directory, one line an event.
///
///     {"time":1700000000000,"id":"0C5K…","event":"deferred","stage":"imc_out","recipients":["a@example.net"],
///      "code":"4.4.1","text":"no answer"}
///
/// (On one line; members without a value are left out.) `time` is in milliseconds since 1970. Every string is cut to a
/// bound and escaped so that a line stays a line on any terminal: control characters, DEL, C1, line separators and
/// marks of text direction appear as `\uXXXX`.
///
/// Nothing here is durable before the system writes it, and nothing in the spool depends on it: a line that cannot be
/// written is counted and dropped, because a full disk must not stop mail.
///
/// Files are `history-XXXXXXXX.jsonl`, appended to in order of the number; beyond `fileOctetsMax` the next is begun, and
/// beyond `totalOctetsMax` the oldest go.
///
/// Thread: one at a time (the committer's); ``search(_:spoolPath:files:_:)`` from any, over the files.
public final class History {
  public static let fileOctetsMax = 16 << 20
  public static let totalOctetsMax = 256 << 20
  static let directoryName = "history"

  private let files: any FileCalls
  private let directory: Int32
  private let fileOctetsMax: Int
  private let totalOctetsMax: Int
  private let bufferOctets = 64 << 10
  private var buffer: [UInt8] = []
  private var current: (number: UInt32, descriptor: Int32, octets: Int)?
  private var olderFiles: [(number: UInt32, octets: Int)] = []
  private var nextNumber: UInt32 = 1
  private var isClosed = false

  /// Lines that could not be written.
  public private(set) var linesDropped = 0
  private var linesBuffered = 0

  /// Opens, or makes, the history of a spool.
  ///
  /// - Throws: ``SpoolError/unusable(_:)`` with one line that names the path.
  public init(
    spoolPath: String, fileOctetsMax: Int = History.fileOctetsMax, totalOctetsMax: Int = History.totalOctetsMax,
    files: any FileCalls = SystemFileCalls()
  ) throws(SpoolError) {
    self.files = files
    self.fileOctetsMax = fileOctetsMax
    self.totalOctetsMax = totalOctetsMax
    let path = "\(spoolPath)/\(Self.directoryName)"
    do throws(SystemError) {
      let spool = try files.openDirectory(spoolPath)
      defer { files.close(spool) }
      if try !files.names(in: spool).contains(Self.directoryName) {
        try files.makeDirectory(Self.directoryName, in: spool)
      }
      directory = try files.openDirectory(Self.directoryName, in: spool)
    } catch {
      throw .unusable("\(path): \(SpoolDirectory.text(error.errno))")
    }
    do throws(SpoolError) {
      try SpoolDirectory.checkOwnerAndMode(directory, path, files, kind: .directory)
    } catch {
      files.close(directory)
      throw error
    }
    guard let names = try? files.names(in: directory) else { return }  // An unreadable history is an empty one.
    for number in names.compactMap(Self.number).sorted() {
      nextNumber = max(nextNumber, number &+ 1)
      guard let descriptor = try? files.open(Self.name(number), in: directory, .reading) else { continue }
      olderFiles.append((number, (try? files.status(descriptor)).map { Int(clamping: $0.octets) } ?? 0))
      files.close(descriptor)
    }
  }

  deinit { close() }

  /// Adds a line; written when the buffer is full or at ``flush()``.
  public func record(_ line: HistoryLine) {
    line.append(to: &buffer)
    linesBuffered += 1
    if buffer.count >= bufferOctets { flush() }
  }

  /// Hands what is buffered to the system, so that a search finds it.
  public func flush() {
    guard !buffer.isEmpty else { return }
    defer {
      buffer.removeAll(keepingCapacity: true)
      linesBuffered = 0
    }
    if let current, current.octets >= fileOctetsMax { endFile() }
    if current == nil { beginFile() }
    guard let (number, descriptor, octets) = current else {
      linesDropped += linesBuffered
      return
    }
    do throws(SystemError) {
      try files.writeAll(descriptor, buffer, at: UInt64(octets))
      current = (number, descriptor, octets + buffer.count)
    } catch {
      linesDropped += linesBuffered
      // The next line must not continue a torn one: it goes to another file.
      endFile()
    }
  }

  public func close() {
    guard !isClosed else { return }
    flush()
    endFile()
    files.close(directory)
    isClosed = true
  }

  private func beginFile() {
    guard let descriptor = try? files.open(Self.name(nextNumber), in: directory, .creating) else { return }
    current = (nextNumber, descriptor, 0)
    nextNumber += 1
    var total = olderFiles.reduce(0) { $0 + $1.octets } + fileOctetsMax
    while total > totalOctetsMax, let oldest = olderFiles.first {
      // One that cannot be removed is somebody else's doing; it is not tried again before the next start.
      try? files.unlink(Self.name(oldest.number), in: directory)
      total -= oldest.octets
      olderFiles.removeFirst()
    }
  }

  private func endFile() {
    guard let (number, descriptor, octets) = current else { return }
    files.close(descriptor)
    olderFiles.append((number, octets))
    current = nil
  }

  private static func name(_ number: UInt32) -> String {
    let digits = String(number, radix: 16)
    return "history-" + String(repeating: "0", count: 8 - digits.count) + digits + ".jsonl"
  }

  private static func number(_ name: String) -> UInt32? {
    guard name.hasPrefix("history-"), name.hasSuffix(".jsonl"),
      let number = UInt32(name.dropFirst(8).dropLast(6), radix: 16), number < UInt32.max, self.name(number) == name
    else { return nil }
    return number
  }

  // MARK: Searching

  /// Hands over each line about a message, oldest first, without its line end. Reads files only, in pieces; may run
  /// while a host writes, which then shows what was flushed.
  ///
  /// - Throws: ``SpoolError/unusable(_:)`` when there is no history to read.
  public static func search(
    _ id: QueueID, spoolPath: String, files: any FileCalls = SystemFileCalls(), _ body: (String) -> Void
  ) throws(SpoolError) {
    // A quotation mark within a string is escaped, so that this can only be the member itself.
    let wanted = Array("\"id\":\"\(id)\"".utf8)
    do throws(SystemError) {
      let spool = try files.openDirectory(spoolPath)
      defer { files.close(spool) }
      let directory = try files.openDirectory(directoryName, in: spool)
      defer { files.close(directory) }
      for number in try files.names(in: directory).compactMap(number).sorted() {
        // It may have been removed as the oldest since.
        guard let descriptor = try? files.open(name(number), in: directory, .reading) else { continue }
        defer { files.close(descriptor) }
        try forEachLine(descriptor, files) { line in
          if line.contains(wanted) { body(String(decoding: line, as: UTF8.self)) }
        }
      }
    } catch {
      throw .unusable("\(spoolPath)/\(directoryName): \(SpoolDirectory.text(error.errno))")
    }
  }

  private static func forEachLine(
    _ descriptor: Int32, _ files: any FileCalls, _ body: (ArraySlice<UInt8>) -> Void
  ) throws(SystemError) {
    var offset: UInt64 = 0
    var rest: [UInt8] = []
    while true {
      let piece = try files.readAll(descriptor, count: 256 << 10, at: offset)
      guard !piece.isEmpty else { return }
      offset += UInt64(piece.count)
      rest += piece
      var start = 0
      while let end = rest[start...].firstIndex(of: 0x0A) {
        body(rest[start..<end])
        start = end + 1
      }
      rest.removeFirst(start)
      // A line of ours is shorter; whatever this is, it must not fill the memory.
      if rest.count > 1 << 20 { rest = [] }
    }
  }
}

/// One event of a message, as a line shows it.
public struct HistoryLine: Sendable, Hashable {
  static let recipientsMax = 100
  static let addressOctetsMax = 1024
  static let wordOctetsMax = 256

  public var time: WallTime
  public var id: QueueID
  /// What happened, in one word of the dispatcher's.
  public var event: String
  public var stage: String?
  public var sender: String?
  public var parent: QueueID?
  /// The message that the recipients go on in, or the report about them.
  public var successor: QueueID?
  public var contentOctets: UInt64?
  /// Addresses; at most a hundred appear in the line, and a member `more` counts the others.
  public var recipients: [String]
  /// How many recipients the event is about, when `recipients` does not name them all.
  public var recipientCount: Int
  public var code: EnhancedStatusCode?
  public var text: String?
  public var remote: RemoteReply?

  public init(
    time: WallTime, id: QueueID, event: String, stage: String? = nil, sender: String? = nil, parent: QueueID? = nil,
    successor: QueueID? = nil, contentOctets: UInt64? = nil, recipients: [String] = [], recipientCount: Int? = nil,
    code: EnhancedStatusCode? = nil, text: String? = nil, remote: RemoteReply? = nil
  ) {
    self.time = time
    self.id = id
    self.event = event
    self.stage = stage
    self.sender = sender
    self.parent = parent
    self.successor = successor
    self.contentOctets = contentOctets
    self.recipients = recipients
    self.recipientCount = max(recipientCount ?? 0, recipients.count)
    self.code = code
    self.text = text
    self.remote = remote
  }

  func append(to octets: inout [UInt8]) {
    octets += "{\"time\":\(time.millisecondsSinceEpoch),\"id\":\"\(id)\"".utf8
    octets.appendMember("event", event, octetsMax: Self.wordOctetsMax)
    octets.appendMember("stage", stage, octetsMax: Self.wordOctetsMax)
    octets.appendMember("sender", sender, octetsMax: Self.addressOctetsMax)
    if let parent { octets += ",\"parent\":\"\(parent)\"".utf8 }
    if let successor { octets += ",\"successor\":\"\(successor)\"".utf8 }
    if let contentOctets { octets += ",\"octets\":\(contentOctets)".utf8 }
    if !recipients.isEmpty {
      octets += ",\"recipients\":[".utf8
      for (index, recipient) in recipients.prefix(Self.recipientsMax).enumerated() {
        if index > 0 { octets.append(UInt8(ascii: ",")) }
        octets.appendJSON(recipient, octetsMax: Self.addressOctetsMax)
      }
      octets += "]".utf8
    }
    let named = min(recipients.count, Self.recipientsMax)
    if recipientCount > named { octets += ",\"more\":\(recipientCount - named)".utf8 }
    if let code { octets += ",\"code\":\"\(code)\"".utf8 }
    octets.appendMember("text", text, octetsMax: Limits.statusTextOctetsMax)
    octets.appendMember("remote_host", remote?.host, octetsMax: Self.addressOctetsMax)
    octets.appendMember("remote_text", remote?.text, octetsMax: Limits.statusTextOctetsMax)
    octets += "}\n".utf8
  }
}

extension [UInt8] {
  fileprivate mutating func appendMember(_ name: String, _ text: String?, octetsMax: Int) {
    guard let text else { return }
    self += ",\"\(name)\":".utf8
    appendJSON(text, octetsMax: octetsMax)
  }

  /// Appends a JSON string of at most `octetsMax` octets of UTF-8 before escaping; a longer one ends in `…`.
  fileprivate mutating func appendJSON(_ text: String, octetsMax: Int) {
    append(UInt8(ascii: "\""))
    var taken = 0
    for scalar in text.unicodeScalars {
      let octets = UTF8.encode(scalar)
      taken += octets?.count ?? 0
      if taken > octetsMax {
        self += "…".utf8
        break
      }
      switch scalar.value {
      case 0x22, 0x5C:
        append(UInt8(ascii: "\\"))
        append(UInt8(scalar.value))
      case ..<0x20, 0x7F...0x9F, 0x200E...0x200F, 0x2028...0x202E, 0x2066...0x2069:
        let digits = String(scalar.value, radix: 16)
        self += "\\u".utf8
        self += String(repeating: "0", count: 4 - digits.count).utf8
        self += digits.utf8
      default: if let octets { append(contentsOf: octets) }
      }
    }
    append(UInt8(ascii: "\""))
  }
}

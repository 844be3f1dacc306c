internal import Glibc
internal import MailModel

/// The text of `letter.txt` and `history.txt`, for people with a pager and for programs.
///
/// `key: value` lines; the first block is the message, each further block, behind an empty line, a recipient. In values
/// `\\` is a backslash and `\u{HEX}` any character that would not show, so that a line is always one line. A key that a
/// reader does not know is passed over. Times are milliseconds since 1970 and, for people, the date behind them.
enum LetterText {
  static let version = "interchange-dead-letter"

  // MARK: Writing

  static func encode(_ letter: DeadLetter, id: LetterID) -> [UInt8] {
    var lines = Lines()
    lines.add(version, "1")
    lines.add("id", id.description)
    lines.add("stored", time(letter.storedAt))
    lines.add("content-octets", String(letter.contentOctets))
    lines.add("accepted", time(letter.acceptedAt))
    if !letter.stage.isEmpty { lines.add("stage", letter.stage) }
    if let first = letter.entries.first?.status {
      lines.add("code", first.code.description)
      lines.add("reason", first.text)
    }
    let envelope = letter.envelope
    lines.add("reverse-path", envelope.reversePath.map { "\($0.kind.word) \($0.text)" } ?? "null")
    if let envelopeID = envelope.envelopeID { lines.add("envelope-id", envelopeID) }
    switch envelope.returnContent {
    case .none: break
    case .full: lines.add("return", "full")
    case .headers: lines.add("return", "headers")
    }
    switch envelope.bodyType {
    case .sevenBit: lines.add("body", "7bit")
    case .eightBitMIME: lines.add("body", "8bitmime")
    case .binaryMIME: lines.add("body", "binarymime")
    }
    if envelope.smtputf8 { lines.add("smtputf8", "yes") }
    lines.add(envelope.attributes)
    for entry in letter.entries {
      lines.blank()
      lines.add("recipient", "\(entry.recipient.address.kind.word) \(entry.recipient.address.text)")
      lines.add("code", entry.status.code.description)
      lines.add("reason", entry.status.text)
      if let remote = entry.status.remote {
        lines.add("remote-host", remote.host)
        lines.add("remote-type", remote.type)
        lines.add("remote-text", remote.text)
      }
      if let notify = entry.recipient.notify { lines.add("notify", String(notify.rawValue)) }
      if let original = entry.recipient.originalRecipient {
        lines.add("original-type", original.type)
        lines.add("original-recipient", original.text)
      }
      lines.add(entry.recipient.attributes)
    }
    return lines.octets
  }

  static func encode(_ history: [DeadLetter.Event]) -> [UInt8] {
    var octets: [UInt8] = []
    for event in history {
      octets.append(contentsOf: "\(time(event.at))  \(escaped(event.text))\n".utf8)
    }
    return octets
  }

  private struct Lines {
    var octets: [UInt8] = []

    mutating func add(_ key: String, _ value: String) {
      octets.append(contentsOf: "\(key): \(escaped(value))\n".utf8)
    }

    mutating func add(_ attributes: [Attribute]) {
      for attribute in attributes {
        add("attribute-name", attribute.name)
        add("attribute-value", attribute.value)
      }
    }

    mutating func blank() { octets.append(0x0A) }
  }

  private static func escaped(_ text: String) -> String {
    var output = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      if scalar == "\\" {
        output.append(contentsOf: "\\\\".unicodeScalars)
      } else if isShown(scalar) {
        output.append(scalar)
      } else {
        output.append(contentsOf: "\\u{\(String(scalar.value, radix: 16, uppercase: true))}".unicodeScalars)
      }
    }
    return String(output)
  }

  private static func isShown(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.isASCII { return (0x20...0x7E).contains(scalar.value) }
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .spaceSeparator, .surrogate, .privateUse, .unassigned:
      return false
    default:
      return true  // every other category of Unicode shows
    }
  }

  /// Milliseconds and a date of ISO 8601, in UTC; the date is left out when the C library cannot say it.
  private static func time(_ time: WallTime) -> String {
    let milliseconds = time.millisecondsSinceEpoch
    var seconds = time_t(milliseconds / 1000)
    var parts = tm()
    guard milliseconds >= 0, gmtime_r(&seconds, &parts) != nil else { return String(milliseconds) }
    func padded(_ number: Int32, _ width: Int) -> String {
      let digits = String(number)
      return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
    return
      "\(milliseconds) \(padded(parts.tm_year &+ 1900, 4))-\(padded(parts.tm_mon + 1, 2))-\(padded(parts.tm_mday, 2))"
      + "T\(padded(parts.tm_hour, 2)):\(padded(parts.tm_min, 2)):\(padded(parts.tm_sec, 2))Z"
  }

  // MARK: Reading

  /// The keys of one block in order.
  private typealias Block = [(key: String, value: String)]

  static func decode(_ octets: [UInt8], history: [UInt8]) throws(DeadLetterError) -> DeadLetter {
    let blocks = try blocks(octets)
    guard let head = blocks.first, head.first?.key == version, head.first?.value == "1" else {
      throw .damaged("letter.txt: no \"\(version): 1\" in the first line")
    }
    guard let queueID = LetterID(try value("id", of: head))?.queueID else { throw .damaged("letter.txt: id") }
    var envelope = Envelope(
      reversePath: nil, recipients: [], envelopeID: optional("envelope-id", of: head),
      smtputf8: optional("smtputf8", of: head) == "yes", attributes: try attributes(of: head))
    let reversePath = try value("reverse-path", of: head)
    if reversePath != "null" { envelope.reversePath = try address(reversePath) }
    switch optional("return", of: head) {
    case "full": envelope.returnContent = .full
    case "headers": envelope.returnContent = .headers
    default: envelope.returnContent = nil
    }
    switch optional("body", of: head) {
    case "8bitmime": envelope.bodyType = .eightBitMIME
    case "binarymime": envelope.bodyType = .binaryMIME
    default: envelope.bodyType = .sevenBit
    }
    var entries: [DeadLetter.Entry] = []
    for block in blocks.dropFirst() { entries.append(try entry(block)) }
    return DeadLetter(
      queueID: queueID, acceptedAt: try time(try value("accepted", of: head)),
      storedAt: try time(try value("stored", of: head)), stage: optional("stage", of: head) ?? "", envelope: envelope,
      entries: entries, history: try events(history), contentOctets: try number(try value("content-octets", of: head)))
  }

  /// When it was stored, from the beginning of `letter.txt`; nil when that is damaged.
  static func storedAt(head octets: [UInt8]) -> WallTime? {
    for line in octets.split(separator: 0x0A, maxSplits: 3).prefix(3) where line.starts(with: "stored: ".utf8) {
      let digits = line.dropFirst(8).prefix { $0 != 0x20 }
      return Int64(String(decoding: digits, as: UTF8.self)).map { WallTime(millisecondsSinceEpoch: $0) }
    }
    return nil
  }

  private static func entry(_ block: Block) throws(DeadLetterError) -> DeadLetter.Entry {
    guard let code = EnhancedStatusCode(try value("code", of: block)) else { throw .damaged("letter.txt: code") }
    var status = DeliveryStatus(code, optional("reason", of: block) ?? "")
    if let host = optional("remote-host", of: block) {
      status.remote = RemoteReply(
        host: host, type: optional("remote-type", of: block) ?? "", text: optional("remote-text", of: block) ?? "")
    }
    var recipient = Recipient(try address(try value("recipient", of: block)), attributes: try attributes(of: block))
    if let notify = optional("notify", of: block) {
      guard let raw = UInt8(notify), raw <= 7 else { throw .damaged("letter.txt: notify") }
      recipient.notify = Notify(rawValue: raw)
    }
    if let type = optional("original-type", of: block) {
      recipient.originalRecipient = OriginalRecipient(
        type: type, text: optional("original-recipient", of: block) ?? "")
    }
    return DeadLetter.Entry(recipient, status)
  }

  private static func blocks(_ octets: [UInt8]) throws(DeadLetterError) -> [Block] {
    var blocks: [Block] = [[]]
    for (index, line) in octets.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated() {
      if line.isEmpty {
        if blocks[blocks.count - 1].isEmpty { continue }
        blocks.append([])
        continue
      }
      guard let colon = line.firstIndex(of: 0x3A), let text = unescaped(line[(colon + 1)...].dropFirst()) else {
        throw .damaged("letter.txt:\(index + 1)")
      }
      blocks[blocks.count - 1].append((String(decoding: line[..<colon], as: UTF8.self), text))
    }
    if blocks.last?.isEmpty == true { blocks.removeLast() }
    return blocks
  }

  private static func events(_ octets: [UInt8]) throws(DeadLetterError) -> [DeadLetter.Event] {
    var events: [DeadLetter.Event] = []
    for (index, line) in octets.split(separator: 0x0A).enumerated() {
      let head = line.prefix { $0 != 0x20 }
      guard let milliseconds = Int64(String(decoding: head, as: UTF8.self)),
        let gap = zip(line.indices, line.indices.dropFirst()).first(where: { line[$0] == 0x20 && line[$1] == 0x20 }),
        let text = unescaped(line[(gap.1 + 1)...])
      else { throw .damaged("history.txt:\(index + 1)") }
      events.append(DeadLetter.Event(at: WallTime(millisecondsSinceEpoch: milliseconds), text))
    }
    return events
  }

  private static func unescaped(_ octets: ArraySlice<UInt8>) -> String? {
    guard let text = String(validating: octets, as: UTF8.self) else { return nil }
    var output = String.UnicodeScalarView()
    var rest = text.unicodeScalars[...]
    while let scalar = rest.popFirst() {
      guard scalar == "\\" else {
        output.append(scalar)
        continue
      }
      switch rest.popFirst() {
      case "\\": output.append("\\")
      case "u":
        guard rest.popFirst() == "{", let end = rest.firstIndex(of: "}"),
          let value = UInt32(String(rest[..<end]), radix: 16), let character = Unicode.Scalar(value)
        else { return nil }
        output.append(character)
        rest = rest[rest.index(after: end)...]
      default: return nil
      }
    }
    return String(output)
  }

  private static func optional(_ key: String, of block: Block) -> String? { block.first { $0.key == key }?.value }

  private static func value(_ key: String, of block: Block) throws(DeadLetterError) -> String {
    guard let value = optional(key, of: block) else { throw .damaged("letter.txt: \(key) is missing") }
    return value
  }

  private static func time(_ text: String) throws(DeadLetterError) -> WallTime {
    guard let milliseconds = Int64(text.prefix { $0 != " " }) else { throw .damaged("letter.txt: a time") }
    return WallTime(millisecondsSinceEpoch: milliseconds)
  }

  private static func number(_ text: String) throws(DeadLetterError) -> UInt64 {
    guard let number = UInt64(text) else { throw .damaged("letter.txt: a number") }
    return number
  }

  private static func address(_ text: String) throws(DeadLetterError) -> Address {
    let scalars = text.unicodeScalars
    guard let space = scalars.firstIndex(of: " "), let kind = AddressKind(word: String(scalars[..<space])) else {
      throw .damaged("letter.txt: an address")
    }
    return Address(kind, String(scalars[scalars.index(after: space)...]))
  }

  private static func attributes(of block: Block) throws(DeadLetterError) -> [Attribute] {
    var attributes: [Attribute] = []
    var name: String?
    for (key, value) in block {
      if key == "attribute-name" {
        name = value
      } else if key == "attribute-value", let pending = name {
        attributes.append(Attribute(pending, value))
        name = nil
      }
    }
    return attributes
  }
}

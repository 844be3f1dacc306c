import MailModel

/// Reads replies, of one line or several, from octets in pieces of any size. RFC 5321 §4.2.1.
///
/// Lenient where servers are known to be careless: a line may end in LF alone, and the space after the code may be
/// missing. Strict in what decides: three digits 200…599, the same in every line of a reply. Bounded: 4,096 octets a
/// line, 512 lines, 65,536 octets a reply. After an error the connection is of no use.
struct ReplyReader: Sendable {
  enum Failure: Error, Equatable {
    case malformed
    case tooLong
  }

  static let lineOctetsMax = 4_096
  static let linesMax = 512
  static let replyOctetsMax = 65_536

  private var line: [UInt8] = []
  private var lines: [[UInt8]] = []
  private var octets = 0
  private var code: Int?

  init() {}

  /// Nothing of a reply has come yet.
  var isEmpty: Bool { line.isEmpty && lines.isEmpty }

  mutating func push(_ octet: UInt8) throws(Failure) -> Reply? {
    guard octet == ASCII.lf else {
      guard line.count < Self.lineOctetsMax else { throw .tooLong }
      line.append(octet)
      return nil
    }
    if line.last == ASCII.cr { line.removeLast() }
    let isLast = try takeLine()
    line.removeAll(keepingCapacity: true)
    guard isLast, let code else { return nil }
    let reply = Self.reply(code, lines)
    self = ReplyReader()
    return reply
  }

  private mutating func takeLine() throws(Failure) -> Bool {
    guard line.count >= 3, let number = ASCII.number(line[..<3]), (200...599).contains(number) else { throw .malformed }
    guard code == nil || code == number else { throw .malformed }
    code = number
    octets += line.count
    guard lines.count < Self.linesMax, octets <= Self.replyOctetsMax else { throw .tooLong }
    let mark = line.count > 3 ? line[3] : ASCII.space
    let hasMark = mark == ASCII.space || mark == ASCII.hyphen
    lines.append(Array(line.dropFirst(hasMark ? 4 : 3)))
    return mark != ASCII.hyphen
  }

  private static func reply(_ code: Int, _ lines: [[UInt8]]) -> Reply {
    var enhanced: EnhancedStatusCode?
    var texts: [String] = []
    for line in lines {
      var text = line[...]
      let word = line.prefix { $0 != ASCII.space }
      if let found = EnhancedStatusCode(String(decoding: word, as: UTF8.self)), enhanced == nil || enhanced == found,
        Int(found.class.rawValue) == code / 100
      {
        enhanced = found
        text = line[word.endIndex...].drop { $0 == ASCII.space }
      }
      texts.append(String(decoding: text.map { ASCII.isControl($0) ? ASCII.question : $0 }, as: UTF8.self))
    }
    return Reply(code, enhanced, texts)
  }
}

extension Reply {
  /// What the reply means in RFC 3463's terms: its own enhanced code, or one that follows from the basic code alone.
  var status: EnhancedStatusCode {
    if let enhanced { return enhanced }
    switch code {
    case 421: return EnhancedStatusCode(.persistentTransient, 3, 2)
    case 450: return EnhancedStatusCode(.persistentTransient, 2, 0)
    case 452: return EnhancedStatusCode(.persistentTransient, 3, 1)
    case 455, 501, 504, 555: return EnhancedStatusCode(code < 500 ? .persistentTransient : .permanent, 5, 4)
    case 500: return EnhancedStatusCode(.permanent, 5, 2)
    case 502, 503: return EnhancedStatusCode(.permanent, 5, 1)
    case 521: return EnhancedStatusCode(.permanent, 3, 2)
    case 530: return EnhancedStatusCode(.permanent, 7, 0)
    case 551: return EnhancedStatusCode(.permanent, 1, 6)
    case 552: return EnhancedStatusCode(.permanent, 2, 2)
    case 553: return .badDestinationSyntax
    case 556: return EnhancedStatusCode(.permanent, 1, 10)
    case 200...399: return .success
    case 400...499: return EnhancedStatusCode(.persistentTransient, 0, 0)
    default: return EnhancedStatusCode(.permanent, 0, 0)
    }
  }
}

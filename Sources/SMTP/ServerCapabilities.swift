/// What the server said that it can do, in its answer to `EHLO`. RFC 5321 §4.1.1.1.
public struct ServerCapabilities: Hashable, Sendable {
  /// How the server calls itself: the first word of its answer.
  public var name = ""
  public var pipelining = false
  public var eightBitMIME = false
  public var binaryMIME = false
  public var chunking = false
  public var smtputf8 = false
  public var dsn = false
  public var startTLS = false
  public var size = false
  /// Octets; nil when none was said, or 0, which means no fixed bound (RFC 1870 §3).
  public var contentOctetsMax: Int?

  /// Of a server that knows `HELO` only.
  public init() {}

  init(ehlo reply: Reply) {
    name = Self.firstWord(reply.lines.first)
    for line in reply.lines.dropFirst() {
      let words = line.utf8.split(separator: ASCII.space)
      guard let first = words.first, let keyword = ASCII.upperText(first) else { continue }
      switch keyword {
      case "PIPELINING": pipelining = true
      case "8BITMIME": eightBitMIME = true
      case "BINARYMIME": binaryMIME = true
      case "CHUNKING": chunking = true
      case "SMTPUTF8": smtputf8 = true
      case "DSN": dsn = true
      case "STARTTLS": startTLS = true
      case "SIZE":
        size = true
        if words.count > 1, let octets = ASCII.number(words[1]), octets > 0 { contentOctetsMax = octets }
      default: break
      }
    }
  }

  static func firstWord(_ line: String?) -> String {
    line.flatMap { $0.split(separator: " ").first.map(String.init) } ?? ""
  }
}

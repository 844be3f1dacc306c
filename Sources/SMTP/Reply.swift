public import MailModel

/// An answer on the wire. RFC 5321 §4.2; the enhanced code of RFC 2034.
public struct Reply: Hashable, Sendable {
  /// 200…599.
  public var code: Int
  /// Sent in front of every line's text. Nil in greetings and in answers to `EHLO` and `HELO` (RFC 2034 §4).
  public var enhanced: EnhancedStatusCode?
  /// One or more lines of text, without code and without line ends.
  public var lines: [String]

  public init(_ code: Int, _ enhanced: EnhancedStatusCode?, _ lines: [String]) {
    precondition((200...599).contains(code), "a reply code outside 200…599")
    self.code = code
    self.enhanced = enhanced
    self.lines = lines
  }

  public init(_ code: Int, _ enhanced: EnhancedStatusCode?, _ text: String) { self.init(code, enhanced, [text]) }

  public var isPositive: Bool { (200...299).contains(code) }
  public var isIntermediate: Bool { (300...399).contains(code) }
  public var isTransient: Bool { (400...499).contains(code) }
  public var isPermanent: Bool { (500...599).contains(code) }

  /// Octets of a reply line with its code and its CRLF. RFC 5321 §4.5.3.1.5.
  static let lineOctetsMax = 512

  /// The octets for the wire: every line ends in CRLF, is at most 512 octets, and holds nothing but printable ASCII;
  /// what is not is written as `?`, and what is longer is cut.
  public var octets: [UInt8] {
    var octets: [UInt8] = []
    append(to: &octets)
    return octets
  }

  func append(to octets: inout [UInt8]) {
    let lines = lines.isEmpty ? [""] : lines
    for (index, line) in lines.enumerated() {
      let start = octets.count
      octets.append(contentsOf: String(code).utf8)
      octets.append(index == lines.count - 1 ? ASCII.space : ASCII.hyphen)
      if let enhanced {
        octets.append(contentsOf: enhanced.description.utf8)
        octets.append(ASCII.space)
      }
      let room = Self.lineOctetsMax - 2 - (octets.count - start)
      for octet in line.utf8.prefix(max(0, room)) { octets.append(ASCII.isPrintable(octet) ? octet : ASCII.question) }
      octets.append(ASCII.cr)
      octets.append(ASCII.lf)
    }
  }
}

extension Reply: CustomStringConvertible {
  /// One line for logs and reports: code, enhanced code and the lines joined by a space.
  public var description: String {
    var parts = [String(code)]
    if let enhanced { parts.append(enhanced.description) }
    parts.append(contentsOf: lines.filter { !$0.isEmpty })
    return parts.joined(separator: " ")
  }
}

/// Why a command is refused, on its way to the one place that answers.
struct Refusal: Error {
  var reply: Reply

  init(_ code: Int, _ enhanced: EnhancedStatusCode, _ text: String) { reply = Reply(code, enhanced, text) }
}

enum ASCII {
  static let nul: UInt8 = 0x00
  static let tab: UInt8 = 0x09
  static let lf: UInt8 = 0x0A
  static let cr: UInt8 = 0x0D
  static let space: UInt8 = 0x20
  static let quote: UInt8 = 0x22
  static let plus: UInt8 = 0x2B
  static let hyphen: UInt8 = 0x2D
  static let dot: UInt8 = 0x2E
  static let colon: UInt8 = 0x3A
  static let semicolon: UInt8 = 0x3B
  static let less: UInt8 = 0x3C
  static let equals: UInt8 = 0x3D
  static let greater: UInt8 = 0x3E
  static let question: UInt8 = 0x3F
  static let at: UInt8 = 0x40
  static let backslash: UInt8 = 0x5C
  static let delete: UInt8 = 0x7F

  static func isPrintable(_ octet: UInt8) -> Bool { octet >= 0x20 && octet < 0x7F }
  static func isControl(_ octet: UInt8) -> Bool { octet < 0x20 || octet == delete }
  static func isDigit(_ octet: UInt8) -> Bool { (0x30...0x39).contains(octet) }

  static func upper(_ octet: UInt8) -> UInt8 { (0x61...0x7A).contains(octet) ? octet - 0x20 : octet }

  /// The text of ASCII octets with letters in upper case; nil when one of them is not printable ASCII.
  static func upperText(_ octets: some Collection<UInt8>) -> String? {
    guard octets.allSatisfy(isPrintable) else { return nil }
    return String(decoding: octets.map(upper), as: UTF8.self)
  }

  /// A decimal number of digits only; nil when there is none, or one that does not fit.
  static func number(_ octets: some Collection<UInt8>) -> Int? {
    guard !octets.isEmpty, octets.count <= 19 else { return nil }
    var number = 0
    for octet in octets {
      guard isDigit(octet) else { return nil }
      let (product, overflow) = number.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(Int(octet - 0x30))
      guard !overflow, !carry else { return nil }
      number = sum
    }
    return number
  }
}

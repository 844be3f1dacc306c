/// A Mailbox of RFC 5321 §4.1.2, with the UTF-8 of RFC 6531 §3.3 where the caller allows it.
///
/// Strict: comments, folding white space, source routes, a trailing dot and the obsolete local parts of RFC 5322 §4.4
/// are refused and the error says which it was. `%` and `!` are ordinary characters. The null path and a bare
/// `Postmaster` (RFC 5321 §4.1.1.3) are not mailboxes: who reads commands treats them before it comes here.
/// U-labels are checked for their characters only; conversion to A-labels is the caller's.
public struct SMTPAddress: Sendable {
  /// The value, without quoting: `"a b"@x` has the local part `a b`.
  public let localPart: String
  /// As written; a literal with its brackets.
  public let domain: String
  /// The value of a domain literal, nil for a name.
  public let literal: DomainLiteral?

  public var isDomainLiteral: Bool { literal != nil }

  /// Octets of a local part as written. RFC 5321 §4.5.3.1.1.
  public static let localPartOctetsMax = 64
  /// Octets of a mailbox: a path is at most 256 with its angle brackets. RFC 5321 §4.5.3.1.3. The domain's own 255
  /// (§4.5.3.1.2) follows from it.
  public static let octetsMax = 254
  /// Octets of a label. RFC 1035 §2.3.4; a U-label is counted in characters, for its A-label is at least as long.
  public static let labelOctetsMax = 63

  /// Reads a mailbox without angle brackets. One pass, no recursion.
  /// - Throws: 5.1.3 with the place; 5.6.7 for a non-ASCII character when `allowUTF8` is false.
  public static func parse(_ text: String, allowUTF8: Bool) throws(AddressError) -> SMTPAddress {
    guard !text.isEmpty else { throw AddressError("the address is empty", at: 0) }
    guard text.utf8.count <= octetsMax else {
      throw AddressError("the address has \(text.utf8.count) octets, more than \(octetsMax)", at: octetsMax)
    }
    let octets = Array(text.utf8)
    switch octets[0] {
    case .at: throw .at(0, octets.contains(.colon) ? "a source route starts" : "the local part is missing")
    case .lessThan: throw .at(0, "an angle bracket does not belong to the address,")
    default: break
    }
    let (localPart, atSign) = try parseLocalPart(octets, allowUTF8: allowUTF8)
    guard atSign <= localPartOctetsMax else {
      throw AddressError("the local part has \(atSign) octets, more than \(localPartOctetsMax)", at: localPartOctetsMax)
    }
    let start = atSign + 1
    guard start < octets.count else { throw .at(atSign, "nothing follows the \"@\"") }
    let literal: DomainLiteral?
    if octets[start] == .leftBracket {
      literal = try DomainLiteral.parse(octets, from: start)
    } else {
      try checkDomain(octets, from: start, allowUTF8: allowUTF8)
      literal = nil
    }
    return SMTPAddress(
      localPart: String(decoding: localPart, as: UTF8.self), domain: String(decoding: octets[start...], as: UTF8.self),
      literal: literal)
  }

  /// The unquoted value and the index of the `@` behind it.
  private static func parseLocalPart(
    _ octets: [UInt8], allowUTF8: Bool
  ) throws(AddressError) -> (value: [UInt8], atSign: Int) {
    if octets[0] == .quote { return try parseQuotedString(octets, allowUTF8: allowUTF8) }
    var previous = UInt8.dot
    for (index, octet) in octets.enumerated() {
      switch octet {
      case .at:
        guard previous != .dot else { throw .at(index - 1, "the local part ends with a dot") }
        return (Array(octets[..<index]), index)
      case .dot:
        guard previous != .dot else {
          throw .at(index, index == 0 ? "the local part starts with a dot" : "two dots in a row in the local part")
        }
      case .leftParenthesis: throw .at(index, "a comment starts")
      case .quote: throw .at(index, "a quoted string that is not the whole local part starts")
      case 0x80...:
        try checkNonASCII(octets, at: index, allowUTF8: allowUTF8, place: "the local part")
      default:
        guard isAtext(octet) else { throw .unexpected(octet, at: index, in: "an unquoted local part") }
      }
      previous = octet
    }
    throw AddressError("the address has no \"@\" and no domain", at: octets.count)
  }

  private static func parseQuotedString(
    _ octets: [UInt8], allowUTF8: Bool
  ) throws(AddressError) -> (value: [UInt8], atSign: Int) {
    var value: [UInt8] = []
    var index = 1
    while index < octets.count {
      let octet = octets[index]
      switch octet {
      case .quote:
        guard index + 1 < octets.count else { throw .at(index, "no \"@\" follows the quoted local part") }
        guard octets[index + 1] == .at else {
          throw .at(index + 1, "something other than \"@\" follows the quoted string")
        }
        return (value, index + 1)
      case .backslash:
        guard index + 1 < octets.count else { throw .at(index, "a backslash with nothing behind it") }
        guard (0x20...0x7E).contains(octets[index + 1]) else {
          throw .unexpected(octets[index + 1], at: index + 1, in: "a quoted pair")
        }
        value.append(octets[index + 1])
        index += 2
        continue
      case 0x20...0x7E: break
      case 0x80...: try checkNonASCII(octets, at: index, allowUTF8: allowUTF8, place: "the local part")
      default: throw .unexpected(octet, at: index, in: "a quoted string")
      }
      value.append(octet)
      index += 1
    }
    throw .at(0, "the quoted string has no end, it starts")
  }

  private static func checkDomain(_ octets: [UInt8], from start: Int, allowUTF8: Bool) throws(AddressError) {
    var labelStart = start
    var characterCount = 0
    for index in start...octets.count {
      let octet = index < octets.count ? octets[index] : .dot
      switch octet {
      case .dot:
        guard index > labelStart else {
          if index == octets.count { throw .at(index - 1, "the domain ends with a dot") }
          throw .at(index, index == start ? "the domain starts with a dot" : "two dots in a row in the domain")
        }
        guard octets[labelStart] != .hyphen else { throw .at(labelStart, "a label starts with a hyphen") }
        guard octets[index - 1] != .hyphen else { throw .at(index - 1, "a label ends with a hyphen") }
        guard characterCount <= labelOctetsMax else {
          throw .at(labelStart, "a label of \(characterCount) characters, more than \(labelOctetsMax), starts")
        }
        labelStart = index + 1
        characterCount = 0
      case .hyphen, 0x30...0x39, 0x41...0x5A, 0x61...0x7A: characterCount += 1
      case 0x80...:
        try checkNonASCII(octets, at: index, allowUTF8: allowUTF8, place: "a domain")
        if octet & 0xC0 != 0x80 { characterCount += 1 }
      case .at: throw .at(index, "a second \"@\"")
      case .leftParenthesis: throw .at(index, "a comment starts")
      default: throw .unexpected(octet, at: index, in: "a domain")
      }
    }
  }

  /// RFC 6531 allows every non-ASCII character; the controls U+0080…U+009F are refused all the same, because a terminal
  /// obeys them and no mailbox has them (listed in `docs/quirks.md`).
  private static func checkNonASCII(
    _ octets: [UInt8], at index: Int, allowUTF8: Bool, place: String
  ) throws(AddressError) {
    guard allowUTF8 else { throw .needsUTF8(at: index) }
    if octets[index] == 0xC2, index + 1 < octets.count, octets[index + 1] < 0xA0 {
      throw .at(index, "a control character is not allowed in \(place),")
    }
  }

  /// atext of RFC 5322 §3.2.3.
  private static func isAtext(_ octet: UInt8) -> Bool {
    switch octet {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
    case UInt8(ascii: "!"), UInt8(ascii: "#"), UInt8(ascii: "$"), UInt8(ascii: "%"), UInt8(ascii: "&"),
      UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "/"),
      UInt8(ascii: "="), UInt8(ascii: "?"), UInt8(ascii: "^"), UInt8(ascii: "_"), UInt8(ascii: "`"),
      UInt8(ascii: "{"), UInt8(ascii: "|"), UInt8(ascii: "}"), UInt8(ascii: "~"):
      true
    default: false
    }
  }

  /// The local part needs quoting unless it is a Dot-string.
  private var needsQuoting: Bool {
    var previous = UInt8.dot
    for octet in localPart.utf8 {
      if octet == .dot ? previous == .dot : !(octet >= 0x80 || Self.isAtext(octet)) { return true }
      previous = octet
    }
    return previous == .dot
  }
}

extension SMTPAddress: CustomStringConvertible {
  /// The mailbox with quoting only where it is needed; parses to an equal value.
  public var description: String {
    guard needsQuoting else { return "\(localPart)@\(domain)" }
    var quoted = "\""
    for scalar in localPart.unicodeScalars {
      if scalar == "\"" || scalar == "\\" { quoted.unicodeScalars.append("\\") }
      quoted.unicodeScalars.append(scalar)
    }
    return "\(quoted)\"@\(domain)"
  }
}

/// The domain compares without regard to ASCII case, the local part to the octet (RFC 5321 §2.4).
extension SMTPAddress: Hashable {
  public static func == (left: SMTPAddress, right: SMTPAddress) -> Bool {
    guard left.localPart.utf8.elementsEqual(right.localPart.utf8) else { return false }
    if left.literal != nil || right.literal != nil { return left.literal == right.literal }
    return left.domain.utf8.elementsEqual(right.domain.utf8) { $0.asciiLowercased == $1.asciiLowercased }
  }

  public func hash(into hasher: inout Hasher) {
    for octet in localPart.utf8 { hasher.combine(octet) }
    if let literal {
      hasher.combine(literal)
    } else {
      for octet in domain.utf8 { hasher.combine(octet.asciiLowercased) }
    }
  }
}

extension UInt8 {
  static let quote = UInt8(ascii: "\"")
  static let backslash = UInt8(ascii: "\\")
  static let leftParenthesis = UInt8(ascii: "(")
  static let leftBracket = UInt8(ascii: "[")
  static let rightBracket = UInt8(ascii: "]")
  static let lessThan = UInt8(ascii: "<")
  static let dot = UInt8(ascii: ".")
  static let colon = UInt8(ascii: ":")
  static let semicolon = UInt8(ascii: ";")
  static let slash = UInt8(ascii: "/")
  static let equals = UInt8(ascii: "=")
  static let hyphen = UInt8(ascii: "-")
  static let dollar = UInt8(ascii: "$")
  static let space = UInt8(ascii: " ")
  static let at = UInt8(ascii: "@")

  var asciiLowercased: UInt8 { (0x41...0x5A).contains(self) ? self + 0x20 : self }
}

/// Why an address cannot be used, and where in its text.
public struct AddressError: Error, Hashable, Sendable {
  /// What a report or a reply says: 5.1.3 for a recipient, 5.1.7 for an originator (``Address/validate(role:smtputf8:)``).
  public var code: EnhancedStatusCode
  /// One line for people, printable ASCII whatever the address held; names the place, octets counted from 1.
  public var text: String
  /// Octets of the UTF-8 text before the place; at most the length of the text.
  public var offset: Int

  public init(_ text: String, at offset: Int, code: EnhancedStatusCode = .badDestinationSyntax) {
    self.code = code
    self.text = text
    self.offset = offset
  }
}

extension AddressError {
  /// `what at octet N`, N counted from 1.
  static func at(_ offset: Int, _ what: String) -> AddressError {
    AddressError("\(what) at octet \(offset + 1)", at: offset)
  }

  /// A non-ASCII character where SMTPUTF8 was not asked for. RFC 6531 §3.5, 5.6.7.
  static func needsUTF8(at offset: Int) -> AddressError {
    AddressError("a non-ASCII character at octet \(offset + 1) needs SMTPUTF8", at: offset, code: .nonASCIIAddress)
  }

  /// A character that the grammar does not have at this place, in words that are safe to print.
  static func unexpected(_ octet: UInt8, at offset: Int, in place: String) -> AddressError {
    let what =
      switch octet {
      case 0x20: "a space"
      case 0x09: "a tab"
      case 0x22: "a quotation mark"
      case 0x21...0x7E: "the character \"\(Unicode.Scalar(octet))\""
      case 0x80...: "a non-ASCII character"
      default: "the control character \(octet)"
      }
    return .at(offset, "\(what) is not allowed in \(place),")
  }
}

extension EnhancedStatusCode {
  /// 5.6.7, a non-ASCII address where it is not permitted (RFC 6531 §3.5).
  public static let nonASCIIAddress = EnhancedStatusCode(.permanent, 6, 7)
  /// 5.1.8, the sender's system cannot be known (RFC 3463 §3.2).
  public static let badSenderSystem = EnhancedStatusCode(.permanent, 1, 8)
}

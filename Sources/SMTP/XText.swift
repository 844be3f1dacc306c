/// The xtext of RFC 3461 §4: printable ASCII but `+` and `=` stands for itself, anything else is `+` and two hex digits.
public enum XText {
  /// Nil when it is not xtext, when it decodes to a control character (NUL, CR, LF and DEL among them), which no
  /// ENVID or address holds and which would reach headers of reports, or when the octets are not UTF-8.
  public static func decode(_ octets: some Collection<UInt8>, allowsEightBit: Bool = false) -> String? {
    var decoded: [UInt8] = []
    decoded.reserveCapacity(octets.count)
    var iterator = octets.makeIterator()
    while let octet = iterator.next() {
      var value = octet
      switch octet {
      case ASCII.plus:
        guard let high = iterator.next().flatMap(hexValue), let low = iterator.next().flatMap(hexValue) else {
          return nil
        }
        value = high << 4 | low
      case ASCII.equals: return nil
      case 0x21...0x7E: break
      default: guard allowsEightBit, octet >= 0x80 else { return nil }
      }
      guard !ASCII.isControl(value), value < 0x80 || allowsEightBit else { return nil }
      decoded.append(value)
    }
    return String(validating: decoded, as: UTF8.self)
  }

  public static func encode(_ text: String) -> String {
    var encoded: [UInt8] = []
    for octet in text.utf8 {
      if (0x21...0x7E).contains(octet), octet != ASCII.plus, octet != ASCII.equals {
        encoded.append(octet)
      } else {
        encoded.append(ASCII.plus)
        encoded.append(hexDigits[Int(octet >> 4)])
        encoded.append(hexDigits[Int(octet & 15)])
      }
    }
    return String(decoding: encoded, as: UTF8.self)
  }

  /// Nil for an empty text, one that is not printable ASCII, or one whose xtext is longer: it is left out, since a
  /// server would refuse the command for it.
  static func encode(_ text: String, octetsMax: Int) -> String? {
    guard !text.isEmpty, text.utf8.allSatisfy(ASCII.isPrintable) else { return nil }
    let encoded = encode(text)
    return encoded.utf8.count <= octetsMax ? encoded : nil
  }

  /// utf-8-addr-xtext of RFC 6533 §3, before xtext: all that is not ASCII, and `\`, as `\x{HEX}`.
  static func encodeUnicodeEscapes(_ text: String) -> String {
    var encoded = ""
    for scalar in text.unicodeScalars {
      if scalar.isASCII, scalar != "\\" {
        encoded.unicodeScalars.append(scalar)
      } else {
        encoded += "\\x{\(String(scalar.value, radix: 16, uppercase: true))}"
      }
    }
    return encoded
  }

  /// Replaces `\x{HEX}` of RFC 6533 §3 by its character. Nil for a control character, `\`, or what is no scalar.
  static func decodeUnicodeEscapes(_ text: String) -> String? {
    var decoded = String.UnicodeScalarView()
    var rest = text.unicodeScalars[...]
    while let scalar = rest.popFirst() {
      guard scalar == "\\" else {
        decoded.append(scalar)
        continue
      }
      guard rest.popFirst() == "x", rest.popFirst() == "{" else { return nil }
      let digits = rest.prefix { $0 != "}" }
      guard (2...6).contains(digits.count), rest.dropFirst(digits.count).first == "}",
        digits.allSatisfy({ $0.properties.isASCIIHexDigit }), let value = UInt32(String(digits), radix: 16),
        value >= 0x20, !(0x7F...0x9F).contains(value),
        let decodedScalar = Unicode.Scalar(value)
      else { return nil }
      decoded.append(decodedScalar)
      rest = rest.dropFirst(digits.count + 1)
    }
    return String(decoded)
  }

  private static let hexDigits = Array("0123456789ABCDEF".utf8)

  private static func hexValue(_ octet: UInt8) -> UInt8? {
    switch ASCII.upper(octet) {
    case 0x30...0x39: octet - 0x30
    case 0x41...0x46: ASCII.upper(octet) - 0x41 + 10
    default: nil
    }
  }
}

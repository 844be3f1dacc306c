/// Text from elsewhere made fit for a header field. RFC 5322 §2.2.
public enum HeaderText {
  /// Lines are folded to this where white space allows, RFC 5322 §2.1.1; CRLF not counted.
  public static let lineOctetsPreferred = 78
  public static let lineOctetsMax = 998

  /// One line that is safe in a header, a log and a terminal: each control character (C0, DEL, C1), line or paragraph
  /// separator and bidirectional control becomes a space, and any other non-ASCII character `?` unless
  /// `allowUTF8`. At most `octetsMax` octets, cut at a character.
  public static func neutralised(_ text: String, allowUTF8: Bool = false, octetsMax: Int = 4_096) -> String {
    var safe = ""
    var octets = 0
    for scalar in text.unicodeScalars {
      let replacement: Unicode.Scalar
      switch scalar.value {
      case 0x20...0x7E: replacement = scalar
      case 0...0x1F, 0x7F...0x9F, 0x61C, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069: replacement = " "
      default: replacement = allowUTF8 ? scalar : "?"
      }
      octets += UTF8.width(replacement)
      guard octets <= octetsMax else { break }
      safe.unicodeScalars.append(replacement)
    }
    return safe
  }

  /// `name: value` and its CRLF, folded at spaces so that lines keep to 78 octets where they can and to 998 always. The
  /// value is neutralised; a line never consists of white space alone (RFC 5322 §3.2.2).
  /// - Parameter name: A field name from the source code or one that was read; octets that no name has are left out.
  public static func field(_ name: String, _ value: String, allowUTF8: Bool = false, octetsMax: Int = 65_536) -> [UInt8]
  {
    var octets = Array(name.utf8.filter { $0 > 0x20 && $0 < 0x7F && $0 != 0x3A }) + [0x3A]
    let firstColumn = octets.count
    var column = firstColumn
    let safe = neutralised(value, allowUTF8: allowUTF8, octetsMax: octetsMax)
    for word in safe.utf8.split(separator: 0x20) {
      if column + 1 + word.count > lineOctetsPreferred, column != firstColumn {
        octets += [0x0D, 0x0A]
        column = 0
      }
      octets.append(0x20)
      column += 1
      for octet in word {
        let startsCharacter = octet & 0xC0 != 0x80
        if column >= lineOctetsMax - 3, startsCharacter {
          octets += [0x0D, 0x0A, 0x20]
          column = 1
        }
        octets.append(octet)
        column += 1
      }
    }
    return octets + [0x0D, 0x0A]
  }
}

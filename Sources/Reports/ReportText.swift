import MailModel

/// Texts from elsewhere, made safe to print in a header, a report and a terminal.
///
/// What is not printable becomes `\x{HEX}`, the form of RFC 6533 §3, in upper case without leading zeros.
enum ReportText {
  /// Which characters stay as they are besides U+0021…U+007E and single spaces.
  enum Mode {
    /// Nothing: every further space of a run, and one at an end, is escaped too, so that folding changes nothing.
    case exact
    /// Runs of spaces become one.
    case prose
  }

  static func escaped(_ text: String, _ mode: Mode, utf8: Bool) -> String {
    var output = ""
    output.reserveCapacity(text.utf8.count)
    var pendingSpaces = 0
    func flush(_ output: inout String, isEnd: Bool) {
      guard pendingSpaces > 0 else { return }
      switch mode {
      case .prose:
        if !output.isEmpty && !isEnd { output += " " }
      case .exact:
        let plain = output.isEmpty || isEnd ? 0 : 1
        if plain == 1 { output += " " }
        for _ in plain..<pendingSpaces { output += "\\x{20}" }
      }
      pendingSpaces = 0
    }
    for scalar in text.unicodeScalars {
      if scalar == " " {
        pendingSpaces += 1
        continue
      }
      flush(&output, isEnd: false)
      if isPrintable(scalar, utf8: utf8) {
        output.unicodeScalars.append(scalar)
      } else {
        output += "\\x{" + String(scalar.value, radix: 16, uppercase: true) + "}"
      }
    }
    flush(&output, isEnd: true)
    return output
  }

  /// Graphic ASCII; in a UTF-8 report also what is neither control, format, separator, private nor unassigned, so that
  /// no text can turn the direction of a line or hide in it.
  static func isPrintable(_ scalar: Unicode.Scalar, utf8: Bool) -> Bool {
    if scalar.isASCII { return (0x21...0x7E).contains(scalar.value) }
    guard utf8 else { return false }
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .spaceSeparator, .surrogate, .privateUse, .unassigned:
      return false
    default:
      return true
    }
  }

  /// An address-type and address of RFC 3464 §2.3.1 and §2.3.2, `utf-8` by RFC 6533 §3 when it is not ASCII.
  static func typed(_ type: String, _ text: String, utf8: Bool) -> String {
    let type = token(type)
    guard type.lowercased() == "rfc822" || type.lowercased() == "utf-8", !text.utf8.allSatisfy({ $0 < 0x80 }) else {
      return "\(type); \(escaped(text, .exact, utf8: utf8))"
    }
    if utf8 { return "utf-8; \(escaped(text, .exact, utf8: true))" }
    var output = "utf-8; "
    for scalar in text.unicodeScalars {
      switch scalar {
      case "+", "=", "\\", " ": output += "\\x{" + String(scalar.value, radix: 16, uppercase: true) + "}"
      default: output += escaped(String(scalar), .exact, utf8: false)
      }
    }
    return output
  }

  /// Letters, digits and `.-_:[]`, at most 255; anything else is a hyphen, and nothing at all is `unknown`.
  static func token(_ text: String) -> String {
    guard !text.isEmpty else { return "unknown" }
    var output = ""
    for octet in text.utf8.prefix(255) {
      switch octet {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"),
        UInt8(ascii: ":"), UInt8(ascii: "["), UInt8(ascii: "]"):
        output.unicodeScalars.append(Unicode.Scalar(octet))
      default: output += "-"
      }
    }
    return output
  }

  /// A msg-id between its brackets: `left@right`, each a ``token(_:)``.
  static func messageID(_ text: String) -> String {
    guard let at = text.firstIndex(of: "@") else { return token(text) + "@unknown" }
    return token(String(text[..<at])) + "@" + token(String(text[text.index(after: at)...]))
  }

  /// A quoted string of RFC 5322 §3.2.4.
  static func quoted(_ text: String, utf8: Bool) -> String {
    var output = "\""
    for scalar in escaped(text, .exact, utf8: utf8).unicodeScalars {
      if scalar == "\"" || scalar == "\\" { output += "\\" }
      output.unicodeScalars.append(scalar)
    }
    return output + "\""
  }

  /// At most ``Limits/statusTextOctetsMax`` octets, cut between characters.
  static func cut(_ text: String) -> String {
    guard text.utf8.count > Limits.statusTextOctetsMax else { return text }
    var output = String.UnicodeScalarView()
    var count = 0
    for scalar in text.unicodeScalars {
      count += UTF8.width(scalar)
      guard count <= Limits.statusTextOctetsMax else { break }
      output.append(scalar)
    }
    return String(output) + " [cut]"
  }
}

/// Lines ended by CRLF, none longer than 998 octets as long as ``raw(_:)`` and ``append(_:)`` get none.
struct ReportLines {
  private(set) var octets: [UInt8] = []
  let utf8: Bool

  /// Where folding starts (RFC 5322 §2.1.1, should), and where a run without a space is broken all the same (must).
  private static let lineOctetsPreferred = 76
  private static let runOctetsMax = 900

  init(utf8: Bool) { self.utf8 = utf8 }

  /// A line of this program's own making.
  mutating func raw(_ line: String) {
    octets.append(contentsOf: line.utf8)
    newline()
  }

  mutating func append(_ more: [UInt8]) { octets.append(contentsOf: more) }

  /// A header field or status field; `value` is already escaped.
  mutating func field(_ name: String, _ value: String) { folded("\(name): ", value, indent: " ") }

  /// A paragraph of text.
  mutating func paragraph(_ text: String) { folded("", text, indent: "") }

  /// Words of `value` behind `start`; further lines start with `indent`.
  mutating func folded(_ start: String, _ value: String, indent: String) {
    octets.append(contentsOf: start.utf8)
    var column = start.utf8.count
    var isFirstOfLine = true
    func breakLine(_ lines: inout ReportLines) {
      lines.newline()
      lines.octets.append(contentsOf: indent.utf8)
      column = indent.utf8.count
      isFirstOfLine = true
    }
    for word in value.utf8.split(separator: UInt8(ascii: " ")) {
      if !isFirstOfLine {
        if column + 1 + word.count > Self.lineOctetsPreferred {
          breakLine(&self)
        } else {
          octets.append(UInt8(ascii: " "))
          column += 1
        }
      }
      var rest = word
      while true {
        var end = rest.index(rest.startIndex, offsetBy: Self.runOctetsMax, limitedBy: rest.endIndex) ?? rest.endIndex
        while end < rest.endIndex, rest[end] & 0xC0 == 0x80 { end = rest.index(before: end) }
        octets.append(contentsOf: rest[..<end])
        column += rest[..<end].count
        isFirstOfLine = false
        rest = rest[end...]
        guard !rest.isEmpty else { break }
        breakLine(&self)
      }
    }
    newline()
  }

  private mutating func newline() { octets += [0x0D, 0x0A] }
}

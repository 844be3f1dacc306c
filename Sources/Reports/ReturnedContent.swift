import MailModel

/// The part that gives the message back: all of it (message/rfc822) or its header (text/rfc822-headers, RFC 6522 §4).
///
/// All of it only when RET=FULL asked for it, a recipient failed (RFC 3461 §4.3), it is within
/// ``Limits/returnedContentOctetsMax``, and it can travel as 8BITMIME at worst; otherwise the header, in
/// quoted-printable when it holds more than printable ASCII.
struct ReturnedContent {
  enum Kind {
    case full
    case headers
    /// Not even the header fitted.
    case headersCut
  }

  let kind: Kind
  let header: [String]
  let octets: [UInt8]

  init(of message: ReportedMessage, head: [UInt8], failed: Bool, utf8: Bool) {
    let isWhole = UInt64(head.count) == message.contentOctets && head.count <= Limits.returnedContentOctetsMax
    if failed, message.envelope.returnContent == .full, isWhole, let lines = Self.textLines(head[...]) {
      let section = Self.headerSection(head).octets
      let isGlobal = message.envelope.smtputf8 && !section.allSatisfy { $0 < 0x80 }
      kind = .full
      octets = lines
      header =
        ["Content-Type: \(isGlobal ? "message/global" : "message/rfc822")"]
        + (lines.allSatisfy { $0 < 0x80 } ? [] : ["Content-Transfer-Encoding: 8bit"])
      return
    }
    let (section, isWholeSection) = Self.headerSection(head)
    kind = isWholeSection || UInt64(head.count) == message.contentOctets ? .headers : .headersCut
    let isClean = section.allSatisfy { (0x20...0x7E).contains($0) || $0 == 0x09 || $0 == 0x0A || $0 == 0x0D }
    if isClean, let lines = Self.textLines(section) {
      octets = lines
      header = ["Content-Type: text/rfc822-headers"]
      return
    }
    let isUTF8 = String(validating: section, as: UTF8.self) != nil
    let type =
      isUTF8 && message.envelope.smtputf8
      ? "message/global-headers" : "text/rfc822-headers; charset=\(isUTF8 ? "utf-8" : "unknown-8bit")"
    octets = Self.quotedPrintable(section)
    header = ["Content-Type: \(type)", "Content-Transfer-Encoding: quoted-printable"]
  }

  /// Up to the empty line; when there is none within the limit, up to the last end of line there, or all there is.
  static func headerSection(_ head: [UInt8]) -> (octets: ArraySlice<UInt8>, isWhole: Bool) {
    let limit = min(head.count, Limits.returnedContentOctetsMax)
    var lineStart = 0
    for index in 0..<limit where head[index] == 0x0A {
      let isEmpty = index == lineStart || (index == lineStart + 1 && head[lineStart] == 0x0D)
      if isEmpty { return (head[..<lineStart], true) }
      lineStart = index + 1
    }
    return (head[..<(lineStart > 0 ? lineStart : limit)], false)
  }

  /// The lines with CRLF behind each; nil when there is a NUL or a line beyond 998 octets, which need BINARYMIME.
  /// A lone CR or LF counts as the end of a line.
  static func textLines(_ octets: ArraySlice<UInt8>) -> [UInt8]? {
    var output: [UInt8] = []
    output.reserveCapacity(octets.count + 64)
    var column = 0
    var previous: UInt8 = 0
    for octet in octets {
      switch octet {
      case 0: return nil
      case 0x0A where previous == 0x0D: break
      case 0x0A, 0x0D:
        output += [0x0D, 0x0A]
        column = 0
      default:
        output.append(octet)
        column += 1
        guard column <= 998 else { return nil }
      }
      previous = octet
    }
    if column > 0 { output += [0x0D, 0x0A] }
    return output
  }

  /// RFC 2045 §6.7: lines of at most 76, ends of lines as they are, everything else that is not graphic encoded.
  static func quotedPrintable(_ octets: ArraySlice<UInt8>) -> [UInt8] {
    let digits = Array("0123456789ABCDEF".utf8)
    var output: [UInt8] = []
    var column = 0
    var index = octets.startIndex
    while index < octets.endIndex {
      let octet = octets[index]
      let next = index + 1 < octets.endIndex ? octets[index + 1] : 0x0A
      index += 1
      if octet == 0x0A || (octet == 0x0D && next == 0x0A && index < octets.endIndex) {
        if octet == 0x0D { index += 1 }
        output += [0x0D, 0x0A]
        column = 0
        continue
      }
      let isPlain: Bool
      switch octet {
      case 0x20, 0x09: isPlain = next != 0x0A && next != 0x0D
      case UInt8(ascii: "="): isPlain = false
      default: isPlain = (0x21...0x7E).contains(octet)
      }
      if column + (isPlain ? 1 : 3) > 75 {
        output += [UInt8(ascii: "="), 0x0D, 0x0A]
        column = 0
      }
      if isPlain {
        output.append(octet)
        column += 1
      } else {
        output += [UInt8(ascii: "="), digits[Int(octet >> 4)], digits[Int(octet & 15)]]
        column += 3
      }
    }
    if column > 0 { output += [0x0D, 0x0A] }
    return output
  }
}

/// Takes content off the wire: removes the dots of RFC 5321 §4.5.2, finds the end, and watches the line ends.
///
/// Only CRLF `.` CRLF ends dotted content. Each CR or LF that is not half of a CRLF, and each NUL, is noted and written
/// as a space, so that what leaves here has one meaning for every reader after us.
struct ContentDecoder: Sendable {
  enum Framing: Sendable {
    /// `DATA`.
    case dotted
    /// `BDAT`: the end is counted elsewhere.
    case counted
  }

  private enum Place: Sendable {
    case lineStart
    /// After a `.` that opened the line.
    case dot
    case dotCR
    case inLine
    case cr
  }

  private let framing: Framing
  private var place = Place.lineStart
  private var lineOctets = 0
  private(set) var sawBareLineEnd = false
  private(set) var sawNUL = false
  private(set) var hasEightBitOctets = false
  private(set) var longestLineOctets = 0

  init(_ framing: Framing) { self.framing = framing }

  /// Consumes from `input`, appends to `output`. True when the end was found; what follows it stays in `input`.
  mutating func decode(_ input: inout ArraySlice<UInt8>, into output: inout [UInt8]) -> Bool {
    var index = input.startIndex
    let end = input.endIndex
    while index < end {
      let octet = input[index]
      switch place {
      case .lineStart:
        if octet == ASCII.dot, framing == .dotted {
          place = .dot
          index += 1
        } else {
          place = .inLine
        }
      case .dot:
        if octet == ASCII.cr {
          place = .dotCR
          index += 1
        } else {
          place = .inLine
        }
      case .dotCR:
        if octet == ASCII.lf {
          input = input[(index + 1)...]
          return true
        }
        place = .cr
      case .cr:
        if octet == ASCII.lf {
          output.append(ASCII.cr)
          output.append(ASCII.lf)
          longestLineOctets = max(longestLineOctets, lineOctets)
          lineOctets = 0
          place = .lineStart
          index += 1
        } else {
          bareLineEnd(into: &output)
          place = .inLine
        }
      case .inLine:
        let start = index
        var union: UInt8 = 0
        while index < end {
          let octet = input[index]
          if octet <= ASCII.cr, octet == ASCII.cr || octet == ASCII.lf || octet == ASCII.nul { break }
          union |= octet
          index += 1
        }
        if union >= 0x80 { hasEightBitOctets = true }
        output.append(contentsOf: input[start..<index])
        lineOctets += index - start
        guard index < end else { break }
        switch input[index] {
        case ASCII.cr: place = .cr
        case ASCII.lf: bareLineEnd(into: &output)
        default:
          sawNUL = true
          output.append(ASCII.space)
          lineOctets += 1
        }
        index += 1
      }
    }
    input = input[end...]
    return false
  }

  /// Counted content is over.
  mutating func finish(into output: inout [UInt8]) {
    if place == .cr { bareLineEnd(into: &output) }
    longestLineOctets = max(longestLineOctets, lineOctets)
  }

  private mutating func bareLineEnd(into output: inout [UInt8]) {
    sawBareLineEnd = true
    output.append(ASCII.space)
    lineOctets += 1
  }
}

/// Puts content on the wire. Whatever the content holds, only CRLF leaves as a line end and no NUL leaves, so that a
/// CR or LF alone cannot be taken for the end of content by a careless reader; dots are stuffed (RFC 5321 §4.5.2).
struct ContentEncoder: Sendable {
  enum Framing: Sendable, Equatable {
    /// `DATA`.
    case dotted
    /// `BDAT`, one chunk a piece; line ends are made CRLF all the same.
    case chunked
    /// `BDAT` of BINARYMIME content, octet for octet. RFC 3030 §3.
    case binary
  }

  let framing: Framing
  /// A longer line is broken by CRLF and a space, before a character begins where that is possible. RFC 5321 §4.5.3.1.6.
  let lineOctetsMax: Int
  private var column = 0
  private var pendingCR = false

  init(_ framing: Framing, lineOctetsMax: Int = .max) {
    self.framing = framing
    self.lineOctetsMax = lineOctetsMax
  }

  mutating func encode(_ piece: ArraySlice<UInt8>) -> [UInt8] {
    guard !piece.isEmpty else { return [] }
    switch framing {
    case .binary: return Self.chunk(piece, isLast: false)
    case .chunked:
      var body: [UInt8] = []
      body.reserveCapacity(piece.count + 64)
      encodeLines(piece, into: &body)
      return body.isEmpty ? [] : Self.chunk(body[...], isLast: false)
    case .dotted:
      var octets: [UInt8] = []
      octets.reserveCapacity(piece.count + piece.count / 32 + 64)
      encodeLines(piece, into: &octets)
      return octets
    }
  }

  /// The end: the last line is ended if it was not, then the dot or the last chunk.
  mutating func finish() -> [UInt8] {
    var octets: [UInt8] = []
    if pendingCR || (column > 0 && framing == .dotted) { endLine(into: &octets) }
    switch framing {
    case .dotted: return octets + [ASCII.dot, ASCII.cr, ASCII.lf]
    case .chunked, .binary: return Self.chunk(octets[...], isLast: true)
    }
  }

  private static func chunk(_ body: ArraySlice<UInt8>, isLast: Bool) -> [UInt8] {
    Array("BDAT \(body.count)\(isLast ? " LAST" : "")\r\n".utf8) + body
  }

  private mutating func endLine(into output: inout [UInt8]) {
    output.append(ASCII.cr)
    output.append(ASCII.lf)
    column = 0
    pendingCR = false
  }

  private mutating func encodeLines(_ piece: ArraySlice<UInt8>, into output: inout [UInt8]) {
    var index = piece.startIndex
    let end = piece.endIndex
    while index < end {
      let octet = piece[index]
      if octet == ASCII.lf {
        endLine(into: &output)
        index += 1
        continue
      }
      if pendingCR { endLine(into: &output) }
      if octet == ASCII.cr {
        pendingCR = true
        index += 1
        continue
      }
      if octet == ASCII.nul {
        breakLine(before: octet, into: &output)
        output.append(ASCII.space)
        column += 1
        index += 1
        continue
      }
      if column == 0, octet == ASCII.dot, framing == .dotted { output.append(ASCII.dot) }
      breakLine(before: octet, into: &output)
      let start = index
      let limit = column < lineOctetsMax - 3 ? lineOctetsMax - 3 - column : 1
      while index < end, index - start < limit {
        let octet = piece[index]
        if octet <= ASCII.cr, octet == ASCII.cr || octet == ASCII.lf || octet == ASCII.nul { break }
        index += 1
      }
      output.append(contentsOf: piece[start..<index])
      column += index - start
    }
  }

  /// Near the bound runs are one octet long, so that every octet there is asked about.
  private mutating func breakLine(before octet: UInt8, into output: inout [UInt8]) {
    let startsCharacter = octet & 0xC0 != 0x80
    guard column >= lineOctetsMax || (column >= lineOctetsMax - 3 && startsCharacter) else { return }
    endLine(into: &output)
    output.append(ASCII.space)
    column = 1
  }
}

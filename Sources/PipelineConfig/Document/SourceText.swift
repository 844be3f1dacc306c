/// The octets of a configuration file and where its lines start, by the line breaks that libyaml counts: LF, CR LF, CR,
/// NEL, LS and PS (YAML 1.1 §4.2).
public struct SourceText: Sendable {
  public let octets: [UInt8]
  private let lineStarts: [Int]

  public init(_ octets: [UInt8]) {
    self.octets = octets
    var starts = [0]
    var index = 0
    while index < octets.count {
      let breakOctets = Self.lineBreak(in: octets, at: index)
      index += max(breakOctets, 1)
      if breakOctets > 0 { starts.append(index) }
    }
    lineStarts = starts
  }

  private static func lineBreak(in octets: [UInt8], at index: Int) -> Int {
    func next(_ distance: Int) -> UInt8 { index + distance < octets.count ? octets[index + distance] : 0 }
    switch octets[index] {
    case 0x0A: return 1
    case 0x0D: return next(1) == 0x0A ? 2 : 1
    case 0xC2: return next(1) == 0x85 ? 2 : 0
    case 0xE2: return next(1) == 0x80 && (next(2) == 0xA8 || next(2) == 0xA9) ? 3 : 0
    default: return 0
    }
  }

  public var lineCount: Int { lineStarts.count }

  /// A line without its break, counted from 1; empty outside the file. Octets that are not UTF-8 become U+FFFD.
  public func line(_ number: Int) -> String {
    guard number >= 1, number <= lineStarts.count else { return "" }
    let start = lineStarts[number - 1]
    let limit = number < lineStarts.count ? lineStarts[number] : octets.count
    var end = start
    while end < limit, Self.lineBreak(in: octets, at: end) == 0 { end += 1 }
    return String(decoding: octets[start..<end], as: UTF8.self)
  }

  /// The line and column (from 1) of an octet; the end of the file when it lies beyond.
  func position(ofOctet offset: Int) -> (line: Int, column: Int) {
    let offset = min(max(offset, 0), octets.count)
    var low = 0
    var high = lineStarts.count - 1
    while low < high {
      let middle = (low + high + 1) / 2
      if lineStarts[middle] <= offset { low = middle } else { high = middle - 1 }
    }
    let before = String(decoding: octets[lineStarts[low]..<offset], as: UTF8.self)
    return (low + 1, before.unicodeScalars.count + 1)
  }

  /// The character at a line and column, when there is one. Costs the length of the line.
  func scalar(line number: Int, column: Int) -> Unicode.Scalar? {
    guard column >= 1 else { return nil }
    return line(number).unicodeScalars.dropFirst(column - 1).first
  }
}

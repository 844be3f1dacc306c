/// Cuts the octets of a connection into command lines, with memory bounded by the longest line allowed.
///
/// Only CRLF ends a line. A CR or LF alone, or any other control character but TAB, spoils the line up to its CRLF:
/// what one hop takes for one line must not be two for the next.
struct CommandLineReader: Sendable {
  enum Event: Equatable {
    /// Without its CRLF.
    case line([UInt8])
    /// A bad octet; said once, when it is met, and the line's rest is passed over.
    case malformed
    /// Said once, when the bound is passed, and the line's rest is passed over.
    case tooLong
  }

  private let octetsMax: Int
  private var line: [UInt8] = []
  private var sawCR = false
  private var skipping = false

  init(octetsMax: Int) { self.octetsMax = octetsMax }

  var isAtLineStart: Bool { line.isEmpty && !sawCR && !skipping }

  mutating func push(_ octet: UInt8) -> Event? {
    if octet == ASCII.lf, sawCR {
      defer { self = CommandLineReader(octetsMax: octetsMax) }
      return skipping ? nil : .line(line)
    }
    let wasCR = sawCR
    sawCR = octet == ASCII.cr
    guard !skipping else { return nil }
    if wasCR || (!sawCR && ASCII.isControl(octet) && octet != ASCII.tab) { return skip(.malformed) }
    if sawCR { return nil }
    if line.count + 2 >= octetsMax { return skip(.tooLong) }
    line.append(octet)
    return nil
  }

  private mutating func skip(_ event: Event) -> Event {
    line = []
    skipping = true
    return event
  }
}

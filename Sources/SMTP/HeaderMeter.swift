/// Counts the octets of the header section and the `Received` fields in it while content passes.
/// The header ends at the first empty line; lines end in CRLF.
struct HeaderMeter: Sendable {
  private(set) var octets = 0
  private(set) var hops = 0
  private(set) var isOver = false
  /// Octets of the present line, CR included.
  private var column = 0
  private var matched = 0

  private static let name = Array("RECEIVED:".utf8)

  mutating func scan(_ content: ArraySlice<UInt8>) {
    guard !isOver else { return }
    for octet in content {
      octets += 1
      if octet == ASCII.lf {
        if column <= 1 {
          isOver = true
          return
        }
        column = 0
        matched = 0
        continue
      }
      if matched == column, column < Self.name.count, ASCII.upper(octet) == Self.name[column] {
        matched += 1
        if matched == Self.name.count { hops += 1 }
      }
      column += 1
    }
  }
}

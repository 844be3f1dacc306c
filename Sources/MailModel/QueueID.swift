/// The identity of a message in one spool. Never used again, not even after the spool was wiped: the high 42 bits are
/// the milliseconds since 1970 at which the identifier was made, the low 22 bits count within them.
///
/// The text form is thirteen characters of Crockford's base 32, which sort as the identifiers do.
public struct QueueID: Hashable, Comparable, Sendable {
  public let rawValue: UInt64

  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The next identifier after `last`, made at `now`. Stays ahead of `last` when the wall clock steps back.
  public static func next(after last: QueueID, now: WallTime) -> QueueID {
    let fromClock = UInt64(max(0, now.millisecondsSinceEpoch)) << 22
    return QueueID(rawValue: max(fromClock, last.rawValue &+ 1))
  }

  public static func < (left: QueueID, right: QueueID) -> Bool { left.rawValue < right.rawValue }
}

extension QueueID: CustomStringConvertible, LosslessStringConvertible {
  private static let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ".utf8)
  private static let characterCount = 13

  public var description: String {
    String(unsafeUninitializedCapacity: Self.characterCount) { octets in
      var rest = rawValue
      for index in (0..<Self.characterCount).reversed() {
        octets[index] = Self.alphabet[Int(rest & 31)]
        rest >>= 5
      }
      return Self.characterCount
    }
  }

  /// Reads the text form; letters of either case. Nil when it is not exactly one.
  public init?(_ text: String) {
    guard text.utf8.count == Self.characterCount else { return nil }
    var value: UInt64 = 0
    for octet in text.utf8 {
      let upper = octet >= 0x61 && octet <= 0x7A ? octet - 0x20 : octet
      guard let digit = Self.alphabet.firstIndex(of: upper), value >> 59 == 0 else { return nil }
      value = value << 5 | UInt64(digit)
    }
    self.init(rawValue: value)
  }
}

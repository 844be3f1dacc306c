/// A moment on the wall clock: for people, for headers and for records that outlive the process.
/// Deadlines and timers use ``MonotonicTime``, which clock jumps do not move.
public struct WallTime: Hashable, Comparable, Sendable {
  public let millisecondsSinceEpoch: Int64

  public init(millisecondsSinceEpoch: Int64) { self.millisecondsSinceEpoch = millisecondsSinceEpoch }

  public static func < (left: WallTime, right: WallTime) -> Bool {
    left.millisecondsSinceEpoch < right.millisecondsSinceEpoch
  }
}

/// A moment on a clock that only moves forward, in nanoseconds since some start; comparable within one process only.
public struct MonotonicTime: Hashable, Comparable, Sendable {
  public let nanoseconds: Int64

  public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  public static func < (left: MonotonicTime, right: MonotonicTime) -> Bool { left.nanoseconds < right.nanoseconds }

  /// The moment `seconds` later; saturates instead of overflowing.
  public func advanced(bySeconds seconds: Double) -> MonotonicTime {
    let sum = Double(nanoseconds) + seconds * 1e9
    return MonotonicTime(nanoseconds: sum >= 9.2e18 ? Int64.max : Int64(sum))
  }

  public func seconds(since earlier: MonotonicTime) -> Double { Double(nanoseconds - earlier.nanoseconds) / 1e9 }
}

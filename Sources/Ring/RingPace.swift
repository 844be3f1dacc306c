public import CPlatform

/// When to look at the other side's position, and when to leave it alone.
///
/// Each look at a position that the other side is writing takes the cache line away from it, a tenth of a microsecond or
/// more on a large machine, and a side that follows closely on the other's heels does so for every slot. So a side that
/// finds little when it looks lets more *gather* for a fraction of a microsecond, and looks again. That pays in a stream and costs
/// a lone message its latency; which of the two it is, the side learns: a gathering that brought nothing makes it pass up
/// the next one, the next two, four… opportunities, and one that brought something makes it try every time again.
@frozen @usableFromInline struct Gathering: Sendable {
  /// Little is less than this, or than a quarter of a small ring.
  @inlinable static var slots: Int { 128 }
  @inlinable static var pauses: Int { 16 }
  @inlinable static var passedUpMax: Int { 1024 }

  /// Opportunities still to pass up, and how many after the next futile gathering.
  @usableFromInline var left: Int = 0
  @usableFromInline var next: Int = 1

  @usableFromInline init() {}

  /// True when `found` slots are so few that the caller should gather now.
  @inlinable @inline(__always)
  mutating func isDue(found: Int, capacity: Int) -> Bool {
    guard found < Self.slots, found < capacity / 4 else {
      next = 1
      return false
    }
    if left == 0 { return true }
    left &-= 1
    return false
  }

  @inlinable @inline(__always)
  func wait() { for _ in 0..<Self.pauses { cplatform_pause() } }

  @inlinable @inline(__always)
  mutating func learn(brought slots: Int) {
    if slots > 0 {
      next = 1
    } else {
      left = next
      next = min(next &* 2, Self.passedUpMax)
    }
  }
}

/// How many slots ahead of its position a side fetches cache lines: enough to hide the way to the other core, few enough to
/// stay behind it.
@usableFromInline enum Prefetch {
  @inlinable static var slots: Int { 16 }
}

/// How long to spin before sleeping: doubled when a spin was worth it, halved when not. Bounds in looks.
@frozen @usableFromInline struct SpinBudget: Sendable {
  static let looksMin = 8
  static let looksMax = 1024

  @usableFromInline var looks: Int = 128

  @usableFromInline init() {}

  mutating func succeeded() { looks = min(looks * 2, Self.looksMax) }
  mutating func failed() { looks = max(looks / 2, Self.looksMin) }
}

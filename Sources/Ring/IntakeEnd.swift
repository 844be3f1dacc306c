internal import CPlatform
internal import MailModel
internal import Synchronization

/// What the three ends of an intake ring have in common: a count of their own, the count they follow, and sleep.
struct IntakeEnd: ~Copyable {
  /// The counts, each on a pair of cache lines with the sleep word of the end that owns it 64 octets further.
  enum Count: Int {
    case published = 0
    case committed = 128
    case taken = 256
  }

  static let wordsOctets = 384

  private let words: UnsafeMutableRawPointer
  private let own: Count
  private let follows: Count
  /// How far this end may be ahead of the one it follows: the capacity for the producer, 0 for the others.
  private let ahead: UInt64
  private let wakes: Count
  /// What the own count holds.
  private(set) var position: UInt64 = 0
  /// Up to which position this end may go, as last seen.
  private var limit: UInt64
  private var spin = SpinBudget()

  init(_ words: UnsafeMutableRawPointer, own: Count, follows: Count, ahead: UInt64, wakes: Count) {
    self.words = words
    self.own = own
    self.follows = follows
    self.ahead = ahead
    self.wakes = wakes
    self.limit = ahead
  }

  static func count(_ words: UnsafeMutableRawPointer, _ count: Count) -> UnsafeMutablePointer<Atomic<UInt64>> {
    RingMemory.word(words, count.rawValue)
  }

  private func sleepWord(_ count: Count) -> UnsafeMutablePointer<Atomic<UInt32>> {
    RingMemory.sleepWord(words, count.rawValue + 64)
  }

  private var known: Int { Int(limit &- position) }

  /// Slots that this end may touch now, at most `max`.
  mutating func available(_ max: Int) -> Int {
    if known < max { look() }
    return min(known, max)
  }

  private mutating func look() {
    // ORDERING: acquire pairs with the release in advance of the end followed (invariant 4).
    limit = Self.count(words, follows).pointee.load(ordering: .acquiring) &+ ahead
  }

  /// Passes the next `count` slots on to the end that follows.
  mutating func advance(_ count: Int) {
    precondition(count >= 0 && count <= known, "advanced beyond what is available")
    position &+= UInt64(count)
    // ORDERING: release pairs with the acquire in look of the end that follows (invariant 4).
    Self.count(words, own).pointee.store(position, ordering: .releasing)
  }

  /// True when the end that follows sleeps elsewhere and its doorbell is to be rung. Wakes it when it sleeps in wait.
  func takeWakeRequest() -> Bool {
    // ORDERING: this fence pairs with the one in announce (invariant 5).
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    let word = sleepWord(wakes)
    if word.pointee.load(ordering: .relaxed) == Sleep.awake.rawValue { return false }
    return RingMemory.takeWakeRequest(word)
  }

  mutating func prepareToSleep() -> Bool { announce(.elsewhere) }

  func awake() {
    // ORDERING: relaxed; whoever still sees the sleep wakes somebody who is up, which does no harm.
    sleepWord(own).pointee.store(Sleep.awake.rawValue, ordering: .relaxed)
  }

  /// Waits until there is a slot; false when the deadline passed.
  mutating func wait(until deadline: MonotonicTime?) -> Bool {
    for _ in 0..<spin.looks {
      if available(1) == 1 {
        spin.succeeded()
        return true
      }
      cplatform_pause()
    }
    spin.failed()
    while announce(.onWord) {
      guard RingMemory.sleep(sleepWord(own), until: deadline) else {
        awake()
        return available(1) == 1
      }
    }
    return true
  }

  private mutating func announce(_ sleep: Sleep) -> Bool {
    sleepWord(own).pointee.store(sleep.rawValue, ordering: .relaxed)
    // ORDERING: this fence pairs with the one in takeWakeRequest of the end followed (invariant 5).
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    if available(1) == 0 { return true }
    awake()
    return false
  }
}

internal import CPlatform
public import MailModel
internal import Platform
public import Synchronization

/// How a side that has nothing to do sleeps and is woken.
///
///     awake ──prepareToSleep──► elsewhere ──the other side's takeWakeRequest, or awake()──► awake
///     awake ──wait, waitForSpace──► onWord ──the other side's takeWakeRequest (and a futex wake)──► awake
///
/// `elsewhere` is for a side that sleeps in epoll with several doorbells; the other side is told to ring the doorbell.
/// `onWord` is for a thread that waits for this ring alone. A peer that writes anything else there counts as elsewhere.
@usableFromInline enum Sleep: UInt32 {
  case awake = 0
  case onWord = 1
  case elsewhere = 2
}

extension RingConsumer {
  /// Announces that this side is going to sleep elsewhere (epoll, with the doorbell the producer was given).
  ///
  /// - Returns: False when there is something to read after all: do not sleep; the announcement is withdrawn. True: sleep
  ///   until the doorbell rings, then call ``awake()``.
  /// - Throws: ``RingError/corrupt``; the announcement is withdrawn.
  public mutating func prepareToSleep() throws(RingError) -> Bool { try announce(.elsewhere) }

  /// Withdraws the announcement. A doorbell may still ring once for it.
  public func awake() {
    // ORDERING: relaxed; a producer that still sees the sleep wakes somebody who is up, which does no harm.
    RingMemory.sleepWord(base, RingMemory.consumerSleepOffset).pointee.store(Sleep.awake.rawValue, ordering: .relaxed)
  }

  /// Waits until more slots are available than this side knows of: spins shortly, then sleeps.
  ///
  /// - Parameter deadline: Nil waits without limit.
  /// - Returns: False when the deadline passed. A signal does not end the wait.
  /// - Throws: ``RingError/corrupt``.
  public mutating func wait(until deadline: MonotonicTime?) throws(RingError) -> Bool {
    let before = cachedTail
    for _ in 0..<spin.looks {
      try look()
      if cachedTail != before {
        spin.succeeded()
        return true
      }
      pause()
    }
    spin.failed()
    let word = RingMemory.sleepWord(base, RingMemory.consumerSleepOffset)
    while try announce(.onWord) {
      guard RingMemory.sleep(word, until: deadline) else {
        awake()
        try look()
        return cachedTail != before
      }
    }
    return true
  }

  private mutating func announce(_ sleep: Sleep) throws(RingError) -> Bool {
    let before = cachedTail
    let word = RingMemory.sleepWord(base, RingMemory.consumerSleepOffset)
    word.pointee.store(sleep.rawValue, ordering: .relaxed)
    // ORDERING: this fence pairs with the one in RingProducer.takeWakeRequest (invariant 6).
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    do { try look() } catch {
      awake()
      throw error
    }
    if cachedTail == before { return true }
    awake()
    return false
  }
}

extension RingProducer {
  /// Announces that this side is going to sleep elsewhere until `count` slots are free.
  ///
  /// - Parameter count: 1…capacity. The consumer wakes nobody before so many are free.
  /// - Returns: False when there is space after all: do not sleep; the announcement is withdrawn. True: sleep until the
  ///   doorbell rings, then call ``awake()``.
  /// - Throws: ``RingError/corrupt``; the announcement is withdrawn.
  public mutating func prepareToSleep(forSpace count: Int) throws(RingError) -> Bool {
    try announce(.elsewhere, count: count)
  }

  /// Withdraws the announcement. A doorbell may still ring once for it.
  public func awake() {
    // ORDERING: relaxed; a consumer that still sees the sleep wakes somebody who is up, which does no harm.
    RingMemory.sleepWord(base, RingMemory.producerSleepOffset).pointee.store(Sleep.awake.rawValue, ordering: .relaxed)
  }

  /// Waits until `count` slots are free: spins shortly, then sleeps.
  ///
  /// - Parameters:
  ///   - count: 1…capacity.
  ///   - deadline: Nil waits without limit.
  /// - Returns: False when the deadline passed. A signal does not end the wait.
  /// - Throws: ``RingError/corrupt``.
  public mutating func waitForSpace(_ count: Int, until deadline: MonotonicTime?) throws(RingError) -> Bool {
    for _ in 0..<spin.looks {
      if try refresh() >= count {
        spin.succeeded()
        return true
      }
      pause()
    }
    spin.failed()
    let word = RingMemory.sleepWord(base, RingMemory.producerSleepOffset)
    while try announce(.onWord, count: count) {
      guard RingMemory.sleep(word, until: deadline) else {
        awake()
        return try refresh() >= count
      }
    }
    return true
  }

  private mutating func announce(_ sleep: Sleep, count: Int) throws(RingError) -> Bool {
    precondition(count > 0 && count <= capacity, "space for more than the ring holds")
    // ORDERING: relaxed, published by the release below.
    RingMemory.word(base, RingMemory.awaitedHeadOffset).pointee
      .store(position &+ UInt64(count) &- slotCount, ordering: .relaxed)
    // ORDERING: release pairs with the acquire in RingConsumer.takeWakeRequest.
    RingMemory.sleepWord(base, RingMemory.producerSleepOffset).pointee.store(sleep.rawValue, ordering: .releasing)
    // ORDERING: this fence pairs with the one in RingConsumer.takeWakeRequest (invariant 6).
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    do {
      if try refresh() < count { return true }
    } catch {
      awake()
      throw error
    }
    awake()
    return false
  }
}

extension RingMemory {
  /// Takes the other side's sleep word: true when its doorbell is to be rung.
  @usableFromInline static func takeWakeRequest(_ word: UnsafeMutablePointer<Atomic<UInt32>>) -> Bool {
    // ORDERING: relaxed; the fence before the look has ordered it, and the exchange makes sure that one sleep is
    // answered once.
    let sleep = word.pointee.exchange(Sleep.awake.rawValue, ordering: .relaxed)
    guard let sleep = Sleep(rawValue: sleep) else { return true }
    switch sleep {
    case .awake: return false
    case .elsewhere: return true
    case .onWord:
      Futex.wake(word)
      return false
    }
  }

  /// Sleeps until the word is taken; false when the deadline has passed.
  static func sleep(_ word: UnsafeMutablePointer<Atomic<UInt32>>, until deadline: MonotonicTime?) -> Bool {
    var timeout: Int64?
    if let deadline {
      let (left, overflow) = deadline.nanoseconds.subtractingReportingOverflow(MonotonicTime.now().nanoseconds)
      guard overflow || left > 0 else { return false }
      timeout = overflow ? .max : left
    }
    return Futex.wait(word, while: Sleep.onWord.rawValue, timeoutNanoseconds: timeout)
  }

  @inlinable @inline(__always)
  static func word(_ base: UnsafeMutableRawPointer, _ offset: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
    // SAFETY: offsets are the constants above, 8-aligned and within the header; Atomic<UInt64> has UInt64's layout.
    (base + offset).assumingMemoryBound(to: Atomic<UInt64>.self)
  }

  @inlinable @inline(__always)
  static func sleepWord(_ base: UnsafeMutableRawPointer, _ offset: Int) -> UnsafeMutablePointer<Atomic<UInt32>> {
    // SAFETY: as above, 4-aligned.
    (base + offset).assumingMemoryBound(to: Atomic<UInt32>.self)
  }

  /// Calls `body` for each contiguous piece of a run of octets that may wrap, with the octets done before it: at most
  /// two pieces. The caller has checked that the run lies within slots that are its own.
  static func copy(
    slots: UnsafeMutableRawPointer, slotCount: UInt64, position: UInt64, offsetOctets: Int, count: Int,
    _ body: (UnsafeMutableRawBufferPointer, _ done: Int) -> Void
  ) {
    let size = Int(slotCount) * slotOctets
    let start = (Int(position & (slotCount - 1)) * slotOctets + offsetOctets) % size
    let first = min(count, size - start)
    // SAFETY: start < size and start + first ≤ size; the rest is count - first ≤ size, from the slots' start.
    if first > 0 { body(UnsafeMutableRawBufferPointer(start: slots + start, count: first), 0) }
    if first < count { body(UnsafeMutableRawBufferPointer(start: slots, count: count - first), first) }
  }
}

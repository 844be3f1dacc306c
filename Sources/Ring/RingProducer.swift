public import CPlatform
public import Synchronization

/// The writing end of a ring (``RingMemory`` describes both ends).
///
/// A cycle: ``claim(_:)`` slots, write them through ``slot(_:)`` or ``copyIn(offsetOctets:from:)``, ``publish(_:)``, and
/// once a batch ``takeWakeRequest()``. Belongs to one thread at a time; must not outlive the memory.
@frozen public struct RingProducer: ~Copyable, @unchecked Sendable {
  // SAFETY: Sendable, because an endpoint is used by one thread at a time (it cannot be copied) and all it shares with
  // the other end are the atomic words and the slots under invariant 5.
  @usableFromInline let base: UnsafeMutableRawPointer
  @usableFromInline let slots: UnsafeMutableRawPointer
  @usableFromInline let slotCount: UInt64
  /// Slots published so far: what tail holds.
  @usableFromInline var position: UInt64
  /// The head last seen.
  @usableFromInline var cachedHead: UInt64
  @usableFromInline var gathering = Gathering()
  @usableFromInline var spin = SpinBudget()

  /// Attaches to a ring that ``RingMemory/initialize(_:capacity:)`` laid out.
  ///
  /// - Parameters:
  ///   - memory: The ring's memory, as long as this process maps it.
  ///   - capacity: What the ring must have been made with; told by whoever handed over the memory.
  /// - Throws: ``RingError`` when the memory is not such a ring; it is unchanged then.
  public init(attaching memory: UnsafeMutableRawBufferPointer, capacity: Int) throws(RingError) {
    let base = try RingMemory.validate(memory, capacity: capacity)
    // ORDERING: relaxed, only this side writes tail; an earlier producer handed over by other means.
    let tail = RingMemory.word(base, RingMemory.tailOffset).pointee.load(ordering: .relaxed)
    // ORDERING: acquire pairs with the release in RingConsumer.release.
    let head = RingMemory.word(base, RingMemory.headOffset).pointee.load(ordering: .acquiring)
    guard tail &- head <= UInt64(capacity) else { throw .corrupt }
    self.base = base
    self.slots = base + RingMemory.slotsOffset
    self.slotCount = UInt64(capacity)
    self.position = tail
    self.cachedHead = head
  }

  /// Slots in the ring.
  public var capacity: Int { Int(truncatingIfNeeded: slotCount) }

  /// Free slots that this side knows of without asking.
  @inlinable @inline(__always) var known: Int { Int(truncatingIfNeeded: slotCount &- (position &- cachedHead)) }

  /// Claims up to `count` slots after the last published one.
  ///
  /// - Returns: How many of them may be written now, 0…count; never fewer than an earlier claim that was not published.
  /// - Throws: ``RingError/corrupt``.
  @inlinable @inline(__always)
  public mutating func claim(_ count: Int) throws(RingError) -> Int {
    if known >= count { return count }
    return min(try refresh(), count)
  }

  /// Reads how far the consumer is; the free slots. In a stream it lets some gather first (``Gathering``).
  @inlinable
  mutating func refresh() throws(RingError) -> Int {
    let before = cachedHead
    try look()
    if cachedHead == before { return known }
    if gathering.isDue(found: known, capacity: capacity) {
      let found = known
      gathering.wait()
      try look()
      gathering.learn(brought: known - found)
    }
    return known
  }

  @inlinable @inline(__always)
  mutating func look() throws(RingError) {
    // ORDERING: acquire pairs with the release in RingConsumer.release: the consumer has read what it gave back.
    let head = RingMemory.word(base, RingMemory.headOffset).pointee.load(ordering: .acquiring)
    guard head &- cachedHead <= position &- cachedHead else { throw .corrupt }
    cachedHead = head
  }

  /// The `index`-th claimed slot, 64 octets aligned to 64.
  @inlinable @inline(__always)
  public func slot(_ index: Int) -> UnsafeMutableRawPointer {
    assert(index >= 0 && index < known, "slot not claimed")
    return address(index)
  }

  @inlinable @inline(__always)
  func address(_ index: Int) -> UnsafeMutableRawPointer {
    // SAFETY: masked, so within the slots for any index.
    return slots
      + Int(truncatingIfNeeded: ((position &+ UInt64(truncatingIfNeeded: index)) & (slotCount &- 1)) &* 64)
  }

  /// Gives the first `count` claimed slots to the consumer. Does not wake it: ``takeWakeRequest()`` does.
  @inlinable @inline(__always)
  public mutating func publish(_ count: Int) {
    precondition(count >= 0 && count <= known, "published more than was claimed")
    // SAFETY: a hint, for slots that are free and so this side's.
    for index in 0..<max(0, min(count, known &- Prefetch.slots)) {
      cplatform_prefetch_to_write(address(index &+ Prefetch.slots))
    }
    position &+= UInt64(truncatingIfNeeded: count)
    // ORDERING: release pairs with the acquire in RingConsumer.refresh: the slots are written before they are seen.
    RingMemory.word(base, RingMemory.tailOffset).pointee.store(position, ordering: .releasing)
  }

  /// Copies octets into the claimed slots as if they were contiguous, from `offsetOctets` after the first one's start.
  public func copyIn(offsetOctets: Int, from source: UnsafeRawBufferPointer) {
    precondition(
      offsetOctets >= 0 && offsetOctets <= known * RingMemory.slotOctets - source.count, "copied beyond the claim")
    RingMemory.copy(
      slots: slots, slotCount: slotCount, position: position, offsetOctets: offsetOctets, count: source.count
    ) { memory, done in
      // SAFETY: memory lies within claimed slots (checked above), which only this side touches.
      memory.copyMemory(from: UnsafeRawBufferPointer(rebasing: source[done..<done + memory.count]))
    }
  }

  /// After publishing, and before going on to other work: says whether the consumer sleeps elsewhere and wants its
  /// doorbell rung; the caller rings it. A consumer that sleeps in ``RingConsumer/wait(until:)`` is woken here.
  ///
  /// Costs a full fence, so call once a batch. Each sleep is answered once.
  @inlinable
  public func takeWakeRequest() -> Bool {
    // ORDERING: this fence pairs with the one in RingConsumer.prepareToSleep (invariant 6).
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    let word = RingMemory.sleepWord(base, RingMemory.consumerSleepOffset)
    if word.pointee.load(ordering: .relaxed) == RingMemory.awakeWord { return false }
    return RingMemory.takeWakeRequest(word)
  }

  /// One step of a busy wait for space: for a thread that has nothing else to do and a core of its own.
  @inlinable @inline(__always)
  public func pause() { for _ in 0..<2 { cplatform_pause() } }
}

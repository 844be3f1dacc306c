public import CPlatform
public import Synchronization

/// The reading end of a ring (``RingMemory`` describes both ends).
///
/// A cycle: ``available(_:)``, read the slots through ``slot(_:)`` or ``copyOut(offsetOctets:into:)``, ``release(_:)``,
/// and once a batch ``takeWakeRequest()``. Belongs to one thread at a time; must not outlive the memory.
///
/// The octets of a slot are a peer's and may change while they are looked at: copy first, then judge the copy.
@frozen public struct RingConsumer: ~Copyable, @unchecked Sendable {
  // SAFETY: as for RingProducer.
  @usableFromInline let base: UnsafeMutableRawPointer
  @usableFromInline let slots: UnsafeMutableRawPointer
  @usableFromInline let slotCount: UInt64
  /// Slots released so far: what head holds.
  @usableFromInline var position: UInt64
  /// The tail last seen.
  @usableFromInline var cachedTail: UInt64
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
    // ORDERING: relaxed, only this side writes head; an earlier consumer handed over by other means.
    let head = RingMemory.word(base, RingMemory.headOffset).pointee.load(ordering: .relaxed)
    // ORDERING: acquire pairs with the release in RingProducer.publish.
    let tail = RingMemory.word(base, RingMemory.tailOffset).pointee.load(ordering: .acquiring)
    guard tail &- head <= UInt64(capacity) else { throw .corrupt }
    self.base = base
    self.slots = base + RingMemory.slotsOffset
    self.slotCount = UInt64(capacity)
    self.position = head
    self.cachedTail = tail
  }

  /// Slots in the ring.
  public var capacity: Int { Int(truncatingIfNeeded: slotCount) }

  /// Published slots that this side knows of without asking.
  @inlinable @inline(__always) var known: Int { Int(truncatingIfNeeded: cachedTail &- position) }

  /// Published slots, at most `max`; never fewer than an earlier call that was not followed by a release.
  ///
  /// - Throws: ``RingError/corrupt``.
  @inlinable @inline(__always)
  public mutating func available(_ max: Int) throws(RingError) -> Int {
    if known >= max { return max }
    return min(try refresh(), max)
  }

  /// Reads how far the producer is; the slots available.
  ///
  /// In a stream it lets some gather first (``Gathering``).
  @inlinable
  mutating func refresh() throws(RingError) -> Int {
    let before = cachedTail
    try look()
    if cachedTail == before { return known }
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
    // ORDERING: acquire pairs with the release in RingProducer.publish: the slots were written before.
    let tail = RingMemory.word(base, RingMemory.tailOffset).pointee.load(ordering: .acquiring)
    guard tail &- cachedTail <= slotCount &- (cachedTail &- position) else { throw .corrupt }
    cachedTail = tail
  }

  /// The `index`-th available slot, 64 octets aligned to 64.
  @inlinable @inline(__always)
  public func slot(_ index: Int) -> UnsafeRawPointer {
    assert(index >= 0 && index < known, "slot not available")
    return address(index)
  }

  @inlinable @inline(__always)
  func address(_ index: Int) -> UnsafeRawPointer {
    // SAFETY: masked, so within the slots for any index.
    return UnsafeRawPointer(slots)
      + Int(truncatingIfNeeded: ((position &+ UInt64(truncatingIfNeeded: index)) & (slotCount &- 1)) &* 64)
  }

  /// Gives the first `count` available slots back. Does not wake the producer: ``takeWakeRequest()`` does.
  @inlinable @inline(__always)
  public mutating func release(_ count: Int) {
    precondition(count >= 0 && count <= known, "released more than was available")
    // SAFETY: a hint, for slots that are published and so this side's.
    for index in 0..<max(0, min(count, known &- Prefetch.slots)) {
      cplatform_prefetch(address(index &+ Prefetch.slots))
    }
    position &+= UInt64(truncatingIfNeeded: count)
    // ORDERING: release pairs with the acquire in RingProducer.refresh: the slots are read before they are free.
    RingMemory.word(base, RingMemory.headOffset).pointee.store(position, ordering: .releasing)
  }

  /// Copies octets out of the available slots as if they were contiguous, from `offsetOctets` after the first one's start.
  public func copyOut(offsetOctets: Int, into target: UnsafeMutableRawBufferPointer) {
    precondition(
      offsetOctets >= 0 && offsetOctets <= known * RingMemory.slotOctets - target.count, "copied beyond the available")
    RingMemory.copy(
      slots: slots, slotCount: slotCount, position: position, offsetOctets: offsetOctets, count: target.count
    ) { memory, done in
      // SAFETY: memory lies within published slots (checked above); a peer's late writes only change the copy.
      UnsafeMutableRawBufferPointer(rebasing: target[done..<done + memory.count])
        .copyMemory(from: UnsafeRawBufferPointer(memory))
    }
  }

  /// After releasing, and before going on to other work: says whether the producer sleeps elsewhere, awaits space that
  /// there is now, and wants its doorbell rung; the caller rings it. A producer that sleeps in
  /// ``RingProducer/waitForSpace(_:until:)`` is woken here.
  ///
  /// Costs a full fence, so call once a batch. Each sleep is answered once.
  @inlinable
  public func takeWakeRequest() -> Bool {
    // ORDERING: this fence pairs with the one in RingProducer.prepareToSleep (invariant 6).
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    let word = RingMemory.sleepWord(base, RingMemory.producerSleepOffset)
    // ORDERING: acquire pairs with the release in RingProducer.prepareToSleep: the awaited head belongs to this sleep.
    if word.pointee.load(ordering: .acquiring) == RingMemory.awakeWord { return false }
    // ORDERING: relaxed, ordered by the acquire above.
    let awaited = RingMemory.word(base, RingMemory.awaitedHeadOffset).pointee.load(ordering: .relaxed)
    if Int64(bitPattern: position &- awaited) < 0 { return false }
    return RingMemory.takeWakeRequest(word)
  }

  /// One step of a busy wait for slots: for a thread that has nothing else to do and a core of its own.
  @inlinable @inline(__always)
  public func pause() { for _ in 0..<2 { cplatform_pause() } }
}

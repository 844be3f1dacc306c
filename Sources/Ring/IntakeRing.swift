/// The intake: one ring within the host that several threads pass in a fixed order, as in the LMAX Disruptor.
///
///     producer ──published──► committer ──committed──► dispatcher ──taken──► producer (a lap later)
///
/// The producer puts an element (a message a source offers), the committer makes it durable and writes into it what came
/// of that, the dispatcher takes it out. Group commit falls out by itself: the committer takes whatever was put since its
/// last sync. Each end follows the one before it.
///
/// Definitions: `published`, `committed` and `taken` count elements since the start; the slot of position p is
/// p mod capacity.
///
/// Invariants
/// 1. taken ≤ committed ≤ published ≤ taken + capacity. So the committer never passes the producer, the dispatcher never
///    passes the committer, and the producer never laps the dispatcher.
/// 2. Each count is written by one end only. An end touches only the slots between its own count and that of the end it
///    follows; therefore no two ends ever touch the same slot at once, and the committer may change an element in place.
/// 3. A slot holds an element from the producer's put to the dispatcher's take, and nothing otherwise. What is left when
///    all ends are gone is released with the ring.
/// 4. What an end did to a slot comes before its count is stored (release), which the next end loads (acquire).
/// 5. No lost wake-up: as invariant 6 of ``RingMemory``, between each end and the one that follows it.
///
/// Threads: each end belongs to one thread at a time; two ends may share a thread. What a crash leaves: nothing, the ring
/// is memory of the process; what was not committed was not accepted.
///
/// Made in one place and taken apart there: `let ring = IntakeRing<…>(capacity: …)`, then each end is moved to its owner.
@frozen public struct IntakeRing<Element: Sendable>: ~Copyable {
  public var producer: IntakeProducer<Element>
  public var committer: IntakeCommitter<Element>
  public var dispatcher: IntakeDispatcher<Element>

  /// - Parameter capacity: Elements, a power of two up to ``RingMemory/capacityMax``.
  public init(capacity: Int) {
    let slots = IntakeSlots<Element>(capacity: capacity)
    let lap = UInt64(capacity)
    producer = IntakeProducer(
      slots: slots, end: IntakeEnd(slots.words, own: .published, follows: .taken, ahead: lap, wakes: .committed))
    committer = IntakeCommitter(
      slots: slots, end: IntakeEnd(slots.words, own: .committed, follows: .published, ahead: 0, wakes: .taken))
    dispatcher = IntakeDispatcher(
      slots: slots, end: IntakeEnd(slots.words, own: .taken, follows: .committed, ahead: 0, wakes: .published))
  }
}

/// The memory of an intake ring, kept by its ends and released with the last.
final class IntakeSlots<Element>: @unchecked Sendable {
  // SAFETY: Sendable, because the ends share the elements under invariants 2 and 4.
  private let elements: UnsafeMutablePointer<Element>
  private let mask: UInt64
  let words: UnsafeMutableRawPointer

  init(capacity: Int) {
    precondition(
      capacity > 0 && capacity <= RingMemory.capacityMax && capacity & (capacity - 1) == 0,
      "capacity is a power of two up to capacityMax")
    mask = UInt64(capacity - 1)
    elements = .allocate(capacity: capacity)
    words = .allocate(byteCount: IntakeEnd.wordsOctets, alignment: 128)
    words.initializeMemory(as: UInt8.self, repeating: 0, count: IntakeEnd.wordsOctets)
  }

  /// The slot of a position.
  func slot(_ position: UInt64) -> UnsafeMutablePointer<Element> {
    // SAFETY: masked, so within the elements for any position.
    elements + Int(position & mask)
  }

  deinit {
    // ORDERING: relaxed; the last reference is gone, and letting it go was a release of whatever its holder did.
    let taken = IntakeEnd.count(words, .taken).pointee.load(ordering: .relaxed)
    let published = IntakeEnd.count(words, .published).pointee.load(ordering: .relaxed)
    var position = taken
    while position != published {
      // SAFETY: invariant 3: slots from taken to published hold an element.
      slot(position).deinitialize(count: 1)
      position &+= 1
    }
    elements.deallocate()
    words.deallocate()
  }
}

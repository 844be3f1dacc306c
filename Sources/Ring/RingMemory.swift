/// The ring: how descriptors and frames move between two threads, which may belong to two processes.
///
/// One producer writes slots of 64 octets, one consumer reads them in the same order. Both work on one region of memory
/// and never lock. The region holds
///
///     octets 0…23      magic, layout version, slot size, capacity: written once, before anybody attaches
///     octet  128       tail: slots published since the start                   (written by the producer)
///     octet  256       head: slots released since the start                    (written by the consumer)
///     octet  384       sleep word of the consumer                              (set by it, taken by the producer)
///     octet  512       sleep word of the producer; at 520 the head it awaits   (set by it, taken by the consumer)
///     octet  1024…     the slots; slot p mod capacity is that of position p
///
/// with 128 octets between words that different sides write, because a core fetches lines in pairs.
///
/// Definitions: positions are 64-bit counts that never wrap in practice (584 years at a slot a nanosecond) and are
/// compared by wrapping subtraction all the same. A slot is *free*, then *claimed* (the producer writes it), then
/// *published* (the consumer may read it), then *released*, which is free again.
///
/// Invariants
/// 1. head ≤ tail ≤ head + capacity.
/// 2. Only the producer writes tail and the free slots; only the consumer writes head.
/// 3. Each side keeps its own position in its endpoint and never reads it back from the region. What it reads from the
///    region is the other side's position, and only a value that goes forward and keeps (1) is taken; any other is
///    ``RingError/corrupt``, and nothing changes. Together with slot addresses being masked by a capacity that the
///    attacher was told, a hostile peer can spoil the octets in the slots but never lead a side outside the region.
/// 4. Each side remembers the last position of the other that it saw (`cachedHead`, `cachedTail`) and reads the shared
///    word only when what it remembers does not suffice. The remembered position errs on the safe side: less free,
///    less available.
/// 5. The octets of a published slot were written before tail was stored (release) and are read after tail was loaded
///    (acquire); the octets of a free slot are written after head was loaded (acquire), which was stored (release)
///    after the consumer's last read.
/// 6. No lost wake-up: a side that goes to sleep stores its sleep word, passes a full fence and looks once more; the
///    other side stores its position, passes a full fence and looks at the sleep word. Of two full fences one is first,
///    so at least one side sees the other's store.
///
/// Why positions and not a sequence number in each slot: a slot stays 64 octets for its user, frames of several slots
/// are contiguous, and a sequence number makes a consumer that keeps up poll the very line that the producer writes. In
/// a sketch of both, positions moved 2.4 times as many slots at batch 1 and ten times as many at batch 32.
///
/// Threads: an endpoint belongs to one thread at a time. What a crash leaves: whatever was published is intact, claimed
/// slots are lost; the host makes a new ring for a new worker rather than trust an old one.
public enum RingMemory {
  /// Octets of a slot.
  @inlinable public static var slotOctets: Int { 64 }
  /// The largest capacity in slots: 64 MiB of them.
  public static let capacityMax = 1 << 20

  static let magic: UInt64 = 0x474e_4952_5f58_4931  // "1IX_RING" in memory order
  static let version: UInt32 = 1

  // Computed, because a stored constant of another module costs a call where it is inlined into.
  @inlinable static var tailOffset: Int { 128 }
  @inlinable static var headOffset: Int { 256 }
  @inlinable static var consumerSleepOffset: Int { 384 }
  @inlinable static var producerSleepOffset: Int { 512 }
  @inlinable static var awaitedHeadOffset: Int { 520 }
  @inlinable static var slotsOffset: Int { 1024 }

  /// ``Sleep/awake`` as it lies in a sleep word.
  @inlinable static var awakeWord: UInt32 { 0 }

  /// Octets that a ring of `capacity` slots takes in memory.
  public static func octets(capacity: Int) -> Int {
    precondition(isCapacity(capacity), "capacity is a power of two up to capacityMax")
    return slotsOffset + capacity * slotOctets
  }

  /// Lays an empty ring into memory, before any endpoint is made or the memory is shown to a peer.
  ///
  /// - Parameters:
  ///   - memory: At least ``octets(capacity:)`` octets, aligned to 128.
  ///   - capacity: Slots, a power of two up to ``capacityMax``.
  public static func initialize(_ memory: UnsafeMutableRawBufferPointer, capacity: Int) {
    guard let base = memory.baseAddress, memory.count >= octets(capacity: capacity), isAligned(base) else {
      preconditionFailure("memory too small or not aligned for the ring")
    }
    // SAFETY: the header lies within the memory just checked, and nobody else knows of it yet.
    base.initializeMemory(as: UInt8.self, repeating: 0, count: slotsOffset)
    base.storeBytes(of: magic, as: UInt64.self)
    base.storeBytes(of: version, toByteOffset: 8, as: UInt32.self)
    base.storeBytes(of: UInt32(slotOctets), toByteOffset: 12, as: UInt32.self)
    base.storeBytes(of: UInt64(capacity), toByteOffset: 16, as: UInt64.self)
  }

  /// Checks that the memory holds a ring of just that capacity. The words are read once each.
  static func validate(_ memory: UnsafeMutableRawBufferPointer, capacity: Int) throws(RingError)
    -> UnsafeMutableRawPointer
  {
    guard isCapacity(capacity), let base = memory.baseAddress, isAligned(base),
      memory.count >= octets(capacity: capacity)
    else { throw .tooSmall }
    // SAFETY: the offsets lie within the memory just checked, and a peer's writes can only make the check fail.
    guard base.load(as: UInt64.self) == magic else { throw .notARing }
    let found = base.load(fromByteOffset: 8, as: UInt32.self)
    guard found == version else { throw .wrongVersion(found) }
    guard base.load(fromByteOffset: 12, as: UInt32.self) == UInt32(slotOctets),
      base.load(fromByteOffset: 16, as: UInt64.self) == UInt64(capacity)
    else { throw .wrongCapacity }
    return base
  }

  private static func isCapacity(_ capacity: Int) -> Bool {
    capacity > 0 && capacity <= capacityMax && capacity & (capacity - 1) == 0
  }

  private static func isAligned(_ base: UnsafeMutableRawPointer) -> Bool { UInt(bitPattern: base) % 128 == 0 }
}

/// Why a ring is refused or given up. After any of these the peer is not to be trusted and the ring is of no more use.
public enum RingError: Error, Equatable, Sendable {
  /// The memory cannot hold a ring of the capacity asked for, or is not aligned to 128 octets.
  case tooSmall
  /// The magic is missing.
  case notARing
  /// The layout is that of another version.
  case wrongVersion(UInt32)
  /// The ring was made with another capacity or slot size than the attacher was told.
  case wrongCapacity
  /// The other side's position went backwards or promises more than the ring holds.
  case corrupt
}

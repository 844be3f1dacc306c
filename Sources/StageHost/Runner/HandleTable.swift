internal import Synchronization

/// Numbers that stand for an object while a stage may use it. The opaque pointers of interchange.h that a stage passes
/// back (`ix_job`, `ix_draft`) are such numbers, never addresses: one that is used too late, or was never given out, is
/// found out and refused, whatever the stage does with it.
///
/// A number is never given out twice in a process. Thread: any.
final class HandleTable<Object: AnyObject & Sendable>: Sendable {
  /// Instances that share a process seldom share a shard, so they seldom meet at a lock.
  private static var shardCount: Int { 16 }

  private final class Shard: Sendable {
    let objects = Mutex<[UInt: Object]>([:])
  }

  private let shards: [Shard]
  private let serial = Atomic<UInt>(0)
  private let tag: UInt

  /// - Parameter tag: 1…15, different for each kind of object, so that one is not taken for another.
  init(tag: UInt) {
    precondition((1...15).contains(tag), "a tag of four bits, not 0")
    self.tag = tag
    shards = (0..<Self.shardCount).map { _ in Shard() }
  }

  /// Gives out a number. `shard` is any number that the instance's other objects have too.
  func insert(_ object: Object, shard: Int) -> OpaquePointer {
    let shard = UInt(bitPattern: shard) % UInt(Self.shardCount)
    // ORDERING: relaxed, the number only has to be new; the table's lock orders the object behind it.
    let next = serial.wrappingAdd(1, ordering: .relaxed).newValue
    let handle = next << 8 | shard << 4 | tag
    shards[Int(shard)].objects.withLock { $0[handle] = object }
    guard let pointer = OpaquePointer(bitPattern: handle) else { preconditionFailure("a tag of 0") }
    return pointer
  }

  func find(_ pointer: OpaquePointer?) -> Object? {
    guard let (handle, shard) = place(of: pointer) else { return nil }
    return shard.objects.withLock { $0[handle] }
  }

  /// Takes the number back. Nil when it stands for nothing (any more): of two callers one gets the object.
  @discardableResult
  func remove(_ pointer: OpaquePointer?) -> Object? {
    guard let (handle, shard) = place(of: pointer) else { return nil }
    return shard.objects.withLock { $0.removeValue(forKey: handle) }
  }

  private func place(of pointer: OpaquePointer?) -> (handle: UInt, shard: Shard)? {
    let handle = UInt(bitPattern: pointer)
    guard handle & 15 == tag else { return nil }
    return (handle, shards[Int(handle >> 4 & 15)])
  }
}

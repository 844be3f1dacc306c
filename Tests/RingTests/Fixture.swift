import Glibc
import Platform
import Ring
import Synchronization

/// A ring in shared memory of this process's own.
struct TestRing: ~Copyable, Sendable {
  let region: SharedRegion
  let capacity: Int

  init(capacity: Int) throws {
    region = try SharedRegion(creating: RingMemory.octets(capacity: capacity), name: "test-ring")
    self.capacity = capacity
    RingMemory.initialize(region.memory, capacity: capacity)
  }

  func producer() throws(RingError) -> RingProducer {
    try RingProducer(attaching: region.memory, capacity: capacity)
  }

  func consumer() throws(RingError) -> RingConsumer {
    try RingConsumer(attaching: region.memory, capacity: capacity)
  }

  /// Overwrites the position that lies at `offset`, as a hostile peer would.
  func forge(_ position: UInt64, at offset: Int) {
    region.base.storeBytes(of: position, toByteOffset: offset, as: UInt64.self)
  }

  static let tailOffset = 128
  static let headOffset = 256
}

/// A thread whose failure is the test's.
final class TestThread: Sendable {
  private let failure = Mutex<(any Error)?>(nil)
  private let thread = Mutex<Thread?>(nil)

  init(_ body: @escaping @Sendable () throws -> Void) {
    do {
      let thread = try Thread.start(name: "test") { [self] in
        do { try body() } catch { failure.withLock { $0 = error } }
      }
      self.thread.withLock { $0 = thread }
    } catch { failure.withLock { $0 = error } }
  }

  /// Waits for the end; throws what the closure threw.
  func join() throws {
    thread.withLock { $0.take() }?.join()
    if let failure = failure.withLock({ $0 }) { throw failure }
  }
}

extension RingProducer {
  /// Writes the words first, first + 1, …, a slot each, all 8 words of the slot alike.
  mutating func write(_ count: Int, from first: UInt64) {
    for index in 0..<count {
      for word in 0..<8 {
        slot(index).storeBytes(of: first + UInt64(index), toByteOffset: word * 8, as: UInt64.self)
      }
    }
    publish(count)
  }
}

extension RingConsumer {
  /// True when the first `count` slots hold the words first, first + 1, …
  func holds(_ count: Int, from first: UInt64) throws -> Bool {
    (0..<count).allSatisfy { index in
      (0..<8).allSatisfy { slot(index).load(fromByteOffset: $0 * 8, as: UInt64.self) == first + UInt64(index) }
    }
  }
}

// Throwing, because #expect can evaluate a call on a noncopyable value only after `try`.
extension RingProducer {
  func asksForWake() throws -> Bool { takeWakeRequest() }
}

extension RingConsumer {
  func asksForWake() throws -> Bool { takeWakeRequest() }
  func word(_ index: Int) throws -> UInt64 { slot(index).load(as: UInt64.self) }
  func octet(at offset: Int) throws -> UInt8 { slot(0).load(fromByteOffset: offset, as: UInt8.self) }
}

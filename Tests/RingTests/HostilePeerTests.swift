import Glibc
import Platform
import Testing

@testable import Ring

@Suite struct HostilePeerTests {
  private func refusal(_ memory: UnsafeMutableRawBufferPointer, capacity: Int) -> [RingError?] {
    func caught(_ body: () throws(RingError) -> Void) -> RingError? {
      do throws(RingError) {
        try body()
        return nil
      } catch { return error }
    }
    return [
      caught { () throws(RingError) in _ = try RingProducer(attaching: memory, capacity: capacity) },
      caught { () throws(RingError) in _ = try RingConsumer(attaching: memory, capacity: capacity) },
    ]
  }

  @Test func `memory that is too small or not aligned is refused`() throws {
    let ring = try TestRing(capacity: 4)
    let memory = ring.region.memory
    let small = UnsafeMutableRawBufferPointer(rebasing: memory[..<(RingMemory.octets(capacity: 4) - 1)])
    #expect(refusal(small, capacity: 4) == [.tooSmall, .tooSmall])
    #expect(refusal(UnsafeMutableRawBufferPointer(rebasing: memory[64...]), capacity: 4) == [.tooSmall, .tooSmall])
    #expect(refusal(UnsafeMutableRawBufferPointer(start: nil, count: 0), capacity: 4) == [.tooSmall, .tooSmall])
  }

  @Test(arguments: [0, -1, 3, Int.max, Int.min, RingMemory.capacityMax * 2])
  func `a capacity that no ring has is refused`(capacity: Int) throws {
    let ring = try TestRing(capacity: 4)
    #expect(refusal(ring.region.memory, capacity: capacity) == [.tooSmall, .tooSmall])
  }

  @Test func `each wrong field of the header is refused`() throws {
    let ring = try TestRing(capacity: 4)
    #expect(refusal(ring.region.memory, capacity: 4) == [nil, nil])
    #expect(refusal(ring.region.memory, capacity: 2) == [.wrongCapacity, .wrongCapacity])
    ring.region.base.storeBytes(of: 8, toByteOffset: 16, as: UInt64.self)
    #expect(refusal(ring.region.memory, capacity: 4) == [.wrongCapacity, .wrongCapacity])
    ring.region.base.storeBytes(of: 128, toByteOffset: 12, as: UInt32.self)
    #expect(refusal(ring.region.memory, capacity: 8) == [.wrongCapacity, .wrongCapacity])
    ring.region.base.storeBytes(of: 9, toByteOffset: 8, as: UInt32.self)
    #expect(refusal(ring.region.memory, capacity: 8) == [.wrongVersion(9), .wrongVersion(9)])
    ring.region.base.storeBytes(of: 0, as: UInt64.self)
    #expect(refusal(ring.region.memory, capacity: 8) == [.notARing, .notARing])
  }

  @Test(arguments: [5, .max, 1 << 63] as [UInt64])
  func `positions further apart than the capacity are refused at attaching`(tail: UInt64) throws {
    let ring = try TestRing(capacity: 4)
    ring.forge(tail, at: TestRing.tailOffset)
    #expect(refusal(ring.region.memory, capacity: 4) == [.corrupt, .corrupt])
  }

  /// The producer has published 6 and seen the consumer release 3: of a ring of 4 only 3…6 can be the head.
  @Test(arguments: [0, 2, 7, 1 << 32, 1 << 63, .max] as [UInt64])
  func `a head that goes back or past the tail is corrupt for the producer`(head: UInt64) throws {
    let ring = try TestRing(capacity: 4)
    var producer = try ring.producer()
    var consumer = try ring.consumer()
    for _ in 0..<3 {
      #expect(try producer.claim(1) == 1)
      producer.publish(1)
      #expect(try consumer.available(1) == 1)
      consumer.release(1)
    }
    #expect(try producer.claim(4) == 4)
    producer.publish(3)
    ring.forge(head, at: TestRing.headOffset)
    #expect(try producer.claim(1) == 1)
    #expect(throws: RingError.corrupt) { try producer.claim(2) }
    #expect(throws: RingError.corrupt) { try producer.waitForSpace(2, until: nil) }
    #expect(throws: RingError.corrupt) { try producer.prepareToSleep(forSpace: 2) }
    #expect(try producer.claim(1) == 1)
    ring.forge(4, at: TestRing.headOffset)
    #expect(try producer.claim(4) == 2)
  }

  /// The consumer has released 3 and seen 5 published: of a ring of 4 only 5…7 can be the tail.
  @Test(arguments: [0, 4, 8, 1 << 32, 1 << 63, .max] as [UInt64])
  func `a tail that goes back or beyond the capacity is corrupt for the consumer`(tail: UInt64) throws {
    let ring = try TestRing(capacity: 4)
    var producer = try ring.producer()
    var consumer = try ring.consumer()
    for count in [3, 2] {
      #expect(try producer.claim(count) == count)
      producer.publish(count)
      #expect(try consumer.available(count) == count)
      if count == 3 { consumer.release(3) }
    }
    ring.forge(tail, at: TestRing.tailOffset)
    #expect(try consumer.available(2) == 2)
    #expect(throws: RingError.corrupt) { try consumer.available(3) }
    #expect(throws: RingError.corrupt) { try consumer.wait(until: nil) }
    #expect(throws: RingError.corrupt) { try consumer.prepareToSleep() }
    #expect(try consumer.available(2) == 2)
    ring.forge(7, at: TestRing.tailOffset)
    #expect(try consumer.available(8) == 4)
  }

  @Test func `a file whose size can change is not mapped`() throws {
    let file = FileDescriptor(owning: open("/dev/zero", O_RDWR | O_CLOEXEC))
    #expect(throws: SystemError("fcntl", errno: EPERM)) { _ = try SharedRegion(attaching: file.duplicate()) }
    let region = try SharedRegion(creating: 4096, name: "sealed")
    #expect(ftruncate(region.file.rawValue, 0) == -1)
    #expect(ftruncate(region.file.rawValue, 8192) == -1)
    #expect(throws: SystemError("fstat", errno: EINVAL)) {
      _ = try SharedRegion(attaching: region.file.duplicate(), octetsMin: 4097)
    }
  }
}

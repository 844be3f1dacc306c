import Glibc
import MailModel
import Platform
import Testing

@testable import Ring

/// Two threads, and two processes, hand each other numbered slots. Every slot is checked, and a lost wake-up ends in the
/// deadline. The thread sanitizer run of these is `script/tsan`.
@Suite(.serialized) struct RingStressTests {
  static let slotsMax: UInt64 = 60_000
  /// Generous: it only has to be shorter than for ever.
  static let patienceSeconds = 60.0

  @Test(arguments: [(1, 1), (2, 1), (8, 3), (1024, 1), (1024, 32)])
  func `threads that spin lose and reorder nothing`(capacity: Int, batch: Int) throws {
    let ring = try TestRing(capacity: capacity)
    let memory = Memory(ring.region.memory)
    let writer = TestThread {
      var producer = try RingProducer(attaching: memory.octets, capacity: capacity)
      var next: UInt64 = 0
      while next < Self.slotsMax {
        let count = try producer.claim(min(batch, Int(Self.slotsMax - next)))
        if count == 0 { sched_yield() }
        producer.write(count, from: next)
        next += UInt64(count)
      }
    }
    var consumer = try ring.consumer()
    var next: UInt64 = 0
    while next < Self.slotsMax {
      let count = try consumer.available(batch)
      if count == 0 { sched_yield() }
      try #require(try consumer.holds(count, from: next))
      consumer.release(count)
      next += UInt64(count)
    }
    try writer.join()
    #expect(try consumer.available(1) == 0)
  }

  @Test(arguments: [1, 4, 64])
  func `threads that sleep on the ring are always woken`(capacity: Int) throws {
    let ring = try TestRing(capacity: capacity)
    let memory = Memory(ring.region.memory)
    let deadline = MonotonicTime.now().advanced(bySeconds: Self.patienceSeconds)
    let writer = TestThread {
      var producer = try RingProducer(attaching: memory.octets, capacity: capacity)
      producer.spin.looks = 1
      for next in 0..<Self.slotsMax {
        if try producer.claim(1) == 0 {
          producer.spin.looks = 1
          guard try producer.waitForSpace(1, until: deadline) else { throw LostWakeUp() }
        }
        producer.write(1, from: next)
        _ = producer.takeWakeRequest()
      }
    }
    var consumer = try ring.consumer()
    var next: UInt64 = 0
    while next < Self.slotsMax {
      let count = try consumer.available(capacity)
      if count == 0 {
        consumer.spin.looks = 1
        guard try consumer.wait(until: deadline) else { throw LostWakeUp() }
        continue
      }
      try #require(try consumer.holds(count, from: next))
      consumer.release(count)
      _ = consumer.takeWakeRequest()
      next += UInt64(count)
    }
    try writer.join()
  }

  @Test func `threads that sleep at their doorbells are always woken`() throws {
    let capacity = 4
    let ring = try TestRing(capacity: capacity)
    let memory = Memory(ring.region.memory)
    let filled = try EventFD()
    let freed = try EventFD()
    let bells = (filled: filled.rawValue, freed: freed.rawValue)
    let writer = TestThread {
      let filled = EventFD(owning: FileDescriptor(owning: dup(bells.filled)))
      let freed = EventFD(owning: FileDescriptor(owning: dup(bells.freed)))
      var producer = try RingProducer(attaching: memory.octets, capacity: capacity)
      for next in 0..<Self.slotsMax {
        while try producer.claim(1) == 0 {
          freed.drain()
          if try producer.prepareToSleep(forSpace: 1) {
            guard freed.wait(timeoutSeconds: Self.patienceSeconds) else { throw LostWakeUp() }
            producer.awake()
          }
        }
        producer.write(1, from: next)
        if producer.takeWakeRequest() { filled.signal() }
      }
    }
    var consumer = try ring.consumer()
    var next: UInt64 = 0
    while next < Self.slotsMax {
      let count = try consumer.available(capacity)
      if count == 0 {
        filled.drain()
        if try consumer.prepareToSleep() {
          guard filled.wait(timeoutSeconds: Self.patienceSeconds) else { throw LostWakeUp() }
          consumer.awake()
        }
        continue
      }
      try #require(try consumer.holds(count, from: next))
      consumer.release(count)
      if consumer.takeWakeRequest() { freed.signal() }
      next += UInt64(count)
    }
    try writer.join()
  }

  @Test func `another process answers every slot in order`() throws {
    let capacity = 8
    let requests = try TestRing(capacity: capacity)
    let answers = try TestRing(capacity: capacity)
    let peer = try startPeer(requests: requests.region, answers: answers.region, capacity: capacity)
    let deadline = MonotonicTime.now().advanced(bySeconds: Self.patienceSeconds)
    var producer = try requests.producer()
    var consumer = try answers.consumer()
    let total: UInt64 = 20_000
    var asked: UInt64 = 0
    var answered: UInt64 = 0
    while answered <= total {
      while asked <= total, try producer.claim(1) == 1 {
        producer.slot(0).storeBytes(of: asked == total ? .max : asked, as: UInt64.self)
        producer.publish(1)
        _ = producer.takeWakeRequest()
        asked += 1
      }
      let count = try consumer.available(capacity)
      if count == 0 {
        // The peer gives back what it has read after answering, so that with every answer in there may be no space yet.
        let woken =
          asked == answered ? try producer.waitForSpace(1, until: deadline) : try consumer.wait(until: deadline)
        guard woken else { throw LostWakeUp() }
        continue
      }
      for index in 0..<count {
        try #require(try consumer.word(index) == (answered == total ? 0 : answered + 1))
        answered += 1
      }
      consumer.release(count)
      _ = consumer.takeWakeRequest()
    }
    #expect(peer.wait(timeoutSeconds: Self.patienceSeconds) == .exited(code: 0))
  }

  @Test func `another process refuses a ring of another capacity`() throws {
    let requests = try TestRing(capacity: 8)
    let answers = try TestRing(capacity: 8)
    let peer = try startPeer(requests: requests.region, answers: answers.region, capacity: 16)
    #expect(peer.wait(timeoutSeconds: Self.patienceSeconds) == .exited(code: 1))
  }
}

struct LostWakeUp: Error {}

/// Memory that outlives the thread it is handed to, as every test joins its threads.
struct Memory: @unchecked Sendable {
  let octets: UnsafeMutableRawBufferPointer
  init(_ octets: UnsafeMutableRawBufferPointer) { self.octets = octets }
}

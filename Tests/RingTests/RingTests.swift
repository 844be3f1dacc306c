import Platform
import Testing

@testable import Ring

@Suite struct RingTests {
  @Test func `slots come out in order over many laps in batches of every size`() throws {
    let ring = try TestRing(capacity: 8)
    var producer = try ring.producer()
    var consumer = try ring.consumer()
    var written: UInt64 = 0
    var read: UInt64 = 0
    for step in 0..<2000 {
      let wanted = step % 9
      let claimed = try producer.claim(wanted)
      #expect(claimed == min(wanted, 8 - Int(written - read)))
      producer.write(claimed, from: written)
      written += UInt64(claimed)
      let max = step * 7 % 5
      let available = try consumer.available(max)
      #expect(available == min(max, Int(written - read)))
      #expect(try consumer.holds(available, from: read))
      consumer.release(available)
      read += UInt64(available)
    }
    #expect(read > 1000)
  }

  @Test func `a full ring gives no slot and an empty one none either`() throws {
    let ring = try TestRing(capacity: 4)
    var producer = try ring.producer()
    var consumer = try ring.consumer()
    #expect(try consumer.available(4) == 0)
    #expect(try producer.claim(100) == 4)
    producer.write(4, from: 0)
    #expect(try producer.claim(1) == 0)
    #expect(try consumer.available(100) == 4)
    consumer.release(1)
    #expect(try producer.claim(4) == 1)
  }

  @Test func `a ring of one slot works`() throws {
    let ring = try TestRing(capacity: 1)
    var producer = try ring.producer()
    var consumer = try ring.consumer()
    for value in 0..<10 as Range<UInt64> {
      #expect(try producer.claim(2) == 1)
      producer.write(1, from: value)
      #expect(try producer.claim(1) == 0)
      #expect(try consumer.available(1) == 1)
      #expect(try consumer.holds(1, from: value))
      consumer.release(1)
    }
  }

  @Test func `octets copied across the end of the slots arrive`() throws {
    let ring = try TestRing(capacity: 4)
    var producer = try ring.producer()
    var consumer = try ring.consumer()
    for start in 0..<4 {
      let octets = (0..<200).map { UInt8(truncatingIfNeeded: $0 + start) }
      #expect(try producer.claim(4) == 4)
      octets.withUnsafeBytes { producer.copyIn(offsetOctets: 17, from: $0) }
      producer.publish(4)
      #expect(try consumer.available(4) == 4)
      var copy = [UInt8](repeating: 0, count: 200)
      copy.withUnsafeMutableBytes { consumer.copyOut(offsetOctets: 17, into: $0) }
      #expect(copy == octets)
      #expect(try consumer.octet(at: 17) == octets[0])
      consumer.release(4)
      _ = try producer.claim(1)
      producer.publish(1)
      _ = try consumer.available(1)
      consumer.release(1)
    }
  }

  @Test func `two mappings of the same file are one ring`() throws {
    let ring = try TestRing(capacity: 4)
    let other = try SharedRegion(attaching: ring.region.file.duplicate())
    var producer = try ring.producer()
    var consumer = try RingConsumer(attaching: other.memory, capacity: 4)
    #expect(other.base != ring.region.base)
    _ = try producer.claim(3)
    producer.write(3, from: 7)
    #expect(try consumer.available(4) == 3)
    #expect(try consumer.holds(3, from: 7))
  }

  @Test func `an endpoint made later goes on where the earlier one stopped`() throws {
    let ring = try TestRing(capacity: 4)
    do {
      var producer = try ring.producer()
      _ = try producer.claim(3)
      producer.write(3, from: 0)
    }
    do {
      var consumer = try ring.consumer()
      #expect(try consumer.available(1) == 1)
      consumer.release(1)
    }
    var producer = try ring.producer()
    var consumer = try ring.consumer()
    #expect(try producer.claim(4) == 2)
    producer.write(2, from: 3)
    #expect(try consumer.available(4) == 4)
    #expect(try consumer.holds(4, from: 1))
  }
}

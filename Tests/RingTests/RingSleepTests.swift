import Glibc
import MailModel
import Platform
import Testing

@testable import Ring

@Suite struct RingSleepTests {
  @Test func `a consumer that sleeps elsewhere is asked for once`() throws {
    let ring = try TestRing(capacity: 4)
    var producer = try ring.producer()
    var consumer = try ring.consumer()
    #expect(try !producer.asksForWake())
    #expect(try consumer.prepareToSleep())
    _ = try producer.claim(1)
    producer.publish(1)
    #expect(try producer.asksForWake())
    #expect(try !producer.asksForWake())
    #expect(try consumer.available(4) == 1)
  }

  @Test func `a consumer does not go to sleep over slots it has not seen`() throws {
    let ring = try TestRing(capacity: 4)
    var producer = try ring.producer()
    var consumer = try ring.consumer()
    _ = try producer.claim(1)
    producer.publish(1)
    #expect(try !consumer.prepareToSleep())
    #expect(try !producer.asksForWake())
    #expect(try consumer.prepareToSleep())
    consumer.awake()
    #expect(try !producer.asksForWake())
  }

  @Test func `a producer that sleeps elsewhere is asked for when there is the space it awaits`() throws {
    let ring = try TestRing(capacity: 4)
    var producer = try ring.producer()
    var consumer = try ring.consumer()
    #expect(try !producer.prepareToSleep(forSpace: 4))
    _ = try producer.claim(4)
    producer.publish(4)
    #expect(try producer.prepareToSleep(forSpace: 2))
    _ = try consumer.available(4)
    consumer.release(1)
    #expect(try !consumer.asksForWake())
    consumer.release(1)
    #expect(try consumer.asksForWake())
    #expect(try !consumer.asksForWake())
    #expect(try producer.claim(4) == 2)
  }

  @Test func `a wait whose deadline has passed says so`() throws {
    let ring = try TestRing(capacity: 1)
    var producer = try ring.producer()
    var consumer = try ring.consumer()
    let past = MonotonicTime(nanoseconds: 0)
    #expect(try !consumer.wait(until: past))
    _ = try producer.claim(1)
    producer.publish(1)
    #expect(try !producer.waitForSpace(1, until: past))
    #expect(try consumer.wait(until: past))
    #expect(try !consumer.wait(until: MonotonicTime.now().advanced(bySeconds: 0.001)))
    #expect(try !producer.asksForWake())
  }

  @Test(arguments: [0, 1, 2, 3, .max] as [UInt32])
  func `whatever a hostile peer writes into the sleep words only wakes somebody`(word: UInt32) throws {
    let ring = try TestRing(capacity: 2)
    var producer = try ring.producer()
    var consumer = try ring.consumer()
    _ = try producer.claim(1)
    producer.publish(1)
    _ = try consumer.available(1)
    consumer.release(1)
    ring.region.base.storeBytes(of: word, toByteOffset: 384, as: UInt32.self)
    #expect(try producer.asksForWake() == (word > 1))
    ring.region.base.storeBytes(of: word, toByteOffset: 512, as: UInt32.self)
    #expect(try consumer.asksForWake() == (word > 1))
  }
}

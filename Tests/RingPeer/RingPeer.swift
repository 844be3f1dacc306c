import Glibc
import MailModel
import Platform
import Ring

/// The other process of RingTests: takes slots from one ring and answers in another, each word plus one, until it has
/// answered a word of all ones. Sleeps on the ring's own words.
///
/// Usage: RingPeer FD-OF-REQUESTS FD-OF-ANSWERS CAPACITY. Exits 0, or 1 when a ring is refused or corrupt.
@main
struct RingPeer {
  static func main() {
    let arguments = CommandLine.arguments.dropFirst().compactMap { Int32($0) }
    guard arguments.count == 3 else { exit(2) }
    do {
      try answer(requests: arguments[0], answers: arguments[1], capacity: Int(arguments[2]))
    } catch {
      exit(1)
    }
  }

  static func answer(requests: Int32, answers: Int32, capacity: Int) throws {
    let requestRegion = try SharedRegion(attaching: FileDescriptor(owning: requests))
    let answerRegion = try SharedRegion(attaching: FileDescriptor(owning: answers))
    var consumer = try RingConsumer(attaching: requestRegion.memory, capacity: capacity)
    var producer = try RingProducer(attaching: answerRegion.memory, capacity: capacity)
    // A peer that nobody talks to any more ends by itself.
    let deadline = MonotonicTime.now().advanced(bySeconds: 60)
    var last = false
    while !last {
      let count = try consumer.available(capacity)
      if count == 0 {
        guard try consumer.wait(until: deadline) else { exit(3) }
        continue
      }
      for index in 0..<count {
        if try producer.claim(1) == 0 {
          guard try producer.waitForSpace(1, until: deadline) else { exit(3) }
        }
        let word = consumer.slot(index).load(as: UInt64.self)
        producer.slot(0).storeBytes(of: word &+ 1, as: UInt64.self)
        producer.publish(1)
        _ = producer.takeWakeRequest()
        last = word == .max
      }
      consumer.release(count)
      _ = consumer.takeWakeRequest()
    }
  }
}

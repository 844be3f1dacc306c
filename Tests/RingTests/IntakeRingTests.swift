import MailModel
import Platform
import Ring
import Synchronization
import Testing

@Suite(.serialized) struct IntakeRingTests {
  /// What passes through the intake; counts its living instances.
  final class Offer: Sendable {
    static let living = Atomic<Int>(0)
    let number: Int
    init(_ number: Int) {
      self.number = number
      Self.living.add(1, ordering: .relaxed)
    }
    deinit { Self.living.subtract(1, ordering: .relaxed) }
  }

  struct Entry: Sendable {
    let offer: Offer
    var committedAs: Int?
  }

  private static let patienceSeconds = 60.0

  @Test func `the dispatcher gets what the committer passed on and with what it wrote`() {
    let ring = IntakeRing<Entry>(capacity: 4)
    var producer = ring.producer
    var committer = ring.committer
    var dispatcher = ring.dispatcher
    #expect(dispatcher.take() == nil)
    let put = (0..<5).map { producer.put(Entry(offer: Offer($0))) }
    #expect(put == [true, true, true, true, false])
    #expect(dispatcher.take() == nil)
    let count = committer.available(3)
    #expect(count == 3)
    for index in 0..<count { committer.update(index) { $0.committedAs = $0.offer.number * 10 } }
    #expect(dispatcher.take() == nil)
    committer.advance(2)
    for number in 0..<2 {
      let entry = dispatcher.take()
      #expect(entry?.offer.number == number)
      #expect(entry?.committedAs == number * 10)
    }
    #expect(dispatcher.take() == nil)
    let space = producer.space(9)
    #expect(space == 2)
    let left = committer.available(9)
    #expect(left == 2)
  }

  @Test func `elements live until they are taken and what is left goes with the ring`() {
    let before = Offer.living.load(ordering: .relaxed)
    do {
      let ring = IntakeRing<Entry>(capacity: 4)
      var producer = ring.producer
      var committer = ring.committer
      var dispatcher = ring.dispatcher
      for number in 0..<4 { _ = producer.put(Entry(offer: Offer(number))) }
      _ = committer.available(3)
      committer.advance(3)
      _ = dispatcher.take()
      #expect(Offer.living.load(ordering: .relaxed) == before + 3)
      _ = producer.put(Entry(offer: Offer(4)))
      #expect(Offer.living.load(ordering: .relaxed) == before + 4)
    }
    #expect(Offer.living.load(ordering: .relaxed) == before)
  }

  @Test func `each end that sleeps elsewhere is asked for once by the end it follows`() {
    let ring = IntakeRing<Entry>(capacity: 1)
    var producer = ring.producer
    var committer = ring.committer
    var dispatcher = ring.dispatcher
    var asked: [Bool] = []
    asked.append(committer.prepareToSleep())
    asked.append(dispatcher.prepareToSleep())
    _ = producer.put(Entry(offer: Offer(0)))
    asked.append(producer.prepareToSleep())
    asked.append(producer.takeWakeRequest())
    _ = committer.available(1)
    committer.advance(1)
    asked.append(committer.takeWakeRequest())
    _ = dispatcher.take()
    asked.append(dispatcher.takeWakeRequest())
    #expect(asked == [true, true, true, true, true, true])
    let again = [
      producer.takeWakeRequest(), committer.takeWakeRequest(), dispatcher.takeWakeRequest(), producer.prepareToSleep(),
    ]
    #expect(again == [false, false, false, false])
  }

  @Test func `a wait whose deadline has passed says so`() {
    let ring = IntakeRing<Entry>(capacity: 1)
    var committer = ring.committer
    let woken = committer.wait(until: MonotonicTime.now().advanced(bySeconds: 0.001))
    #expect(!woken)
  }

  @Test(arguments: [1, 2, 16, 1024])
  func `three threads that sleep keep the order and wake each other`(capacity: Int) throws {
    let total = 40_000
    let deadline = MonotonicTime.now().advanced(bySeconds: Self.patienceSeconds)
    let ring = IntakeRing<Entry>(capacity: capacity)
    let producerBox = Handover(ring.producer)
    let committerBox = Handover(ring.committer)
    var dispatcher = ring.dispatcher
    let source = TestThread {
      var producer = producerBox.take()
      for number in 0..<total {
        while !producer.put(Entry(offer: Offer(number))) {
          guard producer.wait(until: deadline) else { throw LostWakeUp() }
        }
        _ = producer.takeWakeRequest()
      }
    }
    let spool = TestThread {
      var committer = committerBox.take()
      var committed = 0
      while committed < total {
        let count = committer.available(capacity)
        if count == 0 {
          guard committer.wait(until: deadline) else { throw LostWakeUp() }
          continue
        }
        for index in 0..<count {
          committer.update(index) { entry in entry.committedAs = entry.offer.number }
        }
        committer.advance(count)
        _ = committer.takeWakeRequest()
        committed += count
      }
    }
    for number in 0..<total {
      var entry = dispatcher.take()
      while entry == nil {
        guard dispatcher.wait(until: deadline) else { throw LostWakeUp() }
        entry = dispatcher.take()
      }
      try #require(entry?.offer.number == number && entry?.committedAs == number)
      _ = dispatcher.takeWakeRequest()
    }
    try source.join()
    try spool.join()
    let rest = dispatcher.take()
    #expect(rest == nil)
  }
}

/// Moves a value that cannot be copied into a thread.
private final class Handover<Value: ~Copyable & Sendable>: Sendable {
  private let value: Mutex<Value?>
  init(_ value: consuming Value) { self.value = Mutex(value) }
  func take() -> Value { value.withLock { $0.take()! } }
}

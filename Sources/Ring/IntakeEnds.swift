public import MailModel

/// The end of an ``IntakeRing`` where elements go in. Follows the dispatcher, a lap behind.
public struct IntakeProducer<Element: Sendable>: ~Copyable, @unchecked Sendable {
  // SAFETY: Sendable, because an end cannot be copied and so belongs to one thread at a time (invariant 2).
  let slots: IntakeSlots<Element>
  var end: IntakeEnd

  /// Elements that can be put now, at most `max`.
  public mutating func space(_ max: Int) -> Int { end.available(max) }

  /// Puts an element; false when the ring is full, and the source has to wait. Wakes nobody: ``takeWakeRequest()`` does.
  public mutating func put(_ element: Element) -> Bool {
    guard end.available(1) == 1 else { return false }
    // SAFETY: the slot is free and this end's (invariants 2 and 3).
    slots.slot(end.position).initialize(to: element)
    end.advance(1)
    return true
  }

  /// After a batch of puts: wakes a committer that waits, or says true when its doorbell is to be rung.
  public func takeWakeRequest() -> Bool { end.takeWakeRequest() }

  /// Announces that this end sleeps until there is space; false when there is some: do not sleep.
  public mutating func prepareToSleep() -> Bool { end.prepareToSleep() }

  /// Withdraws the announcement.
  public func awake() { end.awake() }

  /// Waits for space, spinning shortly, then asleep; false when `deadline` passed (nil: no limit).
  public mutating func wait(until deadline: MonotonicTime?) -> Bool { end.wait(until: deadline) }
}

/// The end of an ``IntakeRing`` that makes elements durable, in place. Follows the producer.
public struct IntakeCommitter<Element: Sendable>: ~Copyable, @unchecked Sendable {
  // SAFETY: as for IntakeProducer.
  let slots: IntakeSlots<Element>
  var end: IntakeEnd

  /// Elements that were put and not yet passed on, at most `max`: the batch of the next sync.
  public mutating func available(_ max: Int) -> Int { end.available(max) }

  /// Lends the `index`-th available element, to read it and to write into it what came of it.
  public mutating func update<Result, Failure: Error>(
    _ index: Int, _ body: (inout Element) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    precondition(index >= 0 && end.available(index + 1) > index, "element not available")
    // SAFETY: the slot holds an element and is this end's (invariants 2 and 3).
    return try body(&slots.slot(end.position &+ UInt64(index)).pointee)
  }

  /// Passes the first `count` available elements on to the dispatcher. Wakes nobody: ``takeWakeRequest()`` does.
  public mutating func advance(_ count: Int) { end.advance(count) }

  /// After a batch: wakes a dispatcher that waits, or says true when its doorbell is to be rung.
  public func takeWakeRequest() -> Bool { end.takeWakeRequest() }

  /// Announces that this end sleeps until there is an element; false when there is one: do not sleep.
  public mutating func prepareToSleep() -> Bool { end.prepareToSleep() }

  /// Withdraws the announcement.
  public func awake() { end.awake() }

  /// Waits for an element, spinning shortly, then asleep; false when `deadline` passed (nil: no limit).
  public mutating func wait(until deadline: MonotonicTime?) -> Bool { end.wait(until: deadline) }
}

/// The end of an ``IntakeRing`` where elements come out. Follows the committer.
public struct IntakeDispatcher<Element: Sendable>: ~Copyable, @unchecked Sendable {
  // SAFETY: as for IntakeProducer.
  let slots: IntakeSlots<Element>
  var end: IntakeEnd

  /// Elements that can be taken now, at most `max`.
  public mutating func available(_ max: Int) -> Int { end.available(max) }

  /// Takes the next element out; nil when the committer has passed on no more. Wakes nobody: ``takeWakeRequest()`` does.
  public mutating func take() -> Element? {
    guard end.available(1) == 1 else { return nil }
    // SAFETY: the slot holds an element and is this end's; it holds none afterwards (invariants 2 and 3).
    let element = slots.slot(end.position).move()
    end.advance(1)
    return element
  }

  /// After a batch of takes: wakes a producer that waits, or says true when its doorbell is to be rung.
  public func takeWakeRequest() -> Bool { end.takeWakeRequest() }

  /// Announces that this end sleeps until there is an element; false when there is one: do not sleep.
  public mutating func prepareToSleep() -> Bool { end.prepareToSleep() }

  /// Withdraws the announcement.
  public func awake() { end.awake() }

  /// Waits for an element, spinning shortly, then asleep; false when `deadline` passed (nil: no limit).
  public mutating func wait(until deadline: MonotonicTime?) -> Bool { end.wait(until: deadline) }
}

import MailModel
import Platform
import Ring
import Spool
import Synchronization

/// The way from the hub to the committer and back: one ring that three ends pass in order (``IntakeRing``). The hub puts
/// entries in and, as the dispatcher, takes them out again; between the two the committer makes them durable.
///
/// 1. An entry is taken out only after the commit that covers it has returned.
/// 2. What finds no room stays with the hub, which then receives nothing more from the stages.
/// 3. After a failure nothing is passed on any more, and ``HubIntake/failure`` says why.
struct Intake: ~Copyable {
  var hub: HubIntake
  var committer: CommitterIntake

  static let capacity = 8192

  /// - Parameter wakeHub: Ends the hub's sleep. Thread: any.
  init(wakeHub: @escaping @Sendable () -> Void) {
    let ring = IntakeRing<IntakeEntry>(capacity: Self.capacity)
    let outcome = IntakeOutcome()
    hub = HubIntake(producer: ring.producer, dispatcher: ring.dispatcher, outcome: outcome)
    committer = CommitterIntake(end: ring.committer, outcome: outcome, wakeHub: wakeHub)
  }
}

/// Why the committer gave up.
private final class IntakeOutcome: Sendable {
  let failure = Mutex<SpoolError?>(nil)
}

/// The hub's two ends. Thread: the hub's.
struct HubIntake: ~Copyable {
  private var producer: IntakeProducer<IntakeEntry>
  private var dispatcher: IntakeDispatcher<IntakeEntry>
  private let outcome: IntakeOutcome
  private var underWay = 0
  private var hasPut = false

  fileprivate init(
    producer: consuming IntakeProducer<IntakeEntry>, dispatcher: consuming IntakeDispatcher<IntakeEntry>,
    outcome: IntakeOutcome
  ) {
    self.producer = producer
    self.dispatcher = dispatcher
    self.outcome = outcome
  }

  /// False when there is no room.
  mutating func put(_ entry: IntakeEntry) -> Bool {
    guard producer.put(entry) else { return false }
    underWay += 1
    hasPut = true
    return true
  }

  /// After a round of puts.
  mutating func wakeCommitter() {
    guard hasPut else { return }
    hasPut = false
    // The committer sleeps on the ring's own word, so nothing is left to ring.
    _ = producer.takeWakeRequest()
  }

  /// The next entry that is durable, or refused.
  mutating func take() -> IntakeEntry? {
    guard let entry = dispatcher.take() else { return nil }
    underWay -= 1
    return entry
  }

  /// Before the hub sleeps: false when there is something to take.
  mutating func prepareToSleep() -> Bool { dispatcher.prepareToSleep() && failure == nil }

  func awake() { dispatcher.awake() }

  /// Nothing is on its way to the disk.
  var isIdle: Bool { underWay == 0 }
  var failure: SpoolError? { outcome.failure.withLock { $0 } }
}

/// The committer's end. Thread: the committer's.
struct CommitterIntake: ~Copyable {
  private var end: IntakeCommitter<IntakeEntry>
  private let outcome: IntakeOutcome
  private let wakeHub: @Sendable () -> Void

  /// Entries of one commit: what one sync is shared by.
  private static let batchMax = 4096

  fileprivate init(
    end: consuming IntakeCommitter<IntakeEntry>, outcome: IntakeOutcome, wakeHub: @escaping @Sendable () -> Void
  ) {
    self.end = end
    self.outcome = outcome
    self.wakeHub = wakeHub
  }

  /// Writes and commits batch after batch until the entry ``IntakeEntry/close`` has been committed, or a failure.
  /// False after a failure. `between` runs after each batch, and every `idleSeconds` when there is none.
  mutating func serve(
    _ committer: Committer, idleSeconds: Double, between: () throws(SpoolError) -> Void
  ) -> Bool {
    do throws(SpoolError) {
      while true {
        let count = end.available(Self.batchMax)
        guard count > 0 else {
          try between()
          _ = end.wait(until: MonotonicTime.now().advanced(bySeconds: idleSeconds))
          continue
        }
        var isLast = false
        for index in 0..<count {
          try end.update(index) { (entry) throws(SpoolError) in
            try committer.write(entry)
            if case .close = entry { isLast = true }
          }
        }
        try committer.commit()
        end.advance(count)
        if end.takeWakeRequest() { wakeHub() }
        if isLast { return true }
        try between()
      }
    } catch {
      outcome.failure.withLock { $0 = error }
      wakeHub()
      return false
    }
  }
}

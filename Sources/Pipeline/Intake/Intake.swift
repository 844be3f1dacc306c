import Platform
import Spool
import Synchronization

/// The way from the hub to the committer and back, in order: the hub pushes entries, the committer writes what has arrived
/// and makes it durable with one sync, and only then the hub takes the entries back and tells the world.
///
/// Invariants:
/// 1. An entry is handed back only after the commit that covers it has returned.
/// 2. At most ``capacity`` entries are between push and take; the hub keeps what finds no room.
/// 3. After a failure nothing is handed back any more, and ``failure`` says why.
final class Intake: Sendable {
  private struct State {
    var arrived: [IntakeEntry] = []
    var committed: [IntakeEntry] = []
    var underWay = 0
    var hubSleeps = false
    var failure: SpoolError?
    var isClosed = false
  }

  private let state = Mutex(State())
  private let committerBell: EventFD
  /// Wakes the hub.
  private let wakeHub: @Sendable () -> Void

  static let capacity = 8192

  init(wakeHub: @escaping @Sendable () -> Void) throws(SystemError) {
    committerBell = try EventFD()
    self.wakeHub = wakeHub
  }

  // MARK: The hub's side

  /// False when there is no room.
  func push(_ entry: IntakeEntry) -> Bool {
    state.withLock { state in
      guard state.arrived.count + state.underWay + state.committed.count < Self.capacity else { return false }
      state.arrived.append(entry)
      return true
    }
  }

  /// After pushing: the committer looks. Cheap when nothing was pushed.
  func wakeCommitter() {
    if state.withLock({ !$0.arrived.isEmpty && $0.underWay == 0 }) { committerBell.signal() }
  }

  /// What is durable, or refused, since the last call.
  func takeCommitted() -> [IntakeEntry] {
    state.withLock { state in
      defer { state.committed = [] }
      return state.committed
    }
  }

  /// Before the hub sleeps: false when there is something to take.
  func prepareToSleep() -> Bool {
    state.withLock { state in
      guard state.committed.isEmpty, state.failure == nil else { return false }
      state.hubSleeps = true
      return true
    }
  }

  func awake() { state.withLock { $0.hubSleeps = false } }

  var isIdle: Bool { state.withLock { $0.arrived.isEmpty && $0.underWay == 0 && $0.committed.isEmpty } }
  var failure: SpoolError? { state.withLock { $0.failure } }

  /// Ends ``serve(_:idle:)`` once everything that has arrived is written.
  func close() {
    state.withLock { $0.isClosed = true }
    committerBell.signal()
  }

  // MARK: The committer's side

  /// Writes and commits batch after batch until ``close()`` or a failure. `between` runs after each batch, and every
  /// `idleSeconds` when there is none; it says whether it has more to do.
  func serve(
    _ committer: Committer, idleSeconds: Double, between: () throws(SpoolError) -> Bool
  ) {
    var hasMore = false
    while true {
      let batch = state.withLock { state in
        defer { state.arrived = [] }
        state.underWay = state.arrived.count
        return state.arrived
      }
      if batch.isEmpty {
        if state.withLock({ $0.isClosed && $0.arrived.isEmpty }) { return }
        if !hasMore { _ = committerBell.wait(timeoutSeconds: idleSeconds) }
        committerBell.drain()
      }
      do throws(SpoolError) {
        for entry in batch { try committer.write(entry) }
        try committer.commit()
        if !batch.isEmpty { handBack(batch) }
        hasMore = try between()
      } catch {
        state.withLock { $0.failure = error }
        wakeHub()
        return
      }
    }
  }

  private func handBack(_ batch: [IntakeEntry]) {
    let wakes = state.withLock { state in
      state.underWay = 0
      state.committed.append(contentsOf: batch)
      defer { state.hubSleeps = false }
      return state.hubSleeps
    }
    if wakes { wakeHub() }
  }
}

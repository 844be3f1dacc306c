public import MailModel
public import Spool

/// A live message as the dispatcher holds it: what the spool stores, and where each recipient stands now.
///
/// A recipient's durable state is the spool's; `place` is where the recipient is in this process, which may be further
/// on (a filter has forwarded it) but never further back. After a crash it starts again at its durable state.
public final class QueuedMessage {
  public let stored: StoredMessage
  public internal(set) var extents: [ContentExtent]
  public internal(set) var states: [RecipientState]
  var places: [Place]
  public internal(set) var liveCount: Int
  /// What happened to it since this process knows it, the last ``eventsMax`` of it: what a dead letter tells.
  private(set) var events: [HistoryEvent] = []

  private static let eventsMax = 64

  enum Place: Equatable {
    /// Waiting at a lane for its turn.
    case waiting(lane: Int)
    /// In a stage's hands.
    case active(lane: Int, job: UInt64)
    case deferred(lane: Int)
    case held(lane: Int)
    /// An outcome is on its way to the disk.
    case settling
    case ended
  }

  init(stored: StoredMessage, states: [RecipientState], extents: [ContentExtent]) {
    self.stored = stored
    self.extents = extents
    self.states = states
    self.places = Array(repeating: .settling, count: states.count)
    self.liveCount = states.reduce(0) { $0 + ($1.isLive ? 1 : 0) }
  }

  func note(_ event: HistoryEvent) {
    if events.count == Self.eventsMax { events.removeFirst() }
    events.append(event)
  }

  /// Attempts made so far at this stage.
  func attempts(of recipient: Int, at stage: String) -> UInt32 {
    switch states[recipient] {
    case .queued(stage, let attempts, _), .deferred(stage, _, let attempts, _), .held(stage, let attempts, _): attempts
    case .queued, .deferred, .held, .settled, .failed, .dead, .moved, .deleted: 0
    }
  }

  /// Times that a process of this stage died with this recipient's message alone in its hands.
  func suspicions(of recipient: Int, at stage: String) -> UInt8 {
    if case .queued(stage, _, let suspicions) = states[recipient] { suspicions } else { 0 }
  }
}

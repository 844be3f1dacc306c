public import MailModel
public import Spoke
public import Spool

/// Decides what happens to every recipient of every message, and does nothing else: no clock, no I/O, no threads.
///
/// Calls tell it what happened; ``takeEffects()`` hands out what is to be done about it. The hub (``Hub``) carries the
/// effects out; a simulator can, too.
///
/// The life of a message:
///
///     offer ──tx──► queued ──► active ──► forward ─────────► queued at the next lane (not written: a crash repeats it)
///                     ▲          │  ├───► settled ──tx──► end
///                     │          │  ├───► deferred ──tx──► waits for its time, then queued
///                     │          │  ├───► held ──tx──► waits for an operator, then queued
///                     │          │  ├───► failed ──tx──► end, and a report is a new message, in the same transaction
///                     │          │  └───► dead ─────────► queued at the dead-letter stage ──► end
///                     └──────────┘ the stage's process died: suspect, tried alone
///
/// Invariants:
/// 1. A recipient is in exactly one ``QueuedMessage/Place``. It leaves `settling` only when its transaction is durable.
/// 2. Nobody is told that a message is accepted before its transaction is durable.
/// 3. A failure and the report about it are one transaction: neither exists without the other.
/// 4. What cannot be reported goes to the dead-letter stage; without one it is held. Nothing is dropped.
/// 5. accepted + recovered + generated = live + ended, counted in recipients (``Ledger``).
///
/// A power cut leaves each recipient at the last state that was written; it is handed to that state's stage again.
/// Thread: one.
public final class Dispatcher {
  public enum Effect {
    case send(lane: Int, DownFrame)
    case commit(Transaction)
    /// Nobody will use this draft: its content is to be forgotten.
    case discard(DraftKey)
    /// The process of this lane's stage holds a job far beyond its time: kill it.
    case kill(lane: Int, reason: String)
    case log(Severity, QueueID?, String)
    case record(HistoryEvent)
  }

  public enum Severity: UInt8, Sendable { case debug = 1, info, warning, error }

  /// Makes a report out of failures or successes: the report's envelope and content; nil when nobody may be told.
  public typealias ReportMaker = (_ message: QueuedMessage, _ entries: [ReportEntry], _ id: QueueID, _ now: Now) -> (
    envelope: Envelope, content: [UInt8]
  )?
  public typealias RouteMaker = (_ lane: Int, _ message: StoredMessage, _ recipient: Int) -> RouteDecision

  let plan: PipelinePlan
  let route: RouteMaker
  let makeReport: ReportMaker
  var lanes: [Lane]
  var effects: [Effect] = []
  public internal(set) var messages: [QueueID: QueuedMessage] = [:]
  var jobs: [UInt64: Job] = [:]
  var lastJob: UInt64 = 0
  private var lastQueueID: QueueID
  var alarms = AlarmHeap<Alarm>()
  /// Transactions that found the disk full, to be tried again.
  var stalled: [Transaction] = []
  var stalledUntil = MonotonicTime(nanoseconds: 0)
  public internal(set) var ledger = Ledger()
  var random: any RandomNumberGenerator

  struct Job {
    let item: WorkItem
    let lane: Int
    let destination: String
    let isTrial: Bool
    let started: MonotonicTime
    var isCancelled = false
  }

  struct Alarm {
    let message: QueuedMessage
    let recipients: [Int]
    let lane: Int
  }

  /// Which lane waits for the verdict on a draft.
  var offers: [DraftKey: Int] = [:]
  /// How many octets a draft has, as counted by whoever sees its pieces.
  public var draftOctets: (DraftKey) -> UInt64 = { _ in 0 }
  /// Reads a content that the spool holds.
  public var storedContent: ([ContentExtent]) -> StoredContent = { StoredContent(extents: $0, descriptor: { _ in nil }) }

  public init(
    plan: PipelinePlan, lastQueueID: QueueID, random: any RandomNumberGenerator = SystemRandomNumberGenerator(),
    route: @escaping RouteMaker, makeReport: @escaping ReportMaker
  ) {
    self.plan = plan
    self.lanes = plan.lanes.enumerated().map { Lane(plan: $1, index: $0) }
    self.lastQueueID = lastQueueID
    self.random = random
    self.route = route
    self.makeReport = makeReport
  }

  public func takeEffects() -> [Effect] {
    defer { effects.removeAll(keepingCapacity: true) }
    return effects
  }

  // MARK: Transactions

  func commit(_ transaction: Transaction) {
    for change in transaction.changes {
      for recipient in change.recipients { change.message.places[recipient] = .settling }
    }
    effects.append(.commit(transaction))
  }

  /// The committer is done with a transaction: it is durable, or `failure` says why nothing of it happened.
  public func completed(_ transaction: Transaction, _ now: Now) {
    if let failure = transaction.failure {
      refused(transaction, failure, now)
      return
    }
    for (index, accept) in transaction.accepts.enumerated() {
      let count = accept.stored.envelope.recipients.count
      let state = RecipientState.queued(stage: plan.lanes[accept.lane].id, attempts: 0, suspicions: 0)
      let message = QueuedMessage(
        stored: accept.stored, states: Array(repeating: state, count: count), extents: transaction.extents[index])
      messages[accept.stored.id] = message
      if accept.stored.parent == nil { ledger.accepted += count } else { ledger.generated += count }
      record(.accepted, message, Array(0..<count), lane: nil, nil, now)
    }
    for change in transaction.changes { apply(change.message, change.recipients, change.state, now) }
    switch transaction.purpose {
    case .offer(let key):
      if let lane = offers.removeValue(forKey: key), let first = transaction.accepts.first {
        effects.append(.send(lane: lane, .verdict(draft: key.draft, .accepted(first.stored.id))))
      }
    case .outcome: break
    case .order(let done): done(.success(transaction.accepts.map { $0.stored.id }))
    }
    for accept in transaction.accepts {
      guard let message = messages[accept.stored.id] else { continue }
      enqueue(message, Array(message.states.indices), lane: accept.lane, now)
    }
    for onward in transaction.onward { enqueue(onward.message, onward.recipients, lane: onward.lane, now) }
  }

  static let repeatSeconds = 1.0

  func refused(_ transaction: Transaction, _ failure: SpoolError, _ now: Now) {
    switch transaction.purpose {
    case .offer(let key):
      let status =
        failure == .noSpace
        ? DeliveryStatus(.systemFull, "insufficient system storage")
        : DeliveryStatus(.localFault, "the message could not be stored")
      if let lane = offers.removeValue(forKey: key) { refuse(key, lane, status) }
    case .outcome:
      // The octets of a draft that was refused are gone, so the filter has to make them again; nothing of its outcome has
      // happened.
      if let lane = transaction.repeatsAt {
        for change in transaction.changes {
          sleep(change.message, change.recipients, lane: lane, seconds: Self.repeatSeconds, now)
        }
        return
      }
      // The stage's work is done and must not be done again: wait for room, with the outcome in memory.
      stalled.append(transaction)
      stalledUntil = now.monotonic.advanced(bySeconds: 1)
    case .order(let done): done(.failure(failure))
    }
  }

  func apply(_ message: QueuedMessage, _ recipients: [Int], _ state: RecipientState, _ now: Now) {
    for recipient in recipients {
      let wasLive = message.states[recipient].isLive
      message.states[recipient] = state
      if wasLive && !state.isLive { message.liveCount -= 1 }
    }
    switch state {
    case .queued: record(.retried, message, recipients, lane: nil, nil, now)
    case .deferred(let stage, let until, _, let status):
      record(.deferred, message, recipients, lane: stage, status, now)
      let lane = plan.lane(named: stage) ?? 0
      let wait = Double(until.millisecondsSinceEpoch - now.wall.millisecondsSinceEpoch) / 1000
      sleep(message, recipients, lane: lane, seconds: max(0, wait), now)
    case .held(let stage, _, let reason):
      record(.held, message, recipients, lane: stage, DeliveryStatus(.localFault, reason), now)
      for recipient in recipients { message.places[recipient] = .held(lane: plan.lane(named: stage) ?? 0) }
    case .settled(let settlement, let status):
      end(message, recipients)
      ledger.count(settlement, recipients.count)
      record(HistoryEvent.Kind(settlement), message, recipients, lane: nil, status, now)
    case .failed(let status, let report):
      end(message, recipients)
      ledger.failed += recipients.count
      record(.failed, message, recipients, lane: nil, status, successor: report, now)
    case .dead(let status):
      end(message, recipients)
      ledger.dead += recipients.count
      record(.dead, message, recipients, lane: nil, status, now)
    case .moved(let child):
      end(message, recipients)
      ledger.moved += recipients.count
      record(.moved, message, recipients, lane: nil, nil, successor: child, now)
    case .deleted(let reason):
      end(message, recipients)
      ledger.deleted += recipients.count
      record(.deleted, message, recipients, lane: nil, DeliveryStatus(.success, reason), now)
    }
    if message.liveCount == 0 { messages[message.stored.id] = nil }
  }

  func end(_ message: QueuedMessage, _ recipients: [Int]) {
    for recipient in recipients { message.places[recipient] = .ended }
  }

  func newID(_ now: Now) -> QueueID {
    lastQueueID = QueueID.next(after: lastQueueID, now: now.wall)
    return lastQueueID
  }

  // MARK: Telling

  func log(_ severity: Severity, _ id: QueueID?, _ text: String) { effects.append(.log(severity, id, text)) }

  func record(
    _ kind: HistoryEvent.Kind, _ message: QueuedMessage, _ recipients: [Int], lane: String?, _ status: DeliveryStatus?,
    successor: QueueID? = nil, _ now: Now
  ) {
    let event = HistoryEvent(
      at: now.wall, id: message.stored.id, kind: kind, stage: lane,
      recipients: recipients.prefix(HistoryEvent.recipientsMax).map {
        message.stored.envelope.recipients[$0].address.text
      }, recipientCount: recipients.count, sender: message.stored.envelope.reversePath?.text,
      parent: message.stored.parent, successor: successor, octets: message.stored.contentOctets, status: status)
    message.note(event)
    effects.append(.record(event))
  }

  /// Jobs in each stage's hands: who holds what.
  public var openJobs: [(job: UInt64, lane: Int, message: QueuedMessage, recipients: [Int], started: MonotonicTime)] {
    jobs.map { ($0.key, $0.value.lane, $0.value.item.message, $0.value.item.recipients, $0.value.started) }
  }
}

/// The two clocks, read once a work cycle.
public struct Now: Sendable {
  public var wall: WallTime
  public var monotonic: MonotonicTime

  public init(wall: WallTime, monotonic: MonotonicTime) {
    self.wall = wall
    self.monotonic = monotonic
  }
}

/// One recipient in a report.
public struct ReportEntry: Sendable, Equatable {
  public var recipient: Int
  public var disposition: Disposition
  public var status: DeliveryStatus
}

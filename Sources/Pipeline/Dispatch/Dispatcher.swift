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
  private var effects: [Effect] = []
  public private(set) var messages: [QueueID: QueuedMessage] = [:]
  private var jobs: [UInt64: Job] = [:]
  private var lastJob: UInt64 = 0
  private var lastQueueID: QueueID
  private var alarms = AlarmHeap<Alarm>()
  /// Transactions that found the disk full, to be tried again.
  private var stalled: [Transaction] = []
  private var stalledUntil = MonotonicTime(nanoseconds: 0)
  public private(set) var ledger = Ledger()
  private var random: any RandomNumberGenerator

  struct Job {
    let item: WorkItem
    let lane: Int
    let destination: String
    let isTrial: Bool
    let started: MonotonicTime
    var isCancelled = false
  }

  private struct Alarm {
    let message: QueuedMessage
    let recipients: [Int]
    let lane: Int
  }

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

  // MARK: Recovery

  /// A message that the spool still holds from an earlier run.
  public func recovered(_ stored: StoredMessage, _ states: [RecipientState], _ extents: [ContentExtent], _ now: Now) {
    let message = QueuedMessage(stored: stored, states: states, extents: extents)
    guard message.liveCount > 0 else { return }
    messages[stored.id] = message
    ledger.recovered += message.liveCount
    for (index, state) in states.enumerated() {
      switch state {
      case .queued(let stage, _, _): enqueue(message, [index], lane: laneAfterRestart(stage, message), now)
      case .deferred(let stage, let until, _, _):
        let wait = Double(until.millisecondsSinceEpoch - now.wall.millisecondsSinceEpoch) / 1000
        let lane = laneAfterRestart(stage, message)
        let longest = plan.lanes[lane].retry.delaysSeconds.max() ?? 0
        sleep(message, [index], lane: lane, seconds: min(max(0, wait), longest * 2), now)
      case .held(let stage, _, _):
        message.places[index] = .held(lane: laneAfterRestart(stage, message))
      case .settled, .failed, .dead, .moved, .deleted: message.places[index] = .ended
      }
    }
  }

  /// The lane of a stage that the spool names. When the pipeline no longer has it, the message starts over where its
  /// origin's first port leads.
  private func laneAfterRestart(_ stage: String, _ message: QueuedMessage) -> Int {
    if let lane = plan.lane(named: stage) { return lane }
    log(.warning, message.stored.id, "stage \(stage) is gone from the pipeline: the message starts over")
    if let origin = plan.lane(named: message.stored.origin), let first = plan.lanes[origin].ports.first { return first }
    return plan.lanes.firstIndex { $0.role == .router } ?? plan.deadLetterLane ?? 0
  }

  // MARK: Acceptance

  /// A stage offers a message. Its verdict follows when the transaction is durable.
  public func offered(_ key: DraftKey, lane: Int, port: Int, _ envelope: Envelope, octets: UInt64, _ now: Now) {
    guard !envelope.recipients.isEmpty else {
      refuse(key, lane, DeliveryStatus(EnhancedStatusCode(.permanent, 5, 1), "a message without recipients"))
      return
    }
    guard port < plan.lanes[lane].ports.count else {
      refuse(key, lane, DeliveryStatus(.localFault, "the offering stage has no such port"))
      return
    }
    let transaction = Transaction(.offer(key))
    let stored = StoredMessage(
      id: newID(now), acceptedAt: now.wall, origin: plan.lanes[lane].id, envelope: envelope, contentOctets: octets)
    transaction.accepts = [newMessage(stored, .draft(key), lane: plan.lanes[lane].ports[port])]
    offers[key] = lane
    commit(transaction)
  }

  /// Which lane waits for the verdict on a draft.
  private var offers: [DraftKey: Int] = [:]

  private func refuse(_ key: DraftKey, _ lane: Int, _ status: DeliveryStatus) {
    effects.append(.send(lane: lane, .verdict(draft: key.draft, .refused(status))))
  }

  /// Puts a message in on behalf of an operator. `done` is called when it is durable or refused.
  public func inject(
    _ envelope: Envelope, _ content: [UInt8], at lane: Int, origin: String, _ now: Now,
    done: @escaping (Result<[QueueID], SpoolError>) -> Void
  ) {
    let transaction = Transaction(.order(done))
    let stored = StoredMessage(
      id: newID(now), acceptedAt: now.wall, origin: origin, envelope: envelope, contentOctets: UInt64(content.count))
    transaction.accepts = [newMessage(stored, .octets(content), lane: lane)]
    commit(transaction)
  }

  private func newMessage(
    _ stored: StoredMessage, _ content: Transaction.ContentSource, lane: Int
  ) -> Transaction.NewMessage {
    Transaction.NewMessage(stored: stored, content: content, lane: lane, stage: plan.lanes[lane].id)
  }

  func newID(_ now: Now) -> QueueID {
    lastQueueID = QueueID.next(after: lastQueueID, now: now.wall)
    return lastQueueID
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

  private func refused(_ transaction: Transaction, _ failure: SpoolError, _ now: Now) {
    switch transaction.purpose {
    case .offer(let key):
      let status =
        failure == .noSpace
        ? DeliveryStatus(.systemFull, "insufficient system storage")
        : DeliveryStatus(.localFault, "the message could not be stored")
      if let lane = offers.removeValue(forKey: key) { refuse(key, lane, status) }
    case .outcome:
      // The stage's work is done and must not be done again: wait for room, with the outcome in memory.
      stalled.append(transaction)
      stalledUntil = now.monotonic.advanced(bySeconds: 1)
    case .order(let done): done(.failure(failure))
    }
  }

  private func apply(_ message: QueuedMessage, _ recipients: [Int], _ state: RecipientState, _ now: Now) {
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

  private func end(_ message: QueuedMessage, _ recipients: [Int]) {
    for recipient in recipients { message.places[recipient] = .ended }
  }

  // MARK: Lanes

  /// Brings recipients to a lane: to a stage's queue, or through a built-in at once.
  func enqueue(
    _ message: QueuedMessage, _ recipients: [Int], lane: Int, because: DeliveryStatus? = nil, _ now: Now
  ) {
    switch plan.lanes[lane].role {
    case .router:
      var groups: [(decision: RouteDecision, recipients: [Int])] = []
      for recipient in recipients {
        let decision = route(lane, message.stored, recipient)
        if let index = groups.firstIndex(where: { $0.decision == decision }) {
          groups[index].recipients.append(recipient)
        } else {
          groups.append((decision, [recipient]))
        }
      }
      for group in groups {
        switch group.decision {
        case .lane(let next): enqueue(message, group.recipients, lane: next, because: because, now)
        case .reject(let status): fail(message, [(group.recipients, status)], at: lane, now)
        }
      }
    case .reports:
      let status = because ?? DeliveryStatus(EnhancedStatusCode(.permanent, 0, 0), "refused by a rule of this gateway")
      fail(message, [(recipients, status)], at: lane, now)
    case .filter, .sink, .deadLetter:
      var groups: [(key: String, recipients: [Int])] = []
      var places: [String: Int] = [:]
      for recipient in recipients {
        message.places[recipient] = .waiting(lane: lane)
        let key = message.destinationKey(of: recipient, at: lanes[lane])
        if let place = places[key] {
          groups[place].recipients.append(recipient)
        } else {
          places[key] = groups.count
          groups.append((key, [recipient]))
        }
      }
      for group in groups {
        lanes[lane].add(
          WorkItem(message: message, recipients: group.recipients, because: because), destination: group.key)
      }
      pump(lane, now)
    case .source:
      log(.error, message.stored.id, "the pipeline leads into source \(plan.lanes[lane].id)")
      bury(message, recipients, DeliveryStatus(.wronglyConfigured, "the pipeline leads into a source"), now)
    }
  }

  /// Hands out work while the stage takes it.
  func pump(_ lane: Int, _ now: Now) {
    while let (item, destination, isTrial) = lanes[lane].next() {
      var item = item
      // An operator may have held or removed some meanwhile.
      item.recipients.removeAll { item.message.places[$0] != .waiting(lane: lane) }
      guard !item.recipients.isEmpty else {
        lanes[lane].jobEnded(destination: destination)
        continue
      }
      lastJob += 1
      for recipient in item.recipients { item.message.places[recipient] = .active(lane: lane, job: lastJob) }
      jobs[lastJob] = Job(
        item: item, lane: lane, destination: destination, isTrial: isTrial, started: now.monotonic)
      if isTrial { lanes[lane].trialJob = lastJob }
      effects.append(.send(lane: lane, .job(frame(for: item, job: lastJob, lane))))
    }
  }

  private func frame(for item: WorkItem, job: UInt64, _ lane: Int) -> JobFrame {
    let stored = item.message.stored
    var envelope = stored.envelope
    if item.recipients.count != envelope.recipients.count {
      envelope.recipients = item.recipients.map { stored.envelope.recipients[$0] }
    }
    if plan.lanes[lane].role == .deadLetter {
      let because = item.because
      for index in envelope.recipients.indices {
        envelope.recipients[index].attributes += DeadLetterAttributes.make(because)
      }
    }
    return JobFrame(
      job: job, queueID: stored.id,
      attempt: item.message.attempts(of: item.recipients[0], at: plan.lanes[lane].id) + 1, acceptedAt: stored.acceptedAt, envelope: envelope,
      contentOctets: stored.contentOctets, extents: item.message.extents)
  }

  /// Waits until a retry is due.
  private func sleep(_ message: QueuedMessage, _ recipients: [Int], lane: Int, seconds: Double, _ now: Now) {
    for recipient in recipients { message.places[recipient] = .deferred(lane: lane) }
    alarms.add(
      Alarm(message: message, recipients: recipients, lane: lane), at: now.monotonic.advanced(bySeconds: seconds))
  }

  // MARK: Outcomes

  /// A stage has finished a job. What does not fit the job (a number given up long ago, too few answers) is the stage's
  /// fault and harms nobody.
  public func outcome(_ outcome: OutcomeFrame, lane: Int, link: UInt64, _ now: Now) {
    guard let job = jobs[outcome.job], job.lane == lane else {
      log(.warning, nil, "\(plan.lanes[lane].id) answered a job that it does not hold")
      return
    }
    jobs[outcome.job] = nil
    if lanes[lane].trialJob == outcome.job { lanes[lane].trialJob = nil }
    lanes[lane].jobEnded(destination: job.destination)
    let message = job.item.message
    let transaction = Transaction(.outcome)
    var children: [QueueID] = []
    for emission in outcome.emissions {
      guard Int(emission.port) < plan.lanes[lane].ports.count else { continue }
      let id = newID(now)
      children.append(id)
      var stored = StoredMessage(
        id: id, parent: message.stored.id, acceptedAt: message.stored.acceptedAt, origin: message.stored.origin,
        generation: message.stored.generation, envelope: emission.envelope,
        contentOctets: message.stored.contentOctets)
      var content = Transaction.ContentSource.copy(storedContent(message.extents))
      if let draft = emission.draft {
        let key = DraftKey(link: link, draft: draft)
        content = .draft(key)
        stored.contentOctets = draftOctets(key)
      }
      transaction.accepts.append(newMessage(stored, content, lane: plan.lanes[lane].ports[Int(emission.port)]))
    }
    let allEmitted = children.count == outcome.emissions.count
    var sorted = Sorted()
    var position = 0
    for run in outcome.runs {
      let end = min(position + Int(run.count), job.item.recipients.count)
      guard position < end else { break }
      let recipients = Array(job.item.recipients[position..<end])
      position = end
      sort(run.answer, recipients, job, allEmitted ? children : [], into: &sorted, now)
    }
    if position < job.item.recipients.count {
      sort(.unanswered, Array(job.item.recipients[position...]), job, [], into: &sorted, now)
    }
    if !allEmitted { transaction.accepts = [] }
    settle(sorted, message, lane: lane, transaction, now)
    pump(lane, now)
  }

  /// How many octets a draft has, as counted by whoever sees its pieces.
  public var draftOctets: (DraftKey) -> UInt64 = { _ in 0 }
  /// Reads a content that the spool holds.
  public var storedContent: ([ContentExtent]) -> StoredContent = { StoredContent(extents: $0, descriptor: { _ in nil }) }

  /// The answers of a job by what is to be done.
  private struct Sorted {
    var changes: [(recipients: [Int], state: RecipientState)] = []
    var forwards: [(recipients: [Int], port: Int, because: DeliveryStatus?)] = []
    var failures: [(recipients: [Int], status: DeliveryStatus)] = []
    var buried: [(recipients: [Int], status: DeliveryStatus)] = []
    var successes: [(recipients: [Int], settlement: Settlement, status: DeliveryStatus)] = []
  }

  private func sort(
    _ answer: StageAnswer, _ recipients: [Int], _ job: Job, _ children: [QueueID], into sorted: inout Sorted, _ now: Now
  ) {
    let stage = plan.lanes[job.lane]
    switch answer {
    case .answered(.forward(let port, let because)):
      if port < stage.ports.count {
        sorted.forwards.append((recipients, port, because))
      } else {
        deferAll(recipients, DeliveryStatus(.localFault, "\(stage.id) has no port \(port)"), nil, job, &sorted, now)
      }
    case .answered(.settled(let settlement, let status)):
      if stage.role == .deadLetter {
        sorted.changes.append((recipients, .dead(job.item.because ?? status)))
      } else {
        sorted.successes.append((recipients, settlement, status))
      }
    case .answered(.deferred(let status, let hint)): deferAll(recipients, status, hint, job, &sorted, now)
    case .answered(.failed(let status)):
      if stage.role == .deadLetter {
        deferAll(
          recipients, DeliveryStatus(.localFault, "dead-letter refused: \(status.text)"), nil, job, &sorted, now)
      } else {
        sorted.failures.append((recipients, status))
      }
    case .answered(.held(let reason)):
      let attempts = job.item.message.attempts(of: recipients[0], at: stage.id) + 1
      sorted.changes.append((recipients, .held(stage: stage.id, attempts: attempts, reason: reason)))
    case .answered(.dead(let status)): sorted.buried.append((recipients, status))
    case .moved(let emission):
      if Int(emission) < children.count {
        sorted.changes.append((recipients, .moved(to: children[Int(emission)])))
      } else {
        deferAll(recipients, DeliveryStatus(.localFault, "\(stage.id) named no message"), nil, job, &sorted, now)
      }
    case .unanswered:
      log(.warning, job.item.message.stored.id, "\(stage.id) gave no answer for \(recipients.count) recipients")
      deferAll(recipients, DeliveryStatus(.localFault, "\(stage.id) gave no answer"), nil, job, &sorted, now)
    }
  }

  private func deferAll(
    _ recipients: [Int], _ status: DeliveryStatus, _ hint: Double?, _ job: Job, _ sorted: inout Sorted, _ now: Now
  ) {
    let message = job.item.message
    let stage = plan.lanes[job.lane]
    let age = Double(now.wall.millisecondsSinceEpoch - message.stored.acceptedAt.millisecondsSinceEpoch) / 1000
    for recipient in recipients {
      let attempts = message.attempts(of: recipient, at: stage.id) &+ 1
      let chance = Double.random(in: 0..<1, using: &random)
      let delay = stage.retry.delaySeconds(
        after: attempts, ageSeconds: max(0, age), hintSeconds: hint, random: chance)
      if let delay {
        let until = WallTime(millisecondsSinceEpoch: now.wall.millisecondsSinceEpoch + Int64(delay * 1000))
        let state = RecipientState.deferred(stage: stage.id, until: until, attempts: attempts, status)
        // Recipients with the same past share one random delay, so that they come back together.
        if let last = sorted.changes.last, case .deferred(stage.id, _, attempts, status) = last.state {
          sorted.changes[sorted.changes.count - 1].recipients.append(recipient)
        } else {
          sorted.changes.append(([recipient], state))
        }
      } else if stage.role == .deadLetter {
        sorted.changes.append(
          ([recipient], .held(stage: stage.id, attempts: attempts, reason: "dead-letter failed: \(status.text)")))
      } else {
        var final = status
        final.code = EnhancedStatusCode(.permanent, 4, 7)
        final.text = "delivery time expired: \(status.text)"
        sorted.failures.append(([recipient], final))
      }
    }
  }

  private func settle(
    _ sorted: Sorted, _ message: QueuedMessage, lane: Int, _ transaction: Transaction, _ now: Now
  ) {
    transaction.changes += sorted.changes.map { (message, $0.recipients, $0.state) }
    report(successes: sorted.successes, message, transaction, now)
    if !sorted.failures.isEmpty { fail(message, sorted.failures, at: lane, in: transaction, now) }
    if !transaction.isEmpty { commit(transaction) }
    for burial in sorted.buried { bury(message, burial.recipients, burial.status, now) }
    for forward in sorted.forwards {
      enqueue(
        message, forward.recipients, lane: plan.lanes[lane].ports[forward.port], because: forward.because, now)
    }
  }

  // MARK: Reports

  /// Settled recipients, and the report of success that some of them asked for.
  func report(
    successes: [(recipients: [Int], settlement: Settlement, status: DeliveryStatus)], _ message: QueuedMessage,
    _ transaction: Transaction, _ now: Now
  ) {
    var entries: [ReportEntry] = []
    for success in successes {
      transaction.changes.append((message, success.recipients, .settled(success.settlement, success.status)))
      guard success.settlement != .transferred else { continue }
      for recipient in success.recipients
      where message.stored.envelope.recipients[recipient].notify?.contains(.success) == true {
        entries.append(
          ReportEntry(recipient: recipient, disposition: success.settlement.disposition, status: success.status))
      }
    }
    guard !entries.isEmpty, let report = reportMessage(about: message, entries, now) else { return }
    transaction.accepts.append(report)
  }

  private func reportMessage(
    about message: QueuedMessage, _ entries: [ReportEntry], _ now: Now
  ) -> Transaction.NewMessage? {
    guard let reports = plan.reportsLane, let next = plan.lanes[reports].ports.first,
      message.stored.generation == 0, message.stored.envelope.reversePath != nil
    else { return nil }
    let id = newID(now)
    guard let report = makeReport(message, entries, id, now) else { return nil }
    let stored = StoredMessage(
      id: id, parent: message.stored.id, acceptedAt: now.wall, origin: plan.lanes[reports].id,
      generation: message.stored.generation + 1, envelope: report.envelope,
      contentOctets: UInt64(report.content.count))
    return newMessage(stored, .octets(report.content), lane: next)
  }

  /// Ends recipients that cannot be served: with a report, or where nobody may be told, at the dead-letter stage.
  private func fail(
    _ message: QueuedMessage, _ failures: [(recipients: [Int], status: DeliveryStatus)], at lane: Int, _ now: Now
  ) {
    let transaction = Transaction(.outcome)
    fail(message, failures, at: lane, in: transaction, now)
    if !transaction.isEmpty { commit(transaction) }
  }

  private func fail(
    _ message: QueuedMessage, _ failures: [(recipients: [Int], status: DeliveryStatus)], at lane: Int,
    in transaction: Transaction, _ now: Now
  ) {
    var reportable: [(recipients: [Int], status: DeliveryStatus)] = []
    for failure in failures {
      var silent: [Int] = []
      var loud: [Int] = []
      for recipient in failure.recipients {
        let notify = message.stored.envelope.recipients[recipient].notify
        let isTold = notify?.contains(.failure) ?? true
        if isTold && message.stored.envelope.reversePath != nil && message.stored.generation == 0 {
          loud.append(recipient)
        } else {
          silent.append(recipient)
        }
      }
      if !loud.isEmpty { reportable.append((loud, failure.status)) }
      if !silent.isEmpty { bury(message, silent, failure.status, now) }
    }
    guard !reportable.isEmpty else { return }
    let entries = reportable.flatMap { failure in
      failure.recipients.map { ReportEntry(recipient: $0, disposition: .failed, status: failure.status) }
    }
    guard let report = reportMessage(about: message, entries, now) else {
      for failure in reportable { bury(message, failure.recipients, failure.status, now) }
      return
    }
    transaction.accepts.append(report)
    for failure in reportable {
      transaction.changes.append(
        (message, failure.recipients, .failed(failure.status, report: report.stored.id)))
    }
  }

  /// To the dead-letter stage; without one, held.
  private func bury(_ message: QueuedMessage, _ recipients: [Int], _ status: DeliveryStatus, _ now: Now) {
    if let lane = plan.deadLetterLane {
      enqueue(message, recipients, lane: lane, because: status, now)
      return
    }
    let transaction = Transaction(.outcome)
    transaction.changes = [
      (message, recipients, .held(stage: plan.lanes[0].id, attempts: 0, reason: "\(status.code) \(status.text)"))
    ]
    commit(transaction)
  }

  // MARK: Stages that come and go

  public func stageUp(lane: Int, _ now: Now) {
    lanes[lane].isUp = true
    pump(lane, now)
  }

  /// The stage is stopping in good order: it gets no new work.
  public func stageClosing(lane: Int) { lanes[lane].isUp = false }

  /// The stage's process has ended. What it held is tried again, one message at a time; a message that a process held
  /// alone when it died is the likely cause, and after three times it is set aside.
  public func stageDown(lane: Int, link: UInt64, reason: String, _ now: Now) {
    lanes[lane].isUp = false
    let held = jobs.filter { $0.value.lane == lane }.sorted { $0.key < $1.key }
    let isAlone = held.count == 1
    lanes[lane].trialJob = nil
    for (number, job) in held {
      jobs[number] = nil
      lanes[lane].jobEnded(destination: job.destination)
      accuse(job, isAlone: isAlone, reason, now)
    }
    for (key, waiting) in offers where waiting == lane && key.link == link { offers[key] = nil }
  }

  private func accuse(_ job: Job, isAlone: Bool, _ reason: String, _ now: Now) {
    let message = job.item.message
    let stage = plan.lanes[job.lane].id
    let suspicions = message.suspicions(of: job.item.recipients[0], at: stage) + (isAlone ? 1 : 0)
    record(.suspected, message, job.item.recipients, lane: stage, DeliveryStatus(.localFault, reason), now)
    if suspicions >= Self.suspicionsMax {
      let status = DeliveryStatus(
        EnhancedStatusCode(.permanent, 3, 0), "\(stage) died \(suspicions) times while it held this message: \(reason)")
      log(.error, message.stored.id, "set aside: \(status.text)")
      if plan.lanes[job.lane].role == .deadLetter {
        let transaction = Transaction(.outcome)
        transaction.changes = [
          (message, job.item.recipients, .held(stage: stage, attempts: 0, reason: status.text))
        ]
        commit(transaction)
      } else {
        bury(message, job.item.recipients, status, now)
      }
      return
    }
    for recipient in job.item.recipients { message.places[recipient] = .waiting(lane: job.lane) }
    lanes[job.lane].addSuspect(job.item)
    guard isAlone else { return }
    // Durable without being waited for: the count must survive a restart of the host, and changes nothing now.
    let attempts = message.attempts(of: job.item.recipients[0], at: stage)
    for recipient in job.item.recipients {
      message.states[recipient] = .queued(stage: stage, attempts: attempts, suspicions: suspicions)
    }
    let note = Transaction(.outcome)
    note.notes = [
      .recipients(
        message.stored.id, job.item.recipients, .queued(stage: stage, attempts: attempts, suspicions: suspicions))
    ]
    effects.append(.commit(note))
  }

  private static let suspicionsMax: UInt8 = 3

  // MARK: Time

  /// When ``tick(_:)`` is next due; nil when nothing waits for time.
  public var nextAlarm: MonotonicTime? {
    let alarm = alarms.first
    return stalled.isEmpty ? alarm : min(alarm ?? stalledUntil, stalledUntil)
  }

  /// Does what has become due.
  public func tick(_ now: Now) {
    while let alarm = alarms.popDue(now.monotonic) {
      let due = alarm.recipients.filter { alarm.message.places[$0] == .deferred(lane: alarm.lane) }
      if !due.isEmpty { enqueue(alarm.message, due, lane: alarm.lane, now) }
    }
    if !stalled.isEmpty, stalledUntil <= now.monotonic {
      let again = stalled
      stalled = []
      for transaction in again {
        transaction.failure = nil
        effects.append(.commit(transaction))
      }
    }
  }

  /// Asks for jobs that a stage holds too long, and gives up on a stage that does not answer. Called every second or so.
  public func checkDeadlines(_ now: Now) {
    for (number, job) in jobs {
      let limit = plan.lanes[job.lane].jobSecondsMax
      let seconds = now.monotonic.seconds(since: job.started)
      if seconds > limit + Self.cancelGraceSeconds {
        effects.append(
          .kill(lane: job.lane, reason: "\(plan.lanes[job.lane].id) held a message for \(Int(seconds)) s"))
      } else if seconds > limit && !job.isCancelled {
        jobs[number]?.isCancelled = true
        effects.append(.send(lane: job.lane, .cancel(job: number)))
      }
    }
  }

  private static let cancelGraceSeconds = 10.0

  // MARK: Telling

  func log(_ severity: Severity, _ id: QueueID?, _ text: String) { effects.append(.log(severity, id, text)) }

  private func record(
    _ kind: HistoryEvent.Kind, _ message: QueuedMessage, _ recipients: [Int], lane: String?, _ status: DeliveryStatus?,
    successor: QueueID? = nil, _ now: Now
  ) {
    effects.append(
      .record(
        HistoryEvent(
          at: now.wall, id: message.stored.id, kind: kind, stage: lane,
          recipients: recipients.prefix(HistoryEvent.recipientsMax).map {
            message.stored.envelope.recipients[$0].address.text
          }, recipientCount: recipients.count, sender: message.stored.envelope.reversePath?.text,
          parent: message.stored.parent, successor: successor, octets: message.stored.contentOctets, status: status)))
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

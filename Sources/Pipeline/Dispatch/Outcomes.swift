import MailModel
public import Spoke
import Spool

/// What a stage made of a job.
extension Dispatcher {
  /// A stage has finished a job. What does not fit the job (a number given up long ago, too few answers) is the stage's
  /// fault and harms nobody.
  public func outcome(_ outcome: OutcomeFrame, lane: Int, link: UInt64, _ now: Now) {
    guard let job = jobs[outcome.job], job.lane == lane else {
      log(.warning, nil, "\(plan.lanes[lane].id) answered a job that it does not hold")
      discardDrafts(of: outcome, link)
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
        transaction.repeatsAt = lane
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
    if !allEmitted {
      transaction.accepts = []
      transaction.repeatsAt = nil
      discardDrafts(of: outcome, link)
    }
    settle(sorted, message, lane: lane, transaction, now)
    pump(lane, now)
  }

  private func discardDrafts(of outcome: OutcomeFrame, _ link: UInt64) {
    for emission in outcome.emissions {
      if let draft = emission.draft { effects.append(.discard(DraftKey(link: link, draft: draft))) }
    }
  }

  /// The answers of a job by what is to be done.
  struct Sorted {
    var changes: [(recipients: [Int], state: RecipientState)] = []
    var forwards: [(recipients: [Int], port: Int, because: DeliveryStatus?)] = []
    var failures: [(recipients: [Int], status: DeliveryStatus)] = []
    var buried: [(recipients: [Int], status: DeliveryStatus)] = []
    var successes: [(recipients: [Int], settlement: Settlement, status: DeliveryStatus)] = []
  }

  func sort(
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

  func deferAll(
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

  func settle(
    _ sorted: Sorted, _ message: QueuedMessage, lane: Int, _ transaction: Transaction, _ now: Now
  ) {
    transaction.changes += sorted.changes.map { (message, $0.recipients, $0.state) }
    report(successes: sorted.successes, message, transaction, now)
    if !sorted.failures.isEmpty { fail(message, sorted.failures, at: lane, in: transaction, now) }
    if !transaction.isEmpty { commit(transaction) }
    for burial in sorted.buried { bury(message, burial.recipients, burial.status, at: lane, now) }
    for forward in sorted.forwards {
      enqueue(
        message, forward.recipients, lane: plan.lanes[lane].ports[forward.port], because: forward.because,
        from: plan.lanes[lane].id, now)
    }
  }
}

import MailModel
import Spool

/// Stages that come and go, and what one held when it died.
extension Dispatcher {
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

  func accuse(_ job: Job, isAlone: Bool, _ reason: String, _ now: Now) {
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
        bury(message, job.item.recipients, status, at: job.lane, now)
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
}

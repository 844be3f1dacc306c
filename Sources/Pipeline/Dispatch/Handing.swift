import MailModel
import Spoke

/// How recipients come to a lane, and from there into a stage's hands.
extension Dispatcher {
  /// Brings recipients to a lane: to a stage's queue, or through a built-in at once.
  func enqueue(
    _ message: QueuedMessage, _ recipients: [Int], lane: Int, because: DeliveryStatus? = nil, from: String? = nil,
    _ now: Now
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
        case .lane(let next): enqueue(message, group.recipients, lane: next, because: because, from: from, now)
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
          WorkItem(message: message, recipients: group.recipients, because: because, from: from), destination: group.key)
      }
      pump(lane, now)
    case .source:
      log(.error, message.stored.id, "the pipeline leads into source \(plan.lanes[lane].id)")
      bury(message, recipients, DeliveryStatus(.wronglyConfigured, "the pipeline leads into a source"), at: lane, now)
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

  /// The spool has copied a message's content to another place.
  func contentMoved(_ id: QueueID, to extents: [ContentExtent]) { messages[id]?.extents = extents }

  /// A job that could not be handed over: its recipients wait a moment, and it counts as no attempt.
  func takeBack(_ number: UInt64, _ now: Now) {
    guard let job = jobs.removeValue(forKey: number) else { return }
    if lanes[job.lane].trialJob == number { lanes[job.lane].trialJob = nil }
    lanes[job.lane].jobEnded(destination: job.destination)
    sleep(job.item.message, job.item.recipients, lane: job.lane, seconds: Self.takeBackSeconds, now)
  }

  private static let takeBackSeconds = 1.0

  func frame(for item: WorkItem, job: UInt64, _ lane: Int) -> JobFrame {
    let stored = item.message.stored
    var envelope = stored.envelope
    if item.recipients.count != envelope.recipients.count {
      envelope.recipients = item.recipients.map { stored.envelope.recipients[$0] }
    }
    if plan.lanes[lane].role == .deadLetter {
      DeadLetterAttributes.add(to: &envelope, item)
    }
    return JobFrame(
      job: job, queueID: stored.id,
      attempt: item.message.attempts(of: item.recipients[0], at: plan.lanes[lane].id) + 1, acceptedAt: stored.acceptedAt, envelope: envelope,
      contentOctets: stored.contentOctets, extents: item.message.extents)
  }

  /// Waits until a retry is due.
  func sleep(_ message: QueuedMessage, _ recipients: [Int], lane: Int, seconds: Double, _ now: Now) {
    for recipient in recipients { message.places[recipient] = .deferred(lane: lane) }
    alarms.add(
      Alarm(message: message, recipients: recipients, lane: lane), at: now.monotonic.advanced(bySeconds: seconds))
  }
}

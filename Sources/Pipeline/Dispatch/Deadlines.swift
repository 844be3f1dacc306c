public import MailModel

/// What becomes due: retries, transactions that wait for room, jobs held too long.
extension Dispatcher {
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
}

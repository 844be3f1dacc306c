import MailModel
import Spool

/// Reports, and where recipients go whom nobody may be told about.
extension Dispatcher {
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

  func reportMessage(
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
  func fail(
    _ message: QueuedMessage, _ failures: [(recipients: [Int], status: DeliveryStatus)], at lane: Int, _ now: Now
  ) {
    let transaction = Transaction(.outcome)
    fail(message, failures, at: lane, in: transaction, now)
    if !transaction.isEmpty { commit(transaction) }
  }

  func fail(
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
      if !silent.isEmpty { bury(message, silent, failure.status, at: lane, now) }
    }
    guard !reportable.isEmpty else { return }
    let entries = reportable.flatMap { failure in
      failure.recipients.map { ReportEntry(recipient: $0, disposition: .failed, status: failure.status) }
    }
    guard let report = reportMessage(about: message, entries, now) else {
      for failure in reportable { bury(message, failure.recipients, failure.status, at: lane, now) }
      return
    }
    transaction.accepts.append(report)
    for failure in reportable {
      transaction.changes.append(
        (message, failure.recipients, .failed(failure.status, report: report.stored.id)))
    }
  }

  /// To the dead-letter stage; without one, held.
  func bury(_ message: QueuedMessage, _ recipients: [Int], _ status: DeliveryStatus, at lane: Int, _ now: Now) {
    record(.buried, message, recipients, lane: plan.lanes[lane].id, status, now)
    if let dead = plan.deadLetterLane {
      enqueue(message, recipients, lane: dead, because: status, from: plan.lanes[lane].id, now)
      return
    }
    let transaction = Transaction(.outcome)
    transaction.changes = [
      (message, recipients, .held(stage: plan.lanes[0].id, attempts: 0, reason: "\(status.code) \(status.text)"))
    ]
    commit(transaction)
  }
}

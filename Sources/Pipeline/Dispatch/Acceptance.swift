public import MailModel
public import Spool

/// Messages that come in: offered by a stage, or put in by an operator.
extension Dispatcher {
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

  func refuse(_ key: DraftKey, _ lane: Int, _ status: DeliveryStatus) {
    effects.append(.discard(key))
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

  func newMessage(
    _ stored: StoredMessage, _ content: Transaction.ContentSource, lane: Int
  ) -> Transaction.NewMessage {
    Transaction.NewMessage(stored: stored, content: content, lane: lane, stage: plan.lanes[lane].id)
  }
}

public import MailModel
public import Spool

/// What an operator may order while everything runs. An order about a message acts on those of its recipients that are
/// in the right place; what is in a stage's hands at that moment is not touched, and the count says so.
extension Dispatcher {
  public enum Order: Sendable, Equatable {
    /// Keep waiting and deferred recipients until released.
    case hold(reason: String)
    /// Let held recipients go on.
    case release
    /// Try deferred recipients now.
    case retry
    /// Remove waiting, deferred and held recipients. Nobody is told.
    case delete(reason: String)
  }

  /// What an order found.
  public struct OrderCount: Sendable, Equatable {
    /// Recipients that it acts on.
    public var affected = 0
    /// Recipients in a stage's hands, or on their way to the disk: not touched.
    public var busy = 0

    public init() {}
  }

  /// Carries an order out, or with `isDryRun` only counts; nil when there is no such message. The answer to `done` comes
  /// when the change is durable; not at all when nothing changes. `isChosen` says which recipients it is about.
  public func order(
    _ order: Order, _ id: QueueID, isDryRun: Bool,
    among isChosen: (QueuedMessage, Int) -> Bool = { _, _ in true }, _ now: Now,
    done: @escaping (Result<[QueueID], SpoolError>) -> Void = { _ in }
  ) -> OrderCount? {
    guard let message = messages[id] else { return nil }
    var count = OrderCount()
    var chosen: [Int] = []
    for (recipient, place) in message.places.enumerated() where place != .ended && isChosen(message, recipient) {
      switch place {
      case .active, .settling: count.busy += 1
      case .waiting:
        if order.touchesWaiting { chosen.append(recipient) }
      case .deferred:
        if order.touchesDeferred { chosen.append(recipient) }
      case .held:
        if order.touchesHeld { chosen.append(recipient) }
      case .ended: break
      }
    }
    count.affected = chosen.count
    guard !isDryRun, !chosen.isEmpty else { return count }
    let transaction = Transaction(.order(done))
    for recipient in chosen {
      guard let lane = message.lane(of: recipient) else { continue }
      let stage = plan.lanes[lane].id
      let attempts = message.attempts(of: recipient, at: stage)
      switch order {
      case .hold(let reason):
        transaction.add(message, recipient, .held(stage: stage, attempts: attempts, reason: reason))
      case .release, .retry:
        transaction.add(message, recipient, .queued(stage: stage, attempts: attempts, suspicions: 0))
        transaction.addOnward(message, recipient, lane: lane)
      case .delete(let reason): transaction.add(message, recipient, .deleted(reason: reason))
      }
    }
    commit(transaction)
    return count
  }
}

extension Dispatcher.Order {
  fileprivate var touchesWaiting: Bool {
    switch self {
    case .hold, .delete: true
    case .release, .retry: false
    }
  }

  fileprivate var touchesDeferred: Bool {
    switch self {
    case .hold, .delete, .retry: true
    case .release: false
    }
  }

  fileprivate var touchesHeld: Bool {
    switch self {
    case .release, .delete: true
    case .hold, .retry: false
    }
  }
}

extension QueuedMessage {
  /// The lane that the recipient waits at; nil when it does not wait.
  func lane(of recipient: Int) -> Int? {
    switch places[recipient] {
    case .waiting(let lane), .deferred(let lane), .held(let lane), .active(let lane, _): lane
    case .settling, .ended: nil
    }
  }
}

extension Transaction {
  /// Adds a change of one recipient to the last one like it.
  fileprivate func add(_ message: QueuedMessage, _ recipient: Int, _ state: RecipientState) {
    if let last = changes.last, last.message === message, last.state == state {
      changes[changes.count - 1].recipients.append(recipient)
    } else {
      changes.append((message, [recipient], state))
    }
  }

  fileprivate func addOnward(_ message: QueuedMessage, _ recipient: Int, lane: Int) {
    if let last = onward.last, last.message === message, last.lane == lane {
      onward[onward.count - 1].recipients.append(recipient)
    } else {
      onward.append((message, [recipient], lane))
    }
  }
}

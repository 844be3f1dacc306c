import MailModel

/// The account that proves promise 1, in recipients, since this process started:
///
///     recovered + accepted + generated = delivered + relayed + transferred + expanded
///                                      + failed + dead + moved + deleted + live
///
/// The left side counts what came in: from the spool, from sources and operators, and from this gateway itself (reports,
/// and children of messages that a filter changed). `live` is not counted here but found by walking the queue, so that
/// the difference is a proof and not an identity.
public struct Ledger: Sendable, Equatable {
  public var recovered = 0
  public var accepted = 0
  public var generated = 0
  public var delivered = 0
  public var relayed = 0
  public var transferred = 0
  public var expanded = 0
  public var failed = 0
  public var dead = 0
  public var moved = 0
  public var deleted = 0

  public init() {}

  public var entered: Int { recovered + accepted + generated }
  public var ended: Int { delivered + relayed + transferred + expanded + failed + dead + moved + deleted }

  mutating func count(_ settlement: Settlement, _ recipients: Int) {
    switch settlement {
    case .delivered: delivered += recipients
    case .relayed: relayed += recipients
    case .transferred: transferred += recipients
    case .expanded: expanded += recipients
    }
  }
}

/// The live recipients, by walking the queue.
public struct LiveCount: Sendable, Equatable {
  /// Waiting for a stage or in its hands, an outcome on its way to the disk included.
  public var queued = 0
  public var deferred = 0
  public var held = 0
  public var total: Int { queued + deferred + held }
}

extension Dispatcher {
  /// Counts the live recipients one by one.
  public func countLive() -> LiveCount {
    var count = LiveCount()
    for message in messages.values {
      for (index, state) in message.states.enumerated() where state.isLive {
        switch message.places[index] {
        case .waiting, .active, .settling: count.queued += 1
        case .deferred: count.deferred += 1
        case .held: count.held += 1
        case .ended: break
        }
      }
    }
    return count
  }
}

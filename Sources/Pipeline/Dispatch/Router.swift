import MailModel
import PipelineConfig
import Spool

/// The built-in `use: router`: sends each recipient where the first rule that matches says. Pure: the same message and
/// rules give the same way, so a route need not be stored.
struct Router: Sendable {
  let rules: RouterRules
  /// The lane of each target of the rules.
  let lanes: [Int]

  func decide(_ message: StoredMessage, _ recipient: Int) -> RouteDecision {
    let facts = Facts(message: message, recipient: message.envelope.recipients[recipient])
    for rule in rules.rules where rule.matchers.allSatisfy({ facts.match($0) }) {
      switch rule.action {
      case .forward(let port): return .lane(lanes[port])
      case .reject(let code, let text): return .reject(DeliveryStatus(code, text))
      }
    }
    // The last rule of a checked pipeline is total.
    return .reject(DeliveryStatus(.unableToRoute, "no rule of this gateway takes the recipient"))
  }

  private struct Facts {
    let message: StoredMessage
    let recipient: Recipient

    func match(_ matcher: RouterMatcher) -> Bool {
      switch matcher {
      case .recipientKind(let kinds): return kinds.contains(recipient.address.kind)
      case .recipientDomain(let domains): return contains(domains, recipient.address)
      case .recipientAddress(let addresses): return addresses.contains(recipient.address.text.lowercased())
      case .senderKind(let kinds):
        return kinds.contains(message.envelope.reversePath.map { .kind($0.kind) } ?? .null)
      case .senderDomain(let domains): return message.envelope.reversePath.map { contains(domains, $0) } ?? false
      case .origin(let stages): return stages.contains(message.origin)
      case .sizeOver(let octets): return message.contentOctets > UInt64(clamping: octets)
      }
    }

    private func contains(_ domains: DomainSet, _ address: Address) -> Bool {
      address.kind == .smtp && domains.contains(address.destinationKey)
    }
  }
}

public import MailModel

/// Something that happened to recipients of a message: a line of its history, which `interchange trace` shows.
public struct HistoryEvent: Sendable {
  public enum Kind: String, Sendable {
    case accepted, delivered, relayed, transferred, expanded, deferred, held, failed, dead, moved, deleted, retried
    /// Nobody may be told, so that the dead-letter stage gets it.
    case buried
    /// In a process's hands when it died.
    case suspected

    init(_ settlement: Settlement) {
      switch settlement {
      case .delivered: self = .delivered
      case .relayed: self = .relayed
      case .transferred: self = .transferred
      case .expanded: self = .expanded
      }
    }
  }

  public var at: WallTime
  public var id: QueueID
  public var kind: Kind
  public var stage: String?
  /// At most ``recipientsMax`` of them.
  public var recipients: [String]
  public var recipientCount: Int
  public var sender: String?
  public var parent: QueueID?
  /// The message that the recipients go on in, or the report about them.
  public var successor: QueueID?
  public var octets: UInt64
  public var status: DeliveryStatus?

  /// Addresses that a line names; more are only counted.
  public static let recipientsMax = 20
}

public import MailModel

/// What a report says about the message that it is about.
public struct ReportedMessage: Sendable {
  public var envelope: Envelope
  public var acceptedAt: WallTime
  /// As in the spool: 0 for a message that came from outside.
  public var generation: UInt8
  public var contentOctets: UInt64
  /// The name of this node, for `Reporting-MTA` and `From`.
  public var node: String
  /// The text of the queue identifier, so that an operator finds the message.
  public var queueID: String

  public init(
    envelope: Envelope, acceptedAt: WallTime, generation: UInt8 = 0, contentOctets: UInt64, node: String,
    queueID: String
  ) {
    self.envelope = envelope
    self.acceptedAt = acceptedAt
    self.generation = generation
    self.contentOctets = contentOctets
    self.node = node
    self.queueID = queueID
  }
}

/// What became of one recipient.
public struct ReportedRecipient: Sendable {
  /// Into the envelope's list.
  public var index: Int
  public var disposition: Disposition
  public var status: DeliveryStatus
  /// The address last tried, when a rule or a stage changed it.
  public var finalRecipient: Address?
  public var lastAttemptAt: WallTime?
  /// For ``Disposition/delayed``: until when the message stays in the queue.
  public var willRetryUntil: WallTime?
  /// For ``Disposition/relayed``: the next system took over the duty to report (RFC 3461 §5.2.2).
  public var dsnPassedOn: Bool

  public init(
    index: Int, disposition: Disposition, status: DeliveryStatus, finalRecipient: Address? = nil,
    lastAttemptAt: WallTime? = nil, willRetryUntil: WallTime? = nil, dsnPassedOn: Bool = false
  ) {
    self.index = index
    self.disposition = disposition
    self.status = status
    self.finalRecipient = finalRecipient
    self.lastAttemptAt = lastAttemptAt
    self.willRetryUntil = willRetryUntil
    self.dsnPassedOn = dsnPassedOn
  }

  /// RFC 3461 §4.1 and §5.2: failures unless asked not to, successes only when asked for, delays when asked for or
  /// when nothing was said.
  public func isToBeReported(notify: Notify?) -> Bool {
    switch disposition {
    case .failed: notify?.contains(.failure) ?? true
    case .delayed: notify?.contains(.delay) ?? true
    case .delivered, .expanded: notify?.contains(.success) ?? false
    case .relayed: !dsnPassedOn && (notify?.contains(.success) ?? false)
    }
  }
}

/// The bounds of a report, besides ``Limits/returnedContentOctetsMax``.
public enum ReportLimits {
  /// Recipients named in the part for people: a few screens.
  public static let humanRecipientsMax = 100
  /// Octets of that part after which no further recipient is named; one of 64 KiB, every octet escaped, still fits.
  public static let humanOctetsMax = 512 * 1024
  /// Octets of the delivery-status part after which no further recipient is listed: some 4,000 ordinary ones.
  public static let statusOctetsMax = 1024 * 1024
}

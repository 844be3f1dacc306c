/// What became of a recipient, as a report says it. RFC 3464 §2.3.3.
public enum Disposition: UInt8, Sendable {
  case delivered = 1
  case relayed = 2
  case expanded = 3
  case delayed = 4
  case failed = 5

  /// The action-value of RFC 3464 §2.3.3.
  public var word: String {
    switch self {
    case .delivered: "delivered"
    case .relayed: "relayed"
    case .expanded: "expanded"
    case .delayed: "delayed"
    case .failed: "failed"
    }
  }
}

/// Why a recipient fared as it did: for the originator's report, the log and the operator.
public struct DeliveryStatus: Hashable, Sendable {
  public var code: EnhancedStatusCode
  /// One line for people. Not yet neutralised: whoever writes it into a header, a log or a terminal escapes it.
  public var text: String
  /// The next system's name and its own words, when a next system spoke.
  public var remote: RemoteReply?

  public init(_ code: EnhancedStatusCode, _ text: String, remote: RemoteReply? = nil) {
    self.code = code
    self.text = text
    self.remote = remote
  }
}

/// A remote system's answer. RFC 3464 §2.3.5 (Remote-MTA) and §2.3.6 (Diagnostic-Code).
public struct RemoteReply: Hashable, Sendable {
  /// The host name or address literal that answered.
  public var host: String
  /// The diagnostic-type, `smtp` or `x400`.
  public var type: String
  /// The answer verbatim, lines joined by a space.
  public var text: String

  public init(host: String, type: String, text: String) {
    self.host = host
    self.type = type
    self.text = text
  }
}

/// What a stage answers for one recipient of a message it was handed. Every recipient gets exactly one.
public enum Answer: Hashable, Sendable {
  /// Hand the recipient to whatever the output port is wired to; the port is an index into the stage's ports. `because`
  /// says why, for a port that leads to the reports or to the dead-letter stage.
  case forward(port: Int, because: DeliveryStatus? = nil)
  /// Finished here: `delivered`, `relayed` or `expanded`.
  case settled(Settlement, DeliveryStatus)
  /// Not now; `retryAfterSeconds` is a hint that the schedule may stretch but not shorten below its minimum.
  case deferred(DeliveryStatus, retryAfterSeconds: Double?)
  /// Never; the originator gets a report.
  case failed(DeliveryStatus)
  /// Kept until an operator releases it.
  case held(reason: String)
  /// To the dead-letter stage: nobody can be told, or nothing can be done.
  case dead(DeliveryStatus)
}

/// The good ends of a recipient.
public enum Settlement: UInt8, Sendable {
  /// Into a mailbox or its like.
  case delivered = 1
  /// To a system that will not report success, so that a *relayed* report is due when one was asked for.
  case relayed = 2
  /// To the members of a list.
  case expanded = 3
  /// To a system that took over the duty to report (RFC 3461 §5.2.2; X.411 transfer): no report is due from here.
  case transferred = 4

  public var disposition: Disposition {
    switch self {
    case .delivered: .delivered
    case .relayed, .transferred: .relayed
    case .expanded: .expanded
    }
  }
}

import MailModel

/// What a listener is set to. The defaults are Postfix's where it has one.
public struct SMTPServerSettings: Sendable {
  /// Whether connections may or must be encrypted by STARTTLS. RFC 3207.
  public enum TLSOffer: Sendable {
    case unavailable
    case offered
    /// `MAIL` before TLS is answered 530 5.7.0.
    case required
  }

  /// What is done with a CR or LF that is not half of a CRLF, and with a NUL, inside content.
  public enum BadOctets: Sendable {
    /// The content is read to its end and then refused with 550 5.5.2 (5.6.0 for NUL).
    case refuse
    /// Each becomes a space. Nothing but CRLF `.` CRLF ends the content in either case.
    case replaceBySpace
  }

  /// The name this host answers with.
  public var hostName: String
  /// What follows the host name in the greeting.
  public var greetingText = "ESMTP"
  public var tls: TLSOffer = .unavailable
  public var badOctets: BadOctets = .refuse
  /// Refuse at `MAIL` and `RCPT` what does not follow the grammar of RFC 5321 §4.1.2, instead of leaving it to a stage.
  public var rejectInvalidAddresses = true
  /// Ask the owner about every recipient by ``SMTPServerAction/checkRecipient(_:)``.
  public var asksAboutRecipients = false
  /// `MAIL` needs `EHLO` or `HELO` before it.
  public var requiresHello = true
  /// Octets that come in one piece with, and after, `EHLO`, `HELO` or `DATA` end the session: nobody who waits for the
  /// answer could have sent them (RFC 2920 §3.1). `STARTTLS` always does (RFC 3207 §4.2).
  public var endsOnEarlyInput = true

  /// Octets of content after dot-unstuffing; also the announced SIZE (RFC 1870). 0 announces none and has no bound.
  public var contentOctetsMax = 10_240_000
  /// Octets of the header section.
  public var headerOctetsMax = 102_400
  /// `Received` fields that a message may carry.
  public var hopsMax = Limits.hopsMax
  public var recipientsMax = 1_000
  /// Octets of a command line with its CRLF.
  public var commandLineOctetsMax = 2_048
  /// Errors after which answers are to be slowed (``SMTPServerSession/replyDelaySeconds``), and the session ends with 421.
  public var softErrorsMax = 10
  public var hardErrorsMax = 20
  /// `NOOP`, `RSET`, `VRFY`, `HELP` … since the last message, after which each counts as an error.
  public var junkCommandsMax = 100
  /// Octets kept while the owner makes up its mind, after which ``SMTPServerSession/wantsRead`` is false.
  public var backlogOctetsMax = 65_536

  /// Waiting for a command, RFC 5321 §4.5.3.2.7; for the next piece of content; for the owner.
  public var commandTimeoutSeconds = 300.0
  public var contentTimeoutSeconds = 180.0
  public var verdictTimeoutSeconds = 600.0
  /// Instead of the first two, under stress.
  public var stressTimeoutSeconds = 10.0

  public init(hostName: String) { self.hostName = hostName }
}

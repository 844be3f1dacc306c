public import MailModel

/// What the owner of a ``SMTPServerSession`` is to do, in the order given.
public enum SMTPServerAction: Sendable, Equatable {
  /// Write these octets to the connection. Replies to pipelined commands come joined.
  case send([UInt8])
  /// Once everything is written, begin the TLS handshake as its server, then call
  /// ``SMTPServerSession/tlsEstablished()`` or ``SMTPServerSession/tlsFailed()``. Octets read before belong to the session.
  case startTLS
  /// Judge the recipient and call ``SMTPServerSession/recipientChecked(_:)``. Only when the settings ask for it.
  case checkRecipient(Recipient)
  /// Content begins. `declaredOctets` is the client's SIZE, which may lie.
  case beginContent(Envelope, declaredOctets: Int?)
  /// The next octets of the content, dot-unstuffed; lines end in CRLF and there is no other CR or LF, and no NUL.
  case content([UInt8])
  /// All of the content was handed over. Make it durable, then call ``SMTPServerSession/contentAccepted(identifier:)`` or
  /// ``SMTPServerSession/contentRefused(_:)``.
  case endContent(ContentFacts)
  /// Forget the content begun; no `endContent` follows it.
  case abandonContent
  /// Write what is to be written and close. Nothing follows.
  case close
}

/// What was seen of a content while it passed.
public struct ContentFacts: Hashable, Sendable {
  /// All of it, as handed over.
  public var octets = 0
  public var hasEightBitOctets = false
  /// Without its CRLF.
  public var longestLineOctets = 0
  /// `Received` fields in the header section.
  public var hops = 0

  public init() {}
}

public import MailModel

/// A message to be sent over one connection, but for its content, which the owner feeds when it is asked for.
public struct OutgoingMessage: Sendable {
  /// Its recipients are those of this connection; results name them by index.
  public var envelope: Envelope
  /// For SIZE; nil when it is not known.
  public var contentOctets: Int?
  public var hasEightBitOctets: Bool
  /// Without its CRLF.
  public var longestLineOctets: Int
  /// Header fields or the reverse-path hold UTF-8 (RFC 6531). A recipient's address speaks for itself.
  public var needsUTF8: Bool

  public init(
    envelope: Envelope, contentOctets: Int? = nil, hasEightBitOctets: Bool = false, longestLineOctets: Int = 0,
    needsUTF8: Bool = false
  ) {
    self.envelope = envelope
    self.contentOctets = contentOctets
    self.hasEightBitOctets = hasEightBitOctets
    self.longestLineOctets = longestLineOctets
    self.needsUTF8 = needsUTF8
  }
}

/// What became of one recipient.
public struct RecipientResult: Hashable, Sendable {
  /// Into the message's recipients.
  public var index: Int
  /// `.settled(.relayed, …)`, `.deferred` or `.failed`.
  public var answer: Answer
  /// Settled, and the server takes over RFC 3461's duties. When false and NOTIFY has SUCCESS, we owe a `relayed` report
  /// (RFC 3461 §5.2.2).
  public var dsnPassedOn: Bool
  /// The fault lies with this server or connection, and no content was taken: the next MX host may be tried at once.
  public var concernsHost: Bool

  public init(index: Int, answer: Answer, dsnPassedOn: Bool = false, concernsHost: Bool = false) {
    self.index = index
    self.answer = answer
    self.dsnPassedOn = dsnPassedOn
    self.concernsHost = concernsHost
  }
}

/// What the owner of a ``SMTPClientSession`` is to do, in the order given.
public enum SMTPClientAction: Sendable, Equatable {
  /// Write these octets to the connection.
  case send([UInt8])
  /// Begin the TLS handshake as its client, then call ``SMTPClientSession/tlsEstablished()`` or ``SMTPClientSession/tlsFailed(_:)``.
  case startTLS
  /// Feed the content: write what ``SMTPClientSession/encodeContent(_:)`` makes of each piece, in pieces of any size, and
  /// then call ``SMTPClientSession/finishContent()``.
  case sendContent
  /// Feed no more of it.
  case abandonContent
  /// Every recipient of a message gets exactly one, some before others.
  case recipientResult(RecipientResult)
  /// All results of the message were given.
  case messageDone
  /// ``SMTPClientSession/start(_:)`` may send the next message, or ``SMTPClientSession/quit()`` end the session.
  case readyForNext
  /// Write what is to be written and close. Nothing follows.
  case close
}

/// How a ``SMTPClientSession`` behaves towards one server.
public struct SMTPClientSettings: Sendable {
  public enum TLSMode: Sendable {
    case off
    /// When the server offers it; when it does not, in the clear. RFC 3207.
    case opportunistic
    /// Without it, recipients are deferred with 4.7.10.
    case required
  }

  /// What `EHLO` says.
  public var helloName: String
  /// The server, as reports are to name it.
  public var host: String
  public var tls: TLSMode = .opportunistic
  /// Send 8-bit content to a server without 8BITMIME as if it had it, rather than fail it with 5.6.3.
  public var assumesEightBit = false
  /// Never pipeline, even when it is offered.
  public var pipelines = true
  /// Use `BDAT`, when it is offered, for content that `DATA` cannot carry unchanged: binary, or with lines over 998 octets.
  public var usesChunking = true
  /// Octets of a line sent by `DATA`, its CRLF not counted; longer ones are broken. RFC 5321 §4.5.3.1.6.
  public var lineOctetsMax = 998
  /// Commands sent ahead of their answers.
  public var commandsAheadMax = 100

  // RFC 5321 §4.5.3.2.
  public var greetingTimeoutSeconds = 300.0
  public var commandTimeoutSeconds = 300.0
  public var dataTimeoutSeconds = 120.0
  public var contentTimeoutSeconds = 180.0
  public var finalTimeoutSeconds = 600.0
  public var quitTimeoutSeconds = 10.0

  public init(helloName: String, host: String) {
    self.helloName = helloName
    self.host = host
  }
}

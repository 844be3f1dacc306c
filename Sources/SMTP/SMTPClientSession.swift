// The client's side of one SMTP connection, for one message after another, without I/O: octets in, actions out.
//
// How an owner uses it:
//
//   var session = SMTPClientSession(settings: settings)       // connected; the server is to greet
//   perform(session.start(message))                           // may be said at once: it waits for the greeting
//   while !session.isClosed { wait for input or session.deadlineSeconds; perform(session.receive(octets)) … }
//   on .sendContent: write(session.encodeContent(piece)) for each piece, then perform(session.finishContent())
//   on .readyForNext: perform(session.start(next)) or perform(session.quit())
//
// Invariants
//  1. Every recipient of a message that was started gets exactly one result, then messageDone comes, whatever the
//     server or the connection does.
//  2. A recipient is settled only by a 2xx to the whole content, after its own 2xx to RCPT.
//  3. Answers are matched to commands by order alone. An answer that was not asked for ends the connection.
//  4. Nothing said before TLS is remembered after it; octets that came with the answer to STARTTLS end the connection.
//  5. Content leaves through ContentEncoder only.
//
// States
//   awaitingGreeting ──220──▶ awaitingHello(EHLO) ──250──▶ ready, or awaitingTLSReply
//   awaitingHello(EHLO) ──5xx──▶ awaitingHello(HELO) ──250──▶ ready
//   awaitingTLSReply ──220──▶ startingTLS ──tlsEstablished──▶ awaitingHello(EHLO)
//   awaitingTLSReply ──4xx, 5xx, if opportunistic──▶ ready
//   ready ──start──▶ inTransaction ──354──▶ sendingContent ──finishContent──▶ awaitingContentReply ──▶ ready
//   inTransaction ──nobody left──▶ awaitingReset ──▶ ready
//   ready ──quit──▶ awaitingQuit ──▶ closed
//   any ──421, loss, timeout, nonsense──▶ closed

public import MailModel

public struct SMTPClientSession: Sendable {
  enum State: Sendable {
    case awaitingGreeting
    case awaitingHello(isExtended: Bool)
    case awaitingTLSReply
    case startingTLS
    case ready
    case inTransaction
    case sendingContent
    case awaitingContentReply
    case awaitingReset
    case awaitingQuit
    case closed
  }

  public let settings: SMTPClientSettings
  public private(set) var isEncrypted: Bool
  /// Of the last `EHLO`; nil before, and after `HELO` empty.
  public internal(set) var capabilities: ServerCapabilities?
  /// The server refused a second message in this session with 503: give it one message a connection.
  public internal(set) var takesOneMessageOnly = false
  /// Why the session ended before any message could be sent, for the log.
  public internal(set) var failure: DeliveryStatus?
  /// The handshake failed where TLS was a courtesy: a new connection with ``SMTPClientSettings/TLSMode/off`` may do.
  public private(set) var mayRetryWithoutTLS = false

  var state = State.awaitingGreeting
  var message: OutgoingMessage?
  var transaction: ClientTransaction?
  var messageCount = 0
  private var reader = ReplyReader()
  private var actions: [SMTPClientAction] = []
  private var outgoing: [UInt8] = []

  public init(settings: SMTPClientSettings, isEncrypted: Bool = false) {
    self.settings = settings
    self.isEncrypted = isEncrypted
  }

  // Inputs.

  /// Sends a message now, or once the session is ready. One at a time: the one before must be done.
  public mutating func start(_ message: OutgoingMessage) -> [SMTPClientAction] {
    precondition(self.message == nil, "a message is under way")
    self.message = message
    transaction = ClientTransaction(recipientCount: message.envelope.recipients.count)
    switch state {
    case .ready: beginTransaction()
    case .closed: settleRest(failure ?? Self.lost("before the message was sent"), concernsHost: true)
    case .awaitingGreeting, .awaitingHello, .awaitingTLSReply, .startingTLS, .awaitingReset, .awaitingQuit,
      .inTransaction, .sendingContent, .awaitingContentReply:
      break
    }
    return takeActions()
  }

  /// Octets from the server, in pieces of any size.
  public mutating func receive(_ octets: ArraySlice<UInt8>) -> [SMTPClientAction] {
    var rest = octets
    while !isClosed, let octet = rest.popFirst() {
      if case .startingTLS = state {
        end(Self.nonsense("spoke into the handshake"), concernsHost: true)
        break
      }
      do throws(ReplyReader.Failure) {
        if let reply = try reader.push(octet) { take(reply, isFollowed: !rest.isEmpty) }
      } catch {
        end(Self.nonsense(error == .tooLong ? "reply too long" : "malformed reply"), concernsHost: !contentMayBeTaken)
      }
    }
    return takeActions()
  }

  public mutating func receive(_ octets: [UInt8]) -> [SMTPClientAction] { receive(octets[...]) }

  /// The handshake is done, and the server is who it should be, if that was asked for.
  public mutating func tlsEstablished() -> [SMTPClientAction] {
    guard case .startingTLS = state else { return [] }
    isEncrypted = true
    capabilities = nil
    reader = ReplyReader()
    sayHello(isExtended: true)
    return takeActions()
  }

  /// - Parameter reason: For the report, such as the verification error.
  public mutating func tlsFailed(_ reason: String) -> [SMTPClientAction] {
    guard case .startingTLS = state else { return [] }
    mayRetryWithoutTLS = settings.tls == .opportunistic
    end(DeliveryStatus(EnhancedStatusCode(.persistentTransient, 7, 5), "TLS failed: \(reason)"), concernsHost: true)
    return takeActions()
  }

  /// The octets to write for the next piece of the content; empty unless ``SMTPClientAction/sendContent`` is in force.
  public mutating func encodeContent(_ piece: ArraySlice<UInt8>) -> [UInt8] {
    guard case .sendingContent = state else { return [] }
    return transaction?.encode(piece) ?? []
  }

  public mutating func encodeContent(_ piece: [UInt8]) -> [UInt8] { encodeContent(piece[...]) }

  /// The content was fed whole.
  public mutating func finishContent() -> [SMTPClientAction] {
    guard case .sendingContent = state, let last = transaction?.finish() else { return [] }
    send(last)
    state = .awaitingContentReply
    return takeActions()
  }

  /// The owner cannot go on with the message, or with the session: ends the connection without ending the content.
  public mutating func abort(_ status: DeliveryStatus) -> [SMTPClientAction] {
    end(status, concernsHost: false)
    return takeActions()
  }

  /// Ends a session that has no message under way; otherwise like ``abort(_:)``.
  public mutating func quit() -> [SMTPClientAction] {
    switch state {
    case .ready, .awaitingReset:
      guard message == nil else {
        end(Self.lost("by us"), concernsHost: false)
        break
      }
      send("QUIT")
      state = .awaitingQuit
    case .awaitingQuit, .closed: break
    case .awaitingGreeting, .awaitingHello, .awaitingTLSReply, .startingTLS, .inTransaction,
      .sendingContent, .awaitingContentReply:
      end(Self.lost("by us"), concernsHost: false)
    }
    return takeActions()
  }

  /// ``deadlineSeconds`` have passed.
  public mutating func timeout() -> [SMTPClientAction] {
    end(DeliveryStatus(.badConnection, "timeout while \(phase)"), concernsHost: !contentMayBeTaken)
    return takeActions()
  }

  /// The server closed, or the connection broke. What was sent may have been taken or not.
  public mutating func connectionClosed() -> [SMTPClientAction] {
    end(Self.lost("while \(phase)"), concernsHost: !contentMayBeTaken)
    return takeActions().filter { if case .send = $0 { false } else { true } }
  }

  // What the owner asks.

  /// Seconds that the present wait may last, then ``timeout()``. RFC 5321 §4.5.3.2. While content is fed, each write.
  public var deadlineSeconds: Double {
    switch state {
    case .awaitingGreeting: settings.greetingTimeoutSeconds
    case .awaitingHello, .awaitingTLSReply, .startingTLS, .ready, .awaitingReset: settings.commandTimeoutSeconds
    case .inTransaction:
      transaction?.awaitsData == true ? settings.dataTimeoutSeconds : settings.commandTimeoutSeconds
    case .sendingContent: settings.contentTimeoutSeconds
    case .awaitingContentReply: settings.finalTimeoutSeconds
    case .awaitingQuit: settings.quitTimeoutSeconds
    case .closed: 0
    }
  }

  public var isClosed: Bool { if case .closed = state { true } else { false } }

  /// ``start(_:)`` would send at once.
  public var isReady: Bool { if case .ready = state { message == nil } else { false } }

  // The session's own commands.

  private mutating func take(_ reply: Reply, isFollowed: Bool) {
    if reply.code == 421 {
      end(status(of: reply), concernsHost: true)
      return
    }
    switch state {
    case .awaitingGreeting:
      if reply.isPositive { sayHello(isExtended: true) } else { refuseSession(reply) }
    case .awaitingHello(let isExtended):
      if reply.isPositive {
        capabilities = isExtended ? ServerCapabilities(ehlo: reply) : ServerCapabilities()
        greeted()
      } else if isExtended, reply.isPermanent, !isEncrypted, settings.tls != .required {
        sayHello(isExtended: false)
      } else {
        refuseSession(reply)
      }
    case .awaitingTLSReply:
      if reply.code == 220 {
        if isFollowed || !reader.isEmpty {
          end(Self.nonsense("octets after the answer to STARTTLS"), concernsHost: true)
        } else {
          state = .startingTLS
          emit(.startTLS)
        }
      } else if settings.tls == .required {
        end(tlsMissing("TLS is required and was refused", reply), concernsHost: true)
      } else {
        becomeReady()
      }
    case .inTransaction: takeInTransaction(reply)
    case .sendingContent: takeWhileSending(reply)
    case .awaitingContentReply: takeContentReply(reply)
    case .awaitingReset:
      if reply.isPositive { becomeReady() } else { end(status(of: reply).transient, concernsHost: true) }
    case .awaitingQuit: end(Self.lost("by us"), concernsHost: true)
    case .ready: end(Self.nonsense("reply without a command"), concernsHost: true)
    case .startingTLS, .closed: break
    }
  }

  private mutating func sayHello(isExtended: Bool) {
    send("\(isExtended ? "EHLO" : "HELO") \(settings.helloName)")
    state = .awaitingHello(isExtended: isExtended)
  }

  private mutating func greeted() {
    if isEncrypted || settings.tls == .off {
      becomeReady()
    } else if capabilities?.startTLS == true {
      send("STARTTLS")
      state = .awaitingTLSReply
    } else if settings.tls == .required {
      end(tlsMissing("TLS is required and was not offered", nil), concernsHost: true)
    } else {
      becomeReady()
    }
  }

  mutating func becomeReady() {
    state = .ready
    if message != nil { beginTransaction() } else { emit(.readyForNext) }
  }

  /// Not to this client, not now or not ever: another host may. 521 is for good (RFC 7504 §3.1).
  private mutating func refuseSession(_ reply: Reply) {
    var status = status(of: reply)
    if reply.code != 521 { status.code = status.code.with(class: .persistentTransient) }
    end(status, concernsHost: true)
  }

  private func tlsMissing(_ text: String, _ reply: Reply?) -> DeliveryStatus {
    DeliveryStatus(EnhancedStatusCode(.persistentTransient, 7, 10), text, remote: reply.map(remote))
  }

  // Ends.

  static func lost(_ when: String) -> DeliveryStatus { DeliveryStatus(.badConnection, "connection lost \(when)") }

  static func nonsense(_ text: String) -> DeliveryStatus {
    DeliveryStatus(EnhancedStatusCode(.persistentTransient, 5, 0), "protocol error: \(text)")
  }

  private var contentMayBeTaken: Bool { if case .awaitingContentReply = state { true } else { false } }

  private var phase: String {
    switch state {
    case .awaitingGreeting: "waiting for the greeting"
    case .awaitingHello: "waiting for the answer to EHLO"
    case .awaitingTLSReply, .startingTLS: "starting TLS"
    case .ready: "idle"
    case .inTransaction: transaction?.phase ?? "in a transaction"
    case .sendingContent: "sending the content"
    case .awaitingContentReply: "waiting for the answer to the content, which may have been taken"
    case .awaitingReset: "waiting for the answer to RSET"
    case .awaitingQuit, .closed: "closing"
    }
  }

  /// The connection is of no more use; whoever has no result yet gets one by `status`.
  mutating func end(_ status: DeliveryStatus, concernsHost: Bool) {
    guard !isClosed else { return }
    if case .sendingContent = state { emit(.abandonContent) }
    if messageCount == 0, failure == nil { failure = status }
    state = .closed
    if message != nil { settleRest(status, concernsHost: concernsHost) }
    emit(.close)
  }

  func remote(_ reply: Reply) -> RemoteReply {
    let text = String(decoding: reply.description.utf8.prefix(Limits.statusTextOctetsMax), as: UTF8.self)
    return RemoteReply(host: settings.host, type: "smtp", text: text)
  }

  func status(of reply: Reply) -> DeliveryStatus {
    let text = reply.lines.joined(separator: " ")
    let cut = String(decoding: text.utf8.prefix(Limits.statusTextOctetsMax), as: UTF8.self)
    return DeliveryStatus(reply.status, cut, remote: remote(reply))
  }

  // Actions.

  mutating func emit(_ action: SMTPClientAction) {
    flush()
    actions.append(action)
  }

  mutating func send(_ command: String) {
    outgoing.append(contentsOf: command.utf8)
    outgoing.append(ASCII.cr)
    outgoing.append(ASCII.lf)
  }

  mutating func send(_ octets: [UInt8]) { outgoing.append(contentsOf: octets) }

  var readerIsEmpty: Bool { reader.isEmpty }

  private mutating func flush() {
    guard !outgoing.isEmpty else { return }
    actions.append(.send(outgoing))
    outgoing = []
  }

  private mutating func takeActions() -> [SMTPClientAction] {
    flush()
    defer { actions = [] }
    return actions
  }
}

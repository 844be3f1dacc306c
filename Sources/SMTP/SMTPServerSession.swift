// The server's side of one SMTP connection, without I/O: octets and decisions in, actions out.
//
// How an owner uses it:
//
//   var session = SMTPServerSession(settings: settings, clientAddress: "192.0.2.7")
//   perform(session.start())                         // greets
//   while !session.isClosed {
//     wait until readable (only if session.wantsRead) or session.deadlineSeconds passed, then one of
//       perform(session.receive(octets))    perform(session.connectionClosed())    perform(session.timeout())
//     and, whenever they come: session.contentAccepted(identifier:) / .contentRefused(_:) / .recipientChecked(_:)
//   }
//
// Every input returns the actions that it causes; carry them out in order (SMTPServerAction says what each means). An
// input that comes too late, such as a verdict about a content whose connection is gone, is without effect.
// The deadline is one for the whole wait: set it anew when `deadlineSeconds` is asked after an input that completed a
// command or brought content, not after each octet.
//
// Definitions. A transaction is one value: reverse-path, recipients, content begun. Reset is its absence. "Verdict" is
// the owner's word that a content is durable, or is not wanted.
//
// Invariants
//  1. A positive answer to content is made in contentAccepted only, in state awaitingVerdict only.
//  2. beginContent is followed by exactly one of endContent and abandonContent, unless the owner itself refused; content
//     comes only between.
//  3. Only CRLF ends a command; only CRLF . CRLF, or the announced count, ends content. Bad content is read to its real
//     end before it is refused, so that none of it is taken for a command.
//  4. Nothing said before TLS is remembered after it, and octets that came with STARTTLS end the session.
//  5. Commands are answered in order. While the owner is asked something, input waits in the backlog; when that is
//     full, wantsRead is false.
//  6. Memory: one command line, the backlog, the transaction's recipients; content is never kept.
//
// States
//   awaitingStart ──start──▶ awaitingCommand
//   awaitingCommand ──RCPT, if asked──▶ checkingRecipient ──recipientChecked──▶ awaitingCommand
//   awaitingCommand ──DATA──▶ readingData ──end──▶ awaitingVerdict, or refused ──▶ awaitingCommand
//   awaitingCommand ──BDAT──▶ readingChunk ──counted down──▶ awaitingCommand, or after LAST awaitingVerdict
//   awaitingVerdict ──contentAccepted, contentRefused──▶ awaitingCommand
//   awaitingCommand ──STARTTLS──▶ startingTLS ──tlsEstablished──▶ awaitingCommand
//   any ──QUIT, timeout, too many errors, connectionClosed, tlsFailed──▶ closed
//
// Extensions: PIPELINING, SIZE, 8BITMIME, SMTPUTF8, DSN, CHUNKING, ENHANCEDSTATUSCODES, STARTTLS.

import MailModel

public struct SMTPServerSession: Sendable {
  enum State: Sendable {
    case awaitingStart
    case awaitingCommand
    case checkingRecipient(Recipient)
    case readingData
    case readingChunk(Chunk)
    case awaitingVerdict
    case startingTLS
    case closed
  }

  struct Chunk: Sendable {
    var remainingOctets: Int
    var announcedOctets: Int
    var isLast: Bool
    /// The octets belong to no content; swallow them and say this.
    var refusal: Reply?
  }

  struct Hello: Sendable {
    var name: String
    var isExtended: Bool
  }

  struct Transaction: Sendable {
    var envelope: Envelope
    var declaredOctets: Int?
    var sawRecipient = false
    var content: IncomingContent?
  }

  /// A content that has begun.
  struct IncomingContent: Sendable {
    var decoder: ContentDecoder
    var header = HeaderMeter()
    var octets = 0
    /// Set once it is refused; its rest is read and thrown away, and at its end this is said.
    var refusal: Reply?
  }

  public let settings: SMTPServerSettings
  /// An IP address in text, without brackets.
  public let clientAddress: String
  public private(set) var isEncrypted: Bool
  /// Shortens deadlines and the patience with errors (Postfix's stress-adaptive behaviour).
  public var isUnderStress = false

  var state = State.awaitingStart
  var hello: Hello?
  var transaction: Transaction?
  var reader: CommandLineReader
  var errorCount = 0
  var junkCount = 0
  var congestion: Reply?
  private var backlog: ArraySlice<UInt8> = []
  private var isShuttingDown = false
  private var sawCommand = false

  private var actions: [SMTPServerAction] = []
  private var outgoing: [UInt8] = []

  public init(settings: SMTPServerSettings, clientAddress: String, isEncrypted: Bool = false) {
    self.settings = settings
    self.clientAddress = clientAddress
    self.isEncrypted = isEncrypted
    reader = CommandLineReader(octetsMax: settings.commandLineOctetsMax)
  }

  // Inputs.

  /// The connection is there (and encrypted, if it is to be from its start). Greets, or refuses the client and closes.
  public mutating func start(refusal: Reply? = nil) -> [SMTPServerAction] {
    guard case .awaitingStart = state else { return [] }
    if let refusal {
      reply(refusal)
      close()
    } else {
      state = .awaitingCommand
      reply(Reply(220, nil, "\(settings.hostName) \(settings.greetingText)"))
    }
    return takeActions()
  }

  /// Octets from the client, in pieces of any size.
  public mutating func receive(_ octets: ArraySlice<UInt8>) -> [SMTPServerAction] {
    if isWaitingForOwner || !backlog.isEmpty {
      backlog += octets
      if backlog.count > settings.backlogOctetsMax * 2 + 1_048_576 {  // the owner does not heed wantsRead
        endSession(Reply(421, EnhancedStatusCode(.persistentTransient, 5, 0), "too much input"))
      }
    } else {
      process(octets)
    }
    return takeActions()
  }

  public mutating func receive(_ octets: [UInt8]) -> [SMTPServerAction] { receive(octets[...]) }

  /// The handshake that ``SMTPServerAction/startTLS`` asked for is done. Everything said before is forgotten.
  public mutating func tlsEstablished() -> [SMTPServerAction] {
    guard case .startingTLS = state else { return [] }
    isEncrypted = true
    hello = nil
    transaction = nil
    sawCommand = false
    reader = CommandLineReader(octetsMax: settings.commandLineOctetsMax)
    state = .awaitingCommand
    return []
  }

  public mutating func tlsFailed() -> [SMTPServerAction] {
    guard case .startingTLS = state else { return [] }
    close()
    return takeActions()
  }

  /// The owner's word on ``SMTPServerAction/checkRecipient(_:)``: nil takes the recipient, a 4xx or 5xx reply does not.
  public mutating func recipientChecked(_ refusal: Reply?) -> [SMTPServerAction] {
    guard case .checkingRecipient(let recipient) = state else { return [] }
    state = .awaitingCommand
    if let refusal { refuse(refusal) } else { addRecipient(recipient) }
    resume()
    return takeActions()
  }

  /// The content is durable and ours now: the one way to a `250` for it. RFC 5321 §4.2.5.
  /// - Parameter identifier: The queue identifier to tell the client.
  public mutating func contentAccepted(identifier: String) -> [SMTPServerAction] {
    guard case .awaitingVerdict = state else { return [] }
    state = .awaitingCommand
    transaction = nil
    junkCount = 0
    reply(Reply(250, .success, "queued as \(identifier)"))
    resume()
    return takeActions()
  }

  /// The content is not wanted, or could not be kept. Before its end, its rest is read and thrown away first.
  public mutating func contentRefused(_ refusal: Reply) -> [SMTPServerAction] {
    let refusal = refusal.isTransient || refusal.isPermanent ? refusal : Self.localFault
    if case .awaitingVerdict = state {
      guard refusal.code != 421 else {
        endSession(refusal)
        return takeActions()
      }
      state = .awaitingCommand
      transaction = nil
      reply(refusal)
      resume()
    } else if transaction?.content != nil, transaction?.content?.refusal == nil {
      transaction?.content?.refusal = refusal
    }
    return takeActions()
  }

  /// Until called with nil, `MAIL` is answered with this: 452 4.3.1 when the spool is full, or 421, which closes.
  /// A transaction under way is not touched.
  public mutating func setCongestion(_ reply: Reply?) { congestion = reply }

  /// ``deadlineSeconds`` have passed.
  public mutating func timeout() -> [SMTPServerAction] {
    endSession(Reply(421, .badConnection, "timeout"))
    return takeActions()
  }

  /// The host stops: says 421 as soon as no content is waiting for its verdict. RFC 5321 §3.8.
  public mutating func shutDown() -> [SMTPServerAction] {
    isShuttingDown = true
    if case .awaitingVerdict = state { return [] }
    endSession(Self.shuttingDown)
    return takeActions()
  }

  /// The client has gone, or the connection broke. Whether a content that waits for its verdict is kept is the owner's
  /// business: the client does not know, and will send it again.
  public mutating func connectionClosed() -> [SMTPServerAction] {
    abandonTransaction()
    state = .closed
    backlog = []
    return takeActions().filter { if case .send = $0 { false } else { true } }
  }

  // What the owner asks.

  /// False while the session cannot take more: leave the octets in the socket.
  public var wantsRead: Bool {
    switch state {
    case .awaitingStart, .startingTLS, .closed: false
    case .checkingRecipient, .awaitingVerdict: backlog.count < settings.backlogOctetsMax
    case .awaitingCommand, .readingData, .readingChunk: true
    }
  }

  /// Seconds that the present wait may last, then ``timeout()``.
  public var deadlineSeconds: Double {
    switch state {
    case .awaitingStart, .startingTLS, .awaitingCommand:
      isUnderStress ? settings.stressTimeoutSeconds : settings.commandTimeoutSeconds
    case .readingData, .readingChunk: isUnderStress ? settings.stressTimeoutSeconds : settings.contentTimeoutSeconds
    case .checkingRecipient, .awaitingVerdict: settings.verdictTimeoutSeconds
    case .closed: 0
    }
  }

  /// How long to keep what ``SMTPServerAction/send(_:)`` gives before it is written: over the soft error limit, a second.
  public var replyDelaySeconds: Double { errorCount > settings.softErrorsMax ? 1 : 0 }

  public var isClosed: Bool { if case .closed = state { true } else { false } }

  /// No transaction is open: closing now loses nobody's work.
  public var isIdle: Bool { transaction == nil }

  /// What the client called itself in `EHLO` or `HELO`; to be neutralised before it is written anywhere.
  public var helloName: String? { hello?.name }

  /// The `with` word of a Received field: RFC 3848 and, under SMTPUTF8, RFC 6531 §4.3.
  public var protocolName: String {
    guard let hello, hello.isExtended else { return "SMTP" }
    let base = transaction?.envelope.smtputf8 == true ? "UTF8SMTP" : "ESMTP"
    return isEncrypted ? base + "S" : base
  }

  // The machine.

  static let localFault = Reply(451, .localFault, "local error in processing")
  static let shuttingDown = Reply(421, EnhancedStatusCode(.persistentTransient, 3, 2), "service shutting down")

  private var isWaitingForOwner: Bool {
    switch state {
    case .checkingRecipient, .awaitingVerdict: true
    case .awaitingStart, .awaitingCommand, .readingData, .readingChunk, .startingTLS, .closed: false
    }
  }

  private mutating func resume() {
    if isShuttingDown {
      endSession(Self.shuttingDown)
      return
    }
    let waiting = backlog
    backlog = []
    process(waiting)
  }

  private mutating func process(_ octets: ArraySlice<UInt8>) {
    var rest = octets
    while !rest.isEmpty {
      switch state {
      case .awaitingCommand: readCommands(&rest)
      case .readingData: readData(&rest)
      case .readingChunk(let chunk): readChunk(chunk, &rest)
      case .checkingRecipient, .awaitingVerdict:
        backlog = Array(rest)[...]  // not a slice, which would keep the reader's whole buffer
        return
      case .awaitingStart, .startingTLS:  // spoke before the greeting, or into the handshake
        close()
        return
      case .closed: return
      }
    }
  }

  private mutating func readCommands(_ rest: inout ArraySlice<UInt8>) {
    while case .awaitingCommand = state, let octet = rest.popFirst() {
      if !sawCommand, reader.isAtLineStart, octet == Self.tlsHandshakeRecord {  // TLS on a plain port
        close()
        return
      }
      guard let event = reader.push(octet) else { continue }
      sawCommand = true
      switch event {
      case .line(let line): execute(line, isFollowed: !rest.isEmpty)
      case .malformed: refuse(Reply(500, EnhancedStatusCode(.permanent, 5, 2), "bare CR, LF or control character"))
      case .tooLong: refuse(Reply(500, EnhancedStatusCode(.permanent, 5, 2), "line too long"))
      }
    }
  }

  private static let tlsHandshakeRecord: UInt8 = 0x16

  mutating func emit(_ action: SMTPServerAction) {
    flush()
    actions.append(action)
  }

  mutating func reply(_ reply: Reply) {
    if !isClosed { reply.append(to: &outgoing) }
  }

  /// Says no and counts it; after too many, ends the session.
  mutating func refuse(_ refusal: Reply) {
    errorCount += 1
    if errorCount >= (isUnderStress ? 1 : settings.hardErrorsMax) {
      reply(refusal)
      endSession(Reply(421, EnhancedStatusCode(.persistentTransient, 7, 0), "too many errors"))
    } else if refusal.code == 421 {
      endSession(refusal)
    } else {
      reply(refusal)
    }
  }

  /// Says a last word and closes.
  mutating func endSession(_ last: Reply) {
    switch state {
    case .closed: return
    case .startingTLS: break  // plain text has no place in the handshake
    case .awaitingStart, .awaitingCommand, .checkingRecipient, .readingData, .readingChunk, .awaitingVerdict:
      reply(last)
    }
    close()
  }

  mutating func close() {
    guard !isClosed else { return }
    abandonTransaction()
    state = .closed
    backlog = []
    emit(.close)
  }

  /// Back to before `MAIL`.
  mutating func abandonTransaction() {
    if case .awaitingVerdict = state {  // endContent was said
      transaction = nil
      return
    }
    if let content = transaction?.content, content.refusal == nil { emit(.abandonContent) }
    transaction = nil
  }

  mutating func beginTLS() {
    abandonTransaction()
    state = .startingTLS
    emit(.startTLS)
  }

  private mutating func flush() {
    guard !outgoing.isEmpty else { return }
    actions.append(.send(outgoing))
    outgoing = []
  }

  private mutating func takeActions() -> [SMTPServerAction] {
    flush()
    defer { actions = [] }
    return actions
  }
}

import MailModel

/// Where one message stands on its connection.
///
/// The commands are one list: MAIL at 0, the eligible recipients from 1, and after them DATA unless the content goes by
/// BDAT. Two positions in it say what was sent and what was answered.
struct ClientTransaction: Sendable {
  /// Indices of the recipients that are asked for at all.
  var eligible: [Int] = []
  /// Whose result was given.
  var isSettled: [Bool]
  /// Whom the server took, by index.
  var accepted: [Int] = []
  var usesUTF8 = false
  var mailAccepted = false
  var mailRefused = false
  var commandPosition = 0
  var replyPosition = 0
  var encoder = ContentEncoder(.dotted)
  /// Chunks whose answers are awaited.
  var chunksUnanswered = 0
  /// Nobody is left, and 354 came all the same: an empty content ends it, whose answer does not matter.
  var isDummy = false

  init(recipientCount: Int) { isSettled = Array(repeating: false, count: recipientCount) }

  var dataPosition: Int { eligible.count + 1 }
  var usesChunking: Bool { encoder.framing != .dotted }
  var awaitsData: Bool { replyPosition == dataPosition }
  var hasUnanswered: Bool { replyPosition < commandPosition }

  var phase: String {
    if replyPosition == 0 { return "waiting for the answer to MAIL" }
    return awaitsData ? "waiting for the answer to DATA" : "waiting for the answer to RCPT"
  }

  mutating func encode(_ piece: ArraySlice<UInt8>) -> [UInt8] {
    let octets = encoder.encode(piece)
    if usesChunking, !octets.isEmpty { chunksUnanswered += 1 }
    return octets
  }

  mutating func finish() -> [UInt8] {
    chunksUnanswered += 1
    return encoder.finish()
  }
}

extension SMTPClientSession {
  // Sending.

  mutating func beginTransaction() {
    guard readerIsEmpty else {
      end(Self.nonsense("reply without a command"), concernsHost: true)
      return
    }
    guard let message, var open = transaction else { return }
    let server = capabilities ?? ServerCapabilities()
    if let refusal = refusal(of: message, by: server) {
      finishMessage(failing: refusal)
      return
    }
    for (index, recipient) in message.envelope.recipients.enumerated() {
      if let refusal = refusal(of: recipient.address, isSender: false, by: server) {
        settle(&open, index, .failed(refusal))
      } else {
        open.eligible.append(index)
        if recipient.address.text.utf8.contains(where: { $0 >= 0x80 }) { open.usesUTF8 = true }
      }
    }
    let sender = message.envelope.reversePath?.text ?? ""
    if message.needsUTF8 || sender.utf8.contains(where: { $0 >= 0x80 }) { open.usesUTF8 = true }
    let isBinary = message.envelope.bodyType == .binaryMIME
    let wantsChunks = isBinary || message.longestLineOctets > settings.lineOctetsMax
    if wantsChunks, server.chunking, settings.usesChunking {
      open.encoder = ContentEncoder(isBinary ? .binary : .chunked)
    } else {
      open.encoder = ContentEncoder(.dotted, lineOctetsMax: max(settings.lineOctetsMax, 64))
    }
    transaction = open
    guard !open.eligible.isEmpty else {
      finishMessage(failing: nil)
      return
    }
    state = .inTransaction
    messageCount += 1
    sendCommands()
  }

  /// What this server cannot take at all.
  private func refusal(of message: OutgoingMessage, by server: ServerCapabilities) -> DeliveryStatus? {
    if let octets = message.contentOctets, let octetsMax = server.contentOctetsMax, octets > octetsMax {
      return DeliveryStatus(
        .messageTooBig, "\(octets) octets are more than the \(octetsMax) that \(settings.host) takes")
    }
    let conversion = EnhancedStatusCode(.permanent, 6, 3)
    if message.envelope.bodyType == .binaryMIME, !(server.binaryMIME && server.chunking && settings.usesChunking) {
      return DeliveryStatus(conversion, "\(settings.host) takes no BINARYMIME")
    }
    if message.hasEightBitOctets, !server.eightBitMIME, !settings.assumesEightBit {
      return DeliveryStatus(conversion, "\(settings.host) takes no 8BITMIME")
    }
    if message.needsUTF8, !server.smtputf8 {
      return DeliveryStatus(.nonASCIIAddress, "\(settings.host) takes no SMTPUTF8")
    }
    return message.envelope.reversePath.flatMap { refusal(of: $0, isSender: true, by: server) }
  }

  /// RFC 5321 §4.5.3.1.4 allows 512 octets and extensions more; servers are known to take 2,048.
  private static let addressOctetsMax = 1_024

  /// Whatever could end the path or the line early does not leave.
  private func refusal(of address: Address, isSender: Bool, by server: ServerCapabilities) -> DeliveryStatus? {
    let code: EnhancedStatusCode = isSender ? .badSenderSyntax : .badDestinationSyntax
    guard address.kind == .smtp else { return DeliveryStatus(code, "not an SMTP address") }
    guard !address.text.isEmpty, address.text.utf8.count <= Self.addressOctetsMax else {
      return DeliveryStatus(code, "the address is empty or too long for SMTP")
    }
    var quoted = false
    var escaped = false
    for octet in address.text.utf8 {
      if ASCII.isControl(octet) { return DeliveryStatus(code, "the address holds a control character") }
      if escaped {
        escaped = false
      } else if octet == ASCII.backslash {
        escaped = true
      } else if octet == ASCII.quote {
        quoted.toggle()
      } else if !quoted, octet == ASCII.space || octet == ASCII.less || octet == ASCII.greater {
        return DeliveryStatus(code, "the address holds a space or an angle bracket")
      }
    }
    guard !quoted, !escaped else { return DeliveryStatus(code, "the address has a quote without an end") }
    if !server.smtputf8, address.text.utf8.contains(where: { $0 >= 0x80 }) {
      return DeliveryStatus(.nonASCIIAddress, "\(settings.host) takes no SMTPUTF8")
    }
    return nil
  }

  /// As many commands as may be ahead of their answers. DATA ends a group (RFC 2920 §3.1).
  private mutating func sendCommands() {
    guard var open = transaction, let message else { return }
    let server = capabilities ?? ServerCapabilities()
    let ahead = server.pipelining && settings.pipelines ? max(1, settings.commandsAheadMax) : 1
    while open.commandPosition - open.replyPosition < ahead, !open.mailRefused {
      if open.commandPosition == 0 {
        send(mailCommand(message, open, server))
      } else if open.commandPosition <= open.eligible.count {
        let index = open.eligible[open.commandPosition - 1]
        send(recipientCommand(message.envelope.recipients[index], server))
      } else if open.commandPosition == open.dataPosition, !open.usesChunking,
        open.hasUnanswered || !open.accepted.isEmpty
      {
        send("DATA")
      } else {
        break
      }
      open.commandPosition += 1
    }
    transaction = open
  }

  private func mailCommand(
    _ message: OutgoingMessage, _ open: ClientTransaction, _ server: ServerCapabilities
  ) -> String {
    let envelope = message.envelope
    var command = "MAIL FROM:<\(envelope.reversePath?.text ?? "")>"
    if server.size, let octets = message.contentOctets { command += " SIZE=\(octets)" }
    if envelope.bodyType == .binaryMIME {
      command += " BODY=BINARYMIME"
    } else if message.hasEightBitOctets, server.eightBitMIME {
      command += " BODY=8BITMIME"
    }
    if open.usesUTF8 { command += " SMTPUTF8" }
    if server.dsn {
      switch envelope.returnContent {
      case .full: command += " RET=FULL"
      case .headers: command += " RET=HDRS"
      case nil: break
      }
      if let id = envelope.envelopeID, let encoded = XText.encode(id, octetsMax: MailParameters.envelopeIDOctetsMax) {
        command += " ENVID=\(encoded)"
      }
    }
    return command
  }

  private func recipientCommand(_ recipient: Recipient, _ server: ServerCapabilities) -> String {
    var command = "RCPT TO:<\(recipient.address.text)>"
    guard server.dsn else { return command }
    if let notify = recipient.notify { command += " NOTIFY=\(notify.words)" }
    if let original = recipient.originalRecipient, let encoded = original.parameter { command += " ORCPT=\(encoded)" }
    return command
  }

  // Answers.

  mutating func takeInTransaction(_ reply: Reply) {
    guard var open = transaction, open.hasUnanswered else {
      end(Self.nonsense("reply without a command"), concernsHost: true)
      return
    }
    transaction = nil  // else each change below would copy the arrays
    let position = open.replyPosition
    open.replyPosition += 1
    if position == open.dataPosition {
      transaction = open
      takeDataReply(reply)
      return
    }
    guard !reply.isIntermediate else {
      transaction = open
      end(Self.nonsense("unexpected \(reply.code)"), concernsHost: true)
      return
    }
    if position == 0 {
      if reply.isPositive {
        open.mailAccepted = true
      } else {
        open.mailRefused = true
        takesOneMessageOnly = takesOneMessageOnly || (reply.code == 503 && messageCount > 1)
        let answer =
          takesOneMessageOnly ? Answer.deferred(status(of: reply).transient, retryAfterSeconds: 0) : answer(reply)
        for index in open.eligible { settle(&open, index, answer, concernsHost: takesOneMessageOnly) }
      }
    } else if !open.mailRefused {
      let index = open.eligible[position - 1]
      if reply.isPositive {
        open.accepted.append(index)
      } else {
        settle(&open, index, recipientAnswer(reply, hasAccepted: !open.accepted.isEmpty))
      }
    }
    transaction = open
    proceed()
  }

  /// After an answer: more commands, or the content, or the end.
  private mutating func proceed() {
    sendCommands()
    guard let open = transaction, !open.hasUnanswered else { return }
    if open.accepted.isEmpty {
      finishMessage(failing: nil)
    } else if open.usesChunking {
      state = .sendingContent
      emit(.sendContent)
    }
  }

  private mutating func takeDataReply(_ reply: Reply) {
    guard let open = transaction else { return }
    switch reply.code {
    case 354 where open.accepted.isEmpty:  // RFC 2920 §3.1
      transaction?.isDummy = true
      send(".")
      state = .awaitingContentReply
    case 354:
      state = .sendingContent
      emit(.sendContent)
    case 400...599: finishMessage(answering: reply)
    default: end(Self.nonsense("unexpected \(reply.code)"), concernsHost: true)
    }
  }

  /// A chunk's answer, or a server that will not wait for the end of what it does not want.
  mutating func takeWhileSending(_ reply: Reply) {
    guard let open = transaction else { return }
    if open.usesChunking, open.chunksUnanswered > 0, reply.isPositive {
      transaction?.chunksUnanswered -= 1
      return
    }
    guard reply.isTransient || reply.isPermanent else {
      end(Self.nonsense("unexpected \(reply.code)"), concernsHost: true)
      return
    }
    emit(.abandonContent)
    state = .awaitingContentReply
    settleAccepted(answer(reply))
    end(Self.lost("by us"), concernsHost: false)
  }

  mutating func takeContentReply(_ reply: Reply) {
    guard let open = transaction else { return }
    if open.isDummy {
      transaction?.mailAccepted = false
      finishMessage(failing: nil)
      return
    }
    if open.chunksUnanswered > 1 {
      transaction?.chunksUnanswered -= 1
      if reply.isPositive { return }
      settleAccepted(answer(reply))  // the answers to the chunks behind it do not matter
      end(Self.lost("by us"), concernsHost: false)
      return
    }
    guard !reply.isIntermediate else {
      end(Self.nonsense("unexpected \(reply.code)"), concernsHost: false)
      return
    }
    transaction?.mailAccepted = false  // whatever the answer, the server's transaction is over
    finishMessage(answering: reply)
  }

  // Results.

  func answer(_ reply: Reply) -> Answer {
    let status = status(of: reply)
    return reply.isPositive
      ? .settled(.relayed, status)
      : reply.isTransient ? .deferred(status, retryAfterSeconds: nil) : .failed(status)
  }

  /// Too many recipients is the transaction's fault, not the recipient's: the rest may go in another one at once.
  /// RFC 5321 §4.5.3.1.10 wants 552 understood as 452.
  private func recipientAnswer(_ reply: Reply, hasAccepted: Bool) -> Answer {
    let saysTooMany = reply.enhanced.map { $0.subject == 5 && $0.detail == 3 }
    if hasAccepted, (reply.code == 452 && saysTooMany != false) || (reply.code == 552 && saysTooMany == true) {
      return .deferred(status(of: reply).transient, retryAfterSeconds: 0)
    }
    return answer(reply)
  }

  private mutating func settle(
    _ open: inout ClientTransaction, _ index: Int, _ answer: Answer, concernsHost: Bool = false
  ) {
    guard !open.isSettled[index] else { return }
    open.isSettled[index] = true
    var passedOn = false
    if case .settled = answer { passedOn = capabilities?.dsn == true }
    emit(
      .recipientResult(
        RecipientResult(index: index, answer: answer, dsnPassedOn: passedOn, concernsHost: concernsHost)))
  }

  private mutating func settleAccepted(_ answer: Answer) {
    guard var open = transaction else { return }
    for index in open.accepted { settle(&open, index, answer) }
    transaction = open
  }

  /// Whoever is left gets this, and the message is done.
  mutating func settleRest(_ status: DeliveryStatus, concernsHost: Bool) {
    guard var open = transaction else { return }
    let answer: Answer =
      status.code.class == .permanent ? .failed(status) : .deferred(status.transient, retryAfterSeconds: nil)
    for index in open.isSettled.indices { settle(&open, index, answer, concernsHost: concernsHost) }
    transaction = nil
    message = nil
    emit(.messageDone)
  }

  private mutating func finishMessage(answering reply: Reply) {
    settleAccepted(answer(reply))
    finishMessage(failing: nil)
  }

  /// - Parameter failing: What those without a result get; by now there is nobody without one when it is nil.
  private mutating func finishMessage(failing status: DeliveryStatus?) {
    let needsReset = transaction?.mailAccepted == true
    settleRest(status ?? Self.nonsense("no answer"), concernsHost: false)
    if needsReset {
      send("RSET")
      state = .awaitingReset
    } else {
      becomeReady()
    }
  }
}

extension DeliveryStatus {
  /// The same, as something that may pass.
  var transient: DeliveryStatus {
    DeliveryStatus(code.with(class: .persistentTransient), text, remote: remote)
  }
}

extension OriginalRecipient {
  /// The value of ORCPT; nil when it has none that a server would take.
  var parameter: String? {
    let isWord = type.utf8.allSatisfy {
      ASCII.isDigit($0) || (0x41...0x5A).contains(ASCII.upper($0)) || $0 == ASCII.hyphen
    }
    guard !type.isEmpty, isWord else { return nil }
    let plain = type.lowercased() == "utf-8" ? XText.encodeUnicodeEscapes(text) : text
    let room = RecipientParameters.originalRecipientOctetsMax - type.utf8.count - 1
    return XText.encode(plain, octetsMax: room).map { "\(type);\($0)" }
  }
}

extension Notify {
  /// The value of NOTIFY. RFC 3461 §4.1.
  var words: String {
    var words: [String] = []
    if contains(.success) { words.append("SUCCESS") }
    if contains(.failure) { words.append("FAILURE") }
    if contains(.delay) { words.append("DELAY") }
    return words.isEmpty ? "NEVER" : words.joined(separator: ",")
  }
}

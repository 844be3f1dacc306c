import MailModel

/// The commands of RFC 5321 §4.1.1 and of the extensions, each in the order of that section.
extension SMTPServerSession {
  /// - Parameter isFollowed: More octets came in the same piece.
  mutating func execute(_ line: [UInt8], isFollowed: Bool) {
    let word = line.prefix { $0 != ASCII.space }
    let argument = Self.trimmed(line[word.endIndex...])
    let verb = ASCII.upperText(word) ?? ""
    do throws(Refusal) {
      switch verb {
      case "EHLO", "HELO": try helloCommand(argument, isExtended: verb == "EHLO", isFollowed: isFollowed)
      case "MAIL": try mailCommand(argument)
      case "RCPT": try recipientCommand(argument)
      case "DATA": try dataCommand(argument, isFollowed: isFollowed)
      case "BDAT": try chunkCommand(argument)
      case "STARTTLS": try startTLSCommand(argument, isFollowed: isFollowed)
      case "RSET":
        try refuseArgument(argument)
        junk()
        abandonTransaction()
        reply(Reply(250, .success, "OK"))
      case "NOOP":
        junk()
        reply(Reply(250, .success, "OK"))
      case "VRFY":
        junk()
        guard !argument.isEmpty else { throw Refusal(501, Self.badArguments, "VRFY needs an address") }
        reply(Reply(252, EnhancedStatusCode(.success, 5, 0), "cannot verify, but will accept and attempt delivery"))
      case "HELP":
        junk()
        reply(Reply(214, .success, "RFC 5321"))
      case "QUIT":
        try refuseArgument(argument)
        abandonTransaction()
        reply(Reply(221, .success, "\(settings.hostName) closing connection"))
        close()
      case "EXPN", "TURN", "ETRN", "ATRN", "AUTH", "SEND", "SOML", "SAML":
        throw Refusal(502, Self.badCommand, "command not implemented")
      case "GET", "POST", "PUT", "HEAD", "CONNECT", "OPTIONS", "DELETE", "PATCH", "TRACE", "PRI":
        endSession(Reply(421, EnhancedStatusCode(.persistentTransient, 7, 0), "this is not a web server"))
      default: throw Refusal(500, Self.badCommand, "command unrecognized")
      }
    } catch {
      refuse(error.reply)
    }
  }

  static let badCommand = EnhancedStatusCode(.permanent, 5, 1)
  static let badArguments = EnhancedStatusCode(.permanent, 5, 4)

  private static func trimmed(_ octets: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    var rest = octets.drop { $0 == ASCII.space }
    while let last = rest.last, last == ASCII.space || last == ASCII.tab { rest.removeLast() }
    return rest
  }

  private func refuseArgument(_ argument: ArraySlice<UInt8>) throws(Refusal) {
    guard argument.isEmpty else { throw Refusal(501, Self.badArguments, "no argument allowed") }
  }

  /// Commands that move no mail are free up to a number, then errors.
  private mutating func junk() {
    junkCount += 1
    if junkCount > (isUnderStress ? 1 : settings.junkCommandsMax) { errorCount += 1 }
    if errorCount >= settings.hardErrorsMax {
      endSession(Reply(421, EnhancedStatusCode(.persistentTransient, 7, 0), "too many commands without mail"))
    }
  }

  private mutating func endOnEarlyInput(_ isFollowed: Bool) -> Bool {
    guard isFollowed, settings.endsOnEarlyInput else { return false }
    reply(Reply(503, EnhancedStatusCode(.permanent, 5, 0), "input before the answer to the command"))
    close()
    return true
  }

  private mutating func helloCommand(
    _ argument: ArraySlice<UInt8>, isExtended: Bool, isFollowed: Bool
  ) throws(Refusal) {
    guard !argument.isEmpty, argument.count <= 255, argument.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
      throw Refusal(501, Self.badArguments, "expected a host name or an address literal")
    }
    if endOnEarlyInput(isFollowed) { return }
    if hello != nil { junk() }
    guard !isClosed else { return }
    abandonTransaction()
    hello = Hello(name: String(decoding: argument, as: UTF8.self), isExtended: isExtended)
    reply(Reply(250, nil, isExtended ? [settings.hostName] + extensions : [settings.hostName]))
  }

  private var extensions: [String] {
    var keywords = ["PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "CHUNKING", "ENHANCEDSTATUSCODES"]
    keywords.append(settings.contentOctetsMax > 0 ? "SIZE \(settings.contentOctetsMax)" : "SIZE")
    switch settings.tls {
    case .unavailable: break
    case .offered, .required: if !isEncrypted { keywords.append("STARTTLS") }
    }
    keywords.append("HELP")
    return keywords
  }

  private mutating func mailCommand(_ argument: ArraySlice<UInt8>) throws(Refusal) {
    if hello == nil, settings.requiresHello { throw Refusal(503, Self.badCommand, "send EHLO first") }
    if settings.tls == .required, !isEncrypted {
      throw Refusal(530, EnhancedStatusCode(.permanent, 7, 0), "issue STARTTLS first")
    }
    guard transaction == nil else { throw Refusal(503, Self.badCommand, "nested MAIL command") }
    let command = try PathCommand(argument, prefix: "FROM:", badPath: .badSenderSyntax)
    let mail = try MailParameters(command.parameters, isExtended: hello?.isExtended == true)
    if let octets = mail.declaredOctets, settings.contentOctetsMax > 0, octets > settings.contentOctetsMax {
      throw Refusal(552, .messageTooBig, "message too big")
    }
    let sender = try mailbox(
      command.mailbox, allowUTF8: mail.smtputf8, syntax: .badSenderSyntax, needsUTF8Code: 550)
    if let congestion {
      if congestion.code == 421 { endSession(congestion) } else { reply(congestion) }
      return
    }
    transaction = Transaction(
      envelope: Envelope(
        reversePath: sender.isEmpty ? nil : .smtp(sender), recipients: [], envelopeID: mail.envelopeID,
        returnContent: mail.returnContent, bodyType: mail.bodyType, smtputf8: mail.smtputf8),
      declaredOctets: mail.declaredOctets)
    reply(Reply(250, EnhancedStatusCode(.success, 1, 0), "OK"))
  }

  private mutating func recipientCommand(_ argument: ArraySlice<UInt8>) throws(Refusal) {
    guard transaction != nil else { throw Refusal(503, Self.badCommand, "need MAIL command") }
    guard transaction?.content == nil else { throw Refusal(503, Self.badCommand, "RCPT after BDAT") }
    transaction?.sawRecipient = true
    let smtputf8 = transaction?.envelope.smtputf8 == true
    let command = try PathCommand(argument, prefix: "TO:", badPath: .badDestinationSyntax)
    guard !command.mailbox.isEmpty else { throw Refusal(501, .badDestinationSyntax, "a recipient is needed") }
    let text = try mailbox(
      command.mailbox, allowUTF8: smtputf8, syntax: .badDestinationSyntax, needsUTF8Code: 553)
    let asked = try RecipientParameters(
      command.parameters, isExtended: hello?.isExtended == true, smtputf8: smtputf8)
    guard let count = transaction?.envelope.recipients.count, count < settings.recipientsMax else {
      reply(Reply(452, EnhancedStatusCode(.persistentTransient, 5, 3), "too many recipients"))
      return
    }
    let recipient = Recipient(.smtp(text), notify: asked.notify, originalRecipient: asked.originalRecipient)
    if settings.asksAboutRecipients {
      state = .checkingRecipient(recipient)
      emit(.checkRecipient(recipient))
    } else {
      addRecipient(recipient)
    }
  }

  mutating func addRecipient(_ recipient: Recipient) {
    transaction?.envelope.recipients.append(recipient)
    reply(Reply(250, EnhancedStatusCode(.success, 1, 5), "OK"))
  }

  /// The text of a mailbox; empty for the null reverse-path, and `Postmaster` may stand alone (RFC 5321 §4.1.1.3). Which octets it may hold is judged always; its grammar, when the settings say so.
  private func mailbox(
    _ octets: ArraySlice<UInt8>, allowUTF8: Bool, syntax: EnhancedStatusCode, needsUTF8Code: Int
  ) throws(Refusal) -> String {
    guard let text = String(validating: octets, as: UTF8.self) else {
      throw Refusal(501, syntax, "the address is not UTF-8")
    }
    if !allowUTF8, octets.contains(where: { $0 >= 0x80 }) {
      throw Refusal(needsUTF8Code, .nonASCIIAddress, "the address needs SMTPUTF8")
    }
    let isComplete = text.isEmpty || text.utf8.elementsEqual("postmaster".utf8) { $0 | 0x20 == $1 }
    guard settings.rejectInvalidAddresses, !isComplete else { return text }
    do throws(AddressError) { _ = try SMTPAddress.parse(text, allowUTF8: allowUTF8) } catch {
      throw Refusal(501, error.code == .badDestinationSyntax ? syntax : error.code, error.text)
    }
    return text
  }

  private mutating func dataCommand(_ argument: ArraySlice<UInt8>, isFollowed: Bool) throws(Refusal) {
    try refuseArgument(argument)
    try readyForContent()
    guard transaction?.content == nil else { throw Refusal(503, Self.badCommand, "DATA after BDAT") }
    if endOnEarlyInput(isFollowed) { return }
    beginContent(chunked: false)
    state = .readingData
    reply(Reply(354, nil, "end with <CRLF>.<CRLF>"))
  }

  private func readyForContent() throws(Refusal) {
    guard let transaction else { throw Refusal(503, Self.badCommand, "need MAIL command") }
    guard transaction.sawRecipient else { throw Refusal(503, Self.badCommand, "need RCPT command") }
    guard !transaction.envelope.recipients.isEmpty else { throw Refusal(554, Self.badCommand, "no valid recipients") }
  }

  /// A count that cannot be read leaves no way to know where the next command begins, so the session ends.
  /// Octets of a chunk that is not wanted are read and thrown away (RFC 3030 §2).
  private mutating func chunkCommand(_ argument: ArraySlice<UInt8>) throws(Refusal) {
    let words = argument.split(separator: ASCII.space)
    let isLast = words.count == 2 && ASCII.upperText(words[1]) == "LAST"
    guard let first = words.first, let count = ASCII.number(first), words.count == 1 || isLast else {
      reply(Reply(501, Self.badArguments, "expected BDAT count [LAST]"))
      endSession(Reply(421, EnhancedStatusCode(.persistentTransient, 5, 0), "lost track of the content"))
      return
    }
    var chunk = Chunk(remainingOctets: count, announcedOctets: count, isLast: isLast, refusal: nil)
    do throws(Refusal) { try readyForContent() } catch { chunk.refusal = error.reply }
    if chunk.refusal == nil, transaction?.content == nil { beginContent(chunked: true) }
    if chunk.refusal == nil, settings.contentOctetsMax > 0, let content = transaction?.content, content.refusal == nil,
      count > settings.contentOctetsMax - content.octets
    {
      transaction?.content?.refusal = Self.tooBig
      emit(.abandonContent)
    }
    if count == 0 { endChunk(chunk) } else { state = .readingChunk(chunk) }
  }

  private mutating func startTLSCommand(_ argument: ArraySlice<UInt8>, isFollowed: Bool) throws(Refusal) {
    try refuseArgument(argument)
    guard settings.tls != .unavailable else { throw Refusal(502, Self.badCommand, "command not implemented") }
    guard !isEncrypted else { throw Refusal(503, Self.badCommand, "TLS is active already") }
    if isFollowed {  // an attacker's commands must not run as the client's (CVE-2011-0411)
      reply(Reply(503, EnhancedStatusCode(.permanent, 5, 0), "input after STARTTLS"))
      close()
      return
    }
    reply(Reply(220, .success, "ready to start TLS"))
    beginTLS()
  }
}

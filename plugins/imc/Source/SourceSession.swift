// One client of imc.source: carries octets between its channel and the SMTP machine, and content into a draft.
//
// The machine's actions are carried out in order. Where one cannot be, the rest waits in `waiting` and the channel takes
// no input: for room in the spool (a draft that took nothing says when), or for the second by which a client that makes
// too many errors is slowed.
//
// The life of a content: beginContent makes a draft and writes the Received field; content is appended; endContent adds
// the envelope and offers it; the verdict, and nothing else, makes the 250. A draft that is dropped is discarded.
//
// Deadlines. A request has one deadline: it is not put off by single octets, only when the machine answers, or when
// content came at 500 octets a second or better since it was set.

internal import InternetMessage
internal import MailModel
internal import Platform
internal import SMTP
internal import StageKit

final class SourceSession: ChannelOwner {
  private unowned let source: Source
  private let number: Int
  private let address: SocketAddress
  private let channel: Channel
  private let tls: TLSContext?
  private var smtp: SMTPServerSession
  private var draft: Draft?
  private var envelope: Envelope?
  private var waiting: ArraySlice<SMTPServerAction> = []
  private var isHeldUp = false
  private var isPerforming = false
  private var isOver = false
  private var deadline: Int64 = .max
  private var contentOctetsSinceDeadline = 0
  private var contentCount = 0
  private var hasCongestionReply = false

  private static let octetsPerSecondMin = 500.0
  private static let lingerSeconds = 5.0
  /// Output that a client may leave unread before no more of its commands are taken.
  private static let unreadOctetsMax = 64 * 1024

  init(_ source: Source, number: Int, _ socket: consuming TCPSocket, from address: SocketAddress, tls: TLSContext?) {
    self.source = source
    self.number = number
    self.address = address
    self.tls = tls
    smtp = SMTPServerSession(settings: source.settings.session, clientAddress: address.ip)
    channel = Channel(source.context, socket, buffer: source.buffer, isConnecting: false)
  }

  func start(isOneTooMany: Bool) {
    channel.owner = self
    guard channel.start() else {
      over()
      return
    }
    smtp.isUnderStress = source.congestion >= .tight
    let refusal = Reply(421, EnhancedStatusCode(.persistentTransient, 7, 0), "too many connections from your address")
    perform(smtp.start(refusal: isOneTooMany ? refusal : nil))
  }

  /// Once a second.
  func tick(_ now: Int64, isLast: Bool) {
    smtp.isUnderStress = source.congestion >= .tight
    if isLast { stop(isLast: true) }
    guard now >= deadline else { return }
    if smtp.isClosed || isHeldUp {
      over()
    } else {
      source.context.count("sessions.timeout")
      perform(smtp.timeout())
    }
  }

  /// The stage stops: a content that is coming in may come to its end, others hear 421 now.
  func stop(isLast: Bool) {
    if isLast {
      if smtp.isClosed { over() } else { perform(smtp.shutDown()) }
    } else if draft == nil, !smtp.isClosed {
      perform(smtp.shutDown())
    }
  }

  // What the channel says.

  func channelConnected() {}

  func channelReceived(_ octets: ArraySlice<UInt8>) {
    contentOctetsSinceDeadline += octets.count
    setCongestion()
    perform(smtp.receive(octets))
  }

  func channelDrained() { listen() }

  func channelSecured(_ failure: TLSError?) {
    if let failure {
      source.context.log(.info, "TLS with \(address.ip) failed: \(failure)")
      source.context.count("tls.failed")
      perform(smtp.tlsFailed())
    } else {
      source.context.count("tls.sessions")
      perform(smtp.tlsEstablished())
    }
  }

  func channelEnded(_ end: ChannelEnd) {
    waiting = []
    isHeldUp = false
    perform(smtp.connectionClosed())
    over()
  }

  // What the machine says.

  private func perform(_ actions: [SMTPServerAction]) {
    if !actions.isEmpty || contentOctetsSinceDeadline >= octetsExpected { setDeadline() }
    waiting += actions[...]
    proceed()
  }

  private func proceed() {
    guard !isPerforming else { return }
    isPerforming = true
    while !isHeldUp, let action = waiting.popFirst() { perform(action) }
    if waiting.isEmpty { waiting = [] }
    isPerforming = false
    listen()
  }

  private func perform(_ action: SMTPServerAction) {
    switch action {
    case .send(let octets): send(octets)
    case .startTLS: startTLS()
    case .checkRecipient: resume(smtp.recipientChecked(nil))
    case .beginContent(let envelope, _): begin(envelope)
    case .content(let octets): append(octets)
    case .endContent(let facts): offer(facts)
    case .abandonContent:
      draft = nil
      envelope = nil
    case .close:
      draft = nil
      envelope = nil
      channel.finish()
      deadline = source.now + Int64(Self.lingerSeconds * 1e9)
      if channel.isClosed { over() }
    }
  }

  /// What the machine makes of our answer comes before what it said already.
  private func resume(_ actions: [SMTPServerAction]) { waiting = actions + waiting }

  private func send(_ octets: [UInt8]) {
    let delay = smtp.replyDelaySeconds
    guard delay > 0, !smtp.isClosed else {
      channel.send(octets)
      return
    }
    holdUp()
    _ = source.context.timer(after: delay) { [weak self] in
      self?.channel.send(octets)
      self?.goOn()
    }
  }

  private func startTLS() {
    guard let tls else {
      resume(smtp.tlsFailed())
      return
    }
    do throws(TLSError) {
      channel.startTLS(try TLSEngine(tls))
    } catch {
      source.context.log(.warning, "TLS: \(error)")
      resume(smtp.tlsFailed())
    }
  }

  private func holdUp() {
    isHeldUp = true
    deadline = source.now + Int64(source.settings.session.verdictTimeoutSeconds * 1e9)
  }

  private func goOn() {
    guard isHeldUp, !isOver else { return }
    isHeldUp = false
    setDeadline()
    proceed()
  }

  // Content.

  private func begin(_ envelope: Envelope) {
    guard let draft = source.context.makeDraft() else {
      refuse(Self.noRoom)
      return
    }
    self.draft = draft
    self.envelope = envelope
    append(receivedField(envelope))
  }

  private func append(_ octets: [UInt8]) {
    guard let draft else { return }
    switch draft.write(octets) {
    case .taken: break
    case .noRoom:
      waiting = [.content(octets)] + waiting
      holdUp()
      source.context.count("content.waited")
      draft.onRoom { [weak self] in self?.goOn() }
    case .tooBig: refuse(Reply(552, .messageTooBig, "message too big"))
    case .refused: refuse(Self.localFault)
    }
  }

  private func offer(_ facts: ContentFacts) {
    guard let draft, var envelope else { return }
    self.draft = nil
    self.envelope = nil
    if facts.hasEightBitOctets, envelope.bodyType == .sevenBit { envelope.bodyType = .eightBitMIME }
    if let summary = channel.tlsSummary { envelope.attributes.append(Attribute("client.tls", summary)) }
    switch draft.setEnvelope(envelope) {
    case .taken: break
    case .tooBig:
      refuse(Reply(552, EnhancedStatusCode(.permanent, 5, 3), "too many recipients or attributes"))
      return
    case .noRoom, .refused:
      refuse(Self.localFault)
      return
    }
    guard draft.offer({ [weak self] verdict in self?.judge(verdict) }) else {
      refuse(source.isStopping ? Reply(421, .localFault, "service shutting down") : Self.localFault)
      return
    }
  }

  private func judge(_ verdict: Verdict) {
    guard !isOver else { return }
    switch verdict {
    case .accepted(let queueID):
      source.context.count("messages.accepted")
      perform(smtp.contentAccepted(identifier: queueID))
    case .refused(let code, let text):
      source.context.count("messages.refused")
      let line = text.isEmpty ? "not accepted" : text
      switch code.class {
      case .permanent: perform(smtp.contentRefused(Reply(554, code, line)))
      case .persistentTransient:
        let isFull = code == .systemFull
        perform(smtp.contentRefused(Reply(isFull ? 452 : 451, code, line)))
      case .success: perform(smtp.contentRefused(Self.localFault))
      }
    }
    if source.isStopping, !smtp.isClosed { perform(smtp.shutDown()) }
  }

  /// Takes no more of this content. When the machine has given it up by itself in what is still to be carried out, its
  /// word stands, and a later content is not touched; otherwise nothing of a later one can be waiting.
  private func refuse(_ reply: Reply) {
    draft = nil
    envelope = nil
    guard !waiting.contains(.abandonContent) else { return }
    waiting.removeAll { action in
      switch action {
      case .content, .endContent: true
      case .send, .startTLS, .checkRecipient, .beginContent, .abandonContent, .close: false
      }
    }
    resume(smtp.contentRefused(reply))
  }

  private static let noRoom = Reply(452, .systemFull, "insufficient system storage")
  private static let localFault = Reply(451, .localFault, "local error in processing")

  private func receivedField(_ envelope: Envelope) -> [UInt8] {
    contentCount += 1
    return ReceivedField(
      helloName: smtp.helloName, clientAddress: address.ip, hostName: source.settings.session.hostName,
      protocolName: smtp.protocolName, identifier: "\(source.runNumber).\(number).\(contentCount)",
      recipient: envelope.recipients.count == 1 ? envelope.recipients.first?.address.text : nil,
      date: WallTime(millisecondsSinceEpoch: source.context.wallMilliseconds), allowsUTF8: envelope.smtputf8
    ).render()
  }

  // The rest.

  private func setCongestion() {
    let isFull = source.context.congestion >= .full
    guard isFull != hasCongestionReply else { return }
    hasCongestionReply = isFull
    smtp.setCongestion(isFull ? Self.noRoom : nil)
  }

  private func listen() {
    guard !isOver, !channel.isClosed else { return }
    channel.wantsInput = !isHeldUp && smtp.wantsRead && channel.outputOctets <= Self.unreadOctetsMax
  }

  private var octetsExpected: Int { Int(min(Self.octetsPerSecondMin * smtp.deadlineSeconds, 1e9)) }

  private func setDeadline() {
    guard !smtp.isClosed else { return }
    contentOctetsSinceDeadline = 0
    deadline = source.now + Int64(min(smtp.deadlineSeconds, 1e9) * 1e9)
  }

  private func over() {
    guard !isOver else { return }
    isOver = true
    draft = nil
    waiting = []
    channel.close()
    source.ended(number, from: address)
  }
}

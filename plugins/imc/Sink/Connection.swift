// One connection of imc.sink: carries octets between its channel and the SMTP machine, and content out of jobs.
//
// It is made for a transaction and then kept for others of the same destination, until it has carried
// messages_per_connection, has been idle for idle_close, or breaks. Whatever happens, the destination hears once of each
// transaction, with a result for each recipient, and once that the connection is over.
//
//   connecting ──made──▶ busy ──all results──▶ idle ──next transaction──▶ busy
//   any ──break, timeout, QUIT──▶ over

internal import MailModel
internal import Platform
internal import SMTP
internal import StageKit

/// What a connection tells its destination. Thread: stage.
protocol ConnectionOwner: AnyObject {
  /// Greeted and ready: the host is alive.
  func connectionReady(_ connection: Connection)
  /// The transaction is through. `results` has one for each recipient, by its index in the transaction.
  func connectionDone(_ connection: Connection, _ transaction: Transaction, _ results: [RecipientResult])
  /// Free for the next transaction.
  func connectionIdle(_ connection: Connection)
  func connectionOver(_ connection: Connection)
}

final class Connection: ChannelOwner {
  let target: Target
  private let context: StageContext
  private let settings: SinkSettings
  private weak var owner: (any ConnectionOwner)?
  private let channel: Channel
  private let tls: TLSContext?
  private var smtp: SMTPClientSession
  private var transaction: Transaction?
  private var results: [RecipientResult] = []
  private var offset: UInt64 = 0
  private var isFeeding = false
  private(set) var isConnected = false
  private var isShakingHands = false
  private var isOver = false
  private var wasReady = false
  private var deadline: Int64
  /// Transactions begun.
  private(set) var messageCount = 0
  /// Nothing is under way, and another transaction may be given.
  private(set) var isIdle = false

  /// Output that may wait for the socket before content waits in the spool.
  private static let outputOctetsMax = 128 * 1024
  private static let pieceOctets = 32 * 1024
  private static let octetsPerTurn = 1 << 20

  /// Begins to connect.
  /// - Throws: ``SystemError`` when that fails at once.
  init(
    to target: Target, _ context: StageContext, _ settings: SinkSettings, tls: TLSContext?, buffer: ReadBuffer,
    owner: any ConnectionOwner
  ) throws(SystemError) {
    self.target = target
    self.context = context
    self.settings = settings
    self.owner = owner
    self.tls = tls
    var session = settings.session
    session.host = target.host
    if tls == nil {
      session.tls = .off
    } else {
      switch settings.tls {
      case .off: session.tls = .off
      case .opportunistic: session.tls = .opportunistic
      case .required, .verify: session.tls = .required
      }
    }
    smtp = SMTPClientSession(settings: session)
    channel = Channel(context, try TCPSocket.connecting(to: target.address), buffer: buffer, isConnecting: true)
    deadline = context.monotonicNanoseconds + Int64(settings.connectSeconds * 1e9)
  }

  /// False when the event loop does not take the socket.
  func start(_ transaction: Transaction) -> Bool {
    channel.owner = self
    guard channel.start() else { return false }
    begin(transaction)
    return true
  }

  /// Sends it now, or once the server has greeted.
  func begin(_ transaction: Transaction) {
    isIdle = false
    messageCount += 1
    self.transaction = transaction
    results = []
    offset = 0
    if isConnected { setDeadline(settings.session.commandTimeoutSeconds) }
    perform(smtp.start(transaction.message))
  }

  var takesMore: Bool { messageCount < settings.messagesPerConnection && !smtp.takesOneMessageOnly }

  /// Its transaction failed where TLS was a courtesy.
  var mayRetryWithoutTLS: Bool { smtp.mayRetryWithoutTLS }

  func quit() {
    isIdle = false
    perform(smtp.quit())
  }

  /// Gives the transaction up, unless its content is on the way: then the server's word is waited for.
  func cancel(_ delivery: Delivery) {
    guard transaction?.delivery === delivery, !isFeeding, offset == 0 else { return }
    perform(smtp.abort(DeliveryStatus(.badConnection, "given up by the gateway")))
  }

  /// Once a second.
  func tick(_ now: Int64) {
    guard now >= deadline, !isOver else { return }
    if !isConnected {
      fail("timeout")
    } else if isIdle {
      quit()
    } else if smtp.isClosed {
      over()
    } else if isShakingHands {
      perform(smtp.tlsFailed("timeout"))
    } else {
      perform(smtp.timeout())
    }
  }

  // What the channel says.

  func channelConnected() {
    isConnected = true
    setDeadline(smtp.deadlineSeconds)
  }

  func channelReceived(_ octets: ArraySlice<UInt8>) {
    // A line at least, or nothing has been said.
    let hasLine = octets.contains(0x0A)
    perform(smtp.receive(octets))
    if hasLine, !isIdle { setDeadline(smtp.deadlineSeconds) }
  }

  func channelDrained() {
    setDeadline(smtp.deadlineSeconds)
    feed()
  }

  func channelSecured(_ failure: TLSError?) {
    isShakingHands = false
    if let failure {
      context.log(.info, "TLS with \(target.host)[\(target.address)] failed: \(failure)")
      context.count("tls.failed")
      perform(smtp.tlsFailed(failure.description))
    } else {
      perform(smtp.tlsEstablished())
    }
  }

  func channelEnded(_ end: ChannelEnd) {
    if isConnected {
      // Many a server that cannot do TLS just hangs up.
      perform(isShakingHands ? smtp.tlsFailed(end.description) : smtp.connectionClosed())
      over()
    } else {
      switch end {
      case .failed(let error): fail(String(describing: error))
      case .byPeer, .tls, .refusedByHost: fail(end.description)
      }
    }
  }

  /// The connection was not made.
  private func fail(_ reason: String) {
    let status = DeliveryStatus(.noAnswer, "connect to \(target.host)[\(target.address)]: \(reason)")
    channel.close()
    if let transaction {
      self.transaction = nil
      let results = transaction.recipients.indices.map {
        RecipientResult(index: $0, answer: .deferred(status, retryAfterSeconds: nil), concernsHost: true)
      }
      owner?.connectionDone(self, transaction, results)
    }
    over()
  }

  // What the machine says.

  private func perform(_ actions: [SMTPClientAction]) {
    for action in actions { perform(action) }
    if !wasReady, smtp.capabilities != nil, !smtp.isClosed, !isOver {
      wasReady = true
      owner?.connectionReady(self)
    }
  }

  private func perform(_ action: SMTPClientAction) {
    switch action {
    case .send(let octets): channel.send(octets)
    case .startTLS: startTLS()
    case .sendContent:
      isFeeding = true
      feed()
    case .abandonContent: isFeeding = false
    case .recipientResult(let result): results.append(result)
    case .messageDone:
      isFeeding = false
      guard let done = transaction else { return }
      transaction = nil
      let all = results
      results = []
      owner?.connectionDone(self, done, all)
    case .readyForNext:
      guard transaction == nil, !isOver else { return }
      isIdle = true
      setDeadline(settings.idleSeconds)
      owner?.connectionIdle(self)
    case .close:
      isFeeding = false
      isIdle = false
      channel.finish()
      setDeadline(2)
      if channel.isClosed { over() }
    }
  }

  private func startTLS() {
    guard let tls else {
      perform(smtp.tlsFailed("not set up"))
      return
    }
    do throws(TLSError) {
      isShakingHands = true
      channel.startTLS(try TLSEngine(tls, serverName: settings.verifiedName ?? target.host))
    } catch {
      isShakingHands = false
      perform(smtp.tlsFailed(error.description))
    }
  }

  /// Content from the job to the socket, as far as that takes it; the end of the content with its last octets, in one
  /// write, because a small write after a large one waits for the peer's delayed acknowledgement.
  private func feed() {
    var budget = Self.octetsPerTurn
    while isFeeding, !channel.isClosed {
      channel.cork()
      fill(&budget)
      guard channel.uncork() else { return }  // channelDrained goes on
      guard budget > 0 else {
        if isFeeding { _ = context.timer(after: 0) { [weak self] in self?.feed() } }
        return
      }
    }
  }

  /// Content from the job to the channel, until that holds enough.
  private func fill(_ budget: inout Int) {
    while isFeeding, budget > 0, let transaction, channel.outputOctets <= Self.outputOctetsMax {
      let job = transaction.delivery.job
      guard offset < job.contentOctets else {
        isFeeding = false
        perform(smtp.finishContent())
        setDeadline(smtp.deadlineSeconds)
        return
      }
      let octets = job.withPiece(from: offset) { piece -> [UInt8] in
        Array(piece.prefix(Self.pieceOctets))
      }
      guard !octets.isEmpty else {
        isFeeding = false
        perform(smtp.abort(DeliveryStatus(.localFault, "the content cannot be read")))
        return
      }
      offset += UInt64(octets.count)
      budget -= octets.count
      channel.send(smtp.encodeContent(octets))
    }
  }

  private func setDeadline(_ seconds: Double) {
    deadline = context.monotonicNanoseconds + Int64(min(seconds, 1e9) * 1e9)
  }

  private func over() {
    guard !isOver else { return }
    isOver = true
    isIdle = false
    isFeeding = false
    channel.close()
    owner?.connectionOver(self)
  }
}

// One destination of imc.sink: the next hop, or the hosts of one domain. It owns what waits for it, its connections and
// its opinion of its health, so that a destination that is slow or dead costs the others nothing.
//
// A transaction and its hosts. A transaction carries the list of targets that it may still try. A connection is made for
// it to the first one; when the fault lies with that host (connect, greeting, 421, loss before content was taken) the
// target is struck off and those recipients try the next one at once (failure mode G7). When none is left they are
// deferred with what the last one said. What a server says of a recipient is final for this attempt.
//
// Concurrency. `window` connections at once: `connectionsAtStart`, growing by one for every window full of messages that
// went through, to connectionsMax; one less, and at least one, for every transaction that ran out of targets.
//
// Health
//   well ──a transaction runs out of targets──▶ backing off ──time──▶ probing ──a server greets──▶ well
//                                                    ▲                      └─runs out of targets──┐
//                                                    └──────────────(twice the time)───────────────┘
//   backing off: whoever waits or comes is deferred at once with the last failure, and told when to come again.
//   probing: one connection; others wait for what becomes of it.
//
// The wait is 1 s, doubling to 5 min, less up to a quarter by chance.

internal import MailModel
internal import Platform
internal import SMTP
internal import StageKit

final class Destination: ConnectionOwner {
  private enum Health {
    case well
    /// With the failure that is told meanwhile.
    case backingOff(until: Int64, DeliveryStatus)
    case probing
  }

  private let sink: Sink
  private let key: Key
  private var waiting: [Transaction] = []
  private var connections: [ObjectIdentifier: Connection] = [:]
  private var health = Health.well
  private var failureCount = 0
  private var window: Double
  private var route: [Target] = []
  private var routeUntil: Int64 = 0
  private var isFindingRoute = false
  /// Addresses that did not answer are tried last until then.
  private var shunnedUntil: [SocketAddress: Int64] = [:]
  private var isPumping = false

  /// What the sink tells destinations apart by.
  enum Key: Hashable, CustomStringConvertible {
    case nextHop(Endpoint)
    /// In lower case.
    case domain(String)
    case literal(SocketAddress)

    var description: String {
      switch self {
      case .nextHop(let endpoint): endpoint.description
      case .domain(let name): name
      case .literal(let address): address.description
      }
    }
  }

  private static let routeSeconds = 60.0
  private static let shunSeconds = 60.0
  private static let waitSecondsMax = 300.0

  init(_ sink: Sink, _ key: Key) {
    self.sink = sink
    self.key = key
    window = Double(sink.settings.connectionsAtStart)
  }

  private var context: StageContext { sink.context }
  private var now: Int64 { sink.context.monotonicNanoseconds }

  /// Nothing to do and nothing to remember.
  var isForgettable: Bool {
    guard waiting.isEmpty, connections.isEmpty, !isFindingRoute, shunnedUntil.isEmpty else { return false }
    switch health {
    case .well: return now >= routeUntil
    case .backingOff(let until, _): return now >= until + Int64(Self.waitSecondsMax * 1e9)
    case .probing: return false
    }
  }

  var connectionCount: Int { connections.count }

  // Work comes.

  func submit(_ transaction: Transaction) {
    if case .backingOff(let until, let status) = health, now < until {
      sink.context.count("transactions.backoff")
      transaction.answer(.deferred(status, retryAfterSeconds: Double(until - now) / 1e9))
      return
    }
    if sink.settings.nextHop == nil, waiting.count >= sink.settings.waitingPerDestination {
      let status = DeliveryStatus(EnhancedStatusCode(.persistentTransient, 4, 5), "too much mail waits for \(key)")
      transaction.answer(.deferred(status, retryAfterSeconds: 10))
      return
    }
    waiting.append(transaction)
    pump()
  }

  /// The host wants the job back.
  func cancel(_ delivery: Delivery) {
    let status = DeliveryStatus(.badConnection, "given up by the gateway while waiting for \(key)")
    let given = waiting.filter { $0.delivery === delivery }
    waiting.removeAll { $0.delivery === delivery }
    for transaction in given { transaction.answer(.deferred(status, retryAfterSeconds: nil)) }
    for connection in Array(connections.values) { connection.cancel(delivery) }
  }

  /// The stage stops: what has not begun is the host's again.
  func stop() {
    deferAll(DeliveryStatus(.localFault, "the gateway stops"), retryAfter: nil)
    for connection in Array(connections.values) where connection.isIdle { connection.quit() }
  }

  /// Once a second.
  func tick(_ now: Int64) {
    for connection in Array(connections.values) { connection.tick(now) }
    shunnedUntil = shunnedUntil.filter { $0.value > now }
    pump()
  }

  private func deferAll(_ status: DeliveryStatus, retryAfter: Double?) {
    let given = waiting
    waiting = []
    for transaction in given { transaction.answer(.deferred(status, retryAfterSeconds: retryAfter)) }
  }

  // Work goes out.

  private var windowNow: Int {
    switch health {
    case .well: max(1, Int(window))
    case .backingOff(let until, _): now < until ? 0 : 1
    case .probing: 1
    }
  }

  private func pump() {
    guard !isPumping else { return }
    isPumping = true
    defer { isPumping = false }
    while let next = waiting.first {
      if next.delivery.isCancelled {
        waiting.removeFirst()
        let status = DeliveryStatus(.badConnection, "given up by the gateway while waiting for \(key)")
        next.answer(.deferred(status, retryAfterSeconds: nil))
      } else if let connection = idleConnection(for: next) {
        waiting.removeFirst()
        connection.begin(next)
      } else if connections.count < windowNow {
        if next.targets == nil {
          guard now < routeUntil else {
            findRoute()
            if isFindingRoute { return }
            continue  // an address needs no look-up, and the answer is there already
          }
          next.targets = route
        }
        waiting.removeFirst()
        connect(next)
      } else if connections.values.allSatisfy(\.isIdle), let idle = connections.values.first {
        idle.quit()  // none of them will do, and there is no room for another
        return
      } else {
        return
      }
    }
  }

  private func idleConnection(for transaction: Transaction) -> Connection? {
    guard !transaction.needsFreshConnection else { return nil }
    return connections.values.first { connection in
      connection.isIdle && connection.takesMore && (transaction.targets?.contains(connection.target) ?? true)
    }
  }

  private func findRoute() {
    guard !isFindingRoute else { return }
    isFindingRoute = true
    sink.find(key) { [weak self] route in
      guard let self else { return }
      self.isFindingRoute = false
      switch route {
      case .targets(let targets):
        self.route = targets
        self.routeUntil = self.now + Int64(Self.routeSeconds * 1e9)
        self.pump()
      case .deferred(let status): self.ranOut(status)
      case .failed(let status):
        let given = self.waiting
        self.waiting = []
        for transaction in given { transaction.answer(.failed(status)) }
      }
    }
  }

  /// Those that did not answer lately come last.
  private func ordered(_ targets: [Target]) -> [Target] {
    guard !shunnedUntil.isEmpty else { return targets }
    let shunned = targets.filter { shunnedUntil[$0.address] != nil }
    return targets.filter { shunnedUntil[$0.address] == nil } + shunned
  }

  private func connect(_ transaction: Transaction) {
    let targets = ordered(transaction.targets ?? [])
    transaction.targets = targets
    guard let target = targets.first else {
      let status = DeliveryStatus(.noAnswer, "no host of \(key) is left to try")
      transaction.answer(.deferred(status, retryAfterSeconds: nil))
      return
    }
    if case .backingOff = health { health = .probing }
    let tls = transaction.inTheClear.contains(target) ? nil : sink.clientTLS
    do throws(SystemError) {
      let connection = try Connection(
        to: target, context, sink.settings, tls: tls, buffer: sink.buffer, owner: self)
      connections[ObjectIdentifier(connection)] = connection
      context.count("connections.begun")
      if !connection.start(transaction) {
        connections[ObjectIdentifier(connection)] = nil
        failed(transaction, at: target, DeliveryStatus(.noAnswer, "the event loop refused a socket"))
      }
    } catch {
      let status = DeliveryStatus(.noAnswer, "connect to \(target.host)[\(target.address)]: \(error)")
      failed(transaction, at: target, status)
    }
  }

  /// The whole transaction could not be tried at the target.
  private func failed(_ transaction: Transaction, at target: Target, _ status: DeliveryStatus) {
    shunnedUntil[target.address] = now + Int64(Self.shunSeconds * 1e9)
    tryNext(transaction, without: target, status)
  }

  private func tryNext(_ transaction: Transaction, without target: Target, _ status: DeliveryStatus) {
    transaction.targets?.removeAll { $0 == target }
    transaction.needsFreshConnection = false
    if transaction.targets?.isEmpty == false, !transaction.delivery.isCancelled {
      waiting.insert(transaction, at: 0)
    } else {
      let answer: Answer =
        status.code.class == .permanent
        ? .failed(status) : .deferred(status, retryAfterSeconds: nil)
      transaction.answer(answer)
      ranOut(status)
    }
  }

  /// A transaction has no host left to try.
  private func ranOut(_ status: DeliveryStatus) {
    window = max(1, window - 1)
    if case .backingOff(let until, _) = health, now < until { return }
    failureCount += 1
    let full = min(Self.waitSecondsMax, Double(1 << min(failureCount - 1, 16)))
    let wait = full * Double.random(in: 0.75...1)
    let transient = DeliveryStatus(
      status.code.with(class: .persistentTransient), status.text, remote: status.remote)
    health = .backingOff(until: now + Int64(wait * 1e9), transient)
    routeUntil = 0
    context.log(.warning, "\(key): no host takes mail, next try in \(Int(wait.rounded(.up))) s: \(status.text)")
    deferAll(transient, retryAfter: wait)
  }

  // What connections say.

  func connectionReady(_ connection: Connection) {
    shunnedUntil[connection.target.address] = nil
    failureCount = 0
    switch health {
    case .well: break
    case .backingOff, .probing:
      health = .well
      window = Double(sink.settings.connectionsAtStart)
    }
    pump()
  }

  func connectionDone(_ connection: Connection, _ transaction: Transaction, _ results: [RecipientResult]) {
    var again: [Int] = []
    var elsewhere: [Int] = []
    var hostStatus: DeliveryStatus?
    for result in results {
      let recipient = transaction.recipients[result.index]
      switch result.answer {
      case .settled(_, let status):
        context.count("recipients.sent")
        transaction.delivery.answer(recipient, .settled(result.dsnPassedOn ? .transferred : .relayed, status))
      case .deferred(let status, let retryAfter):
        if result.concernsHost {
          elsewhere.append(recipient)
          hostStatus = status
        } else if retryAfter == 0, !transaction.delivery.isCancelled {
          again.append(recipient)
        } else {
          transaction.delivery.answer(recipient, result.answer)
        }
      case .failed(let status):
        if result.concernsHost {
          elsewhere.append(recipient)
          hostStatus = status
        } else {
          transaction.delivery.answer(recipient, result.answer)
        }
      case .forward, .held, .dead: transaction.delivery.answer(recipient, result.answer)  // never said by the machine
      }
    }
    if elsewhere.isEmpty, connection.isConnected {
      window = min(Double(sink.settings.connectionsMax), window + 1 / window)
    }
    if !again.isEmpty { waiting.insert(transaction.rest(again), at: 0) }
    guard let hostStatus else { return }
    let rest = transaction.rest(elsewhere)
    if rest.targets == nil { rest.targets = route }
    if connection.mayRetryWithoutTLS, sink.settings.tls == .opportunistic {
      // RFC 7435: no encryption beats no mail where encryption was a courtesy.
      rest.inTheClear.insert(connection.target)
      rest.needsFreshConnection = true
      waiting.insert(rest, at: 0)
    } else if connection.messageCount > 1, !transaction.delivery.isCancelled {
      // The server had enough of this connection, which says nothing of the server.
      rest.needsFreshConnection = true
      waiting.insert(rest, at: 0)
    } else {
      if !connection.isConnected { shunnedUntil[connection.target.address] = now + Int64(Self.shunSeconds * 1e9) }
      tryNext(rest, without: connection.target, hostStatus)
    }
  }

  func connectionIdle(_ connection: Connection) {
    guard connection.takesMore, !sink.isStopping else {
      connection.quit()
      return
    }
    pump()
  }

  func connectionOver(_ connection: Connection) {
    connections[ObjectIdentifier(connection)] = nil
    // The next one is made from the loop, so that hosts that fail at once do not pile up on the stack.
    guard !waiting.isEmpty else { return }
    _ = context.timer(after: 0) { [weak self] in self?.pump() }
  }
}

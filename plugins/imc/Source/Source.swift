// imc.source: mail comes in by SMTP. One stage thread, one event loop, thousands of sessions on it.
//
// Invariants
//  1. A session is in `sessions` from accept until its channel is closed, and counted for its client as long.
//  2. A listener is watched for readability only while a connection could be taken: not after stop, not while the host
//     is shut, not while descriptors are short, not while `sessionsMax` are open. The kernel's backlog holds the rest.
//  3. When descriptors run out, the one in reserve is spent to tell one client 421, then listening rests for a second:
//     a listener that stays readable must not spin.
//  4. Deadlines are looked at once a second, for all sessions at once.

internal import MailModel
internal import Platform
internal import SMTP
internal import StageKit

final class Source: Stage {
  static let declaration = StageDeclaration(
    name: "source", kind: .source, summary: "Takes mail in by SMTP.", ports: ["out"],
    settings: SourceSettings.declaration)

  let context: StageContext
  let settings: SourceSettings
  let buffer = ReadBuffer()
  private var listeners: [Listener] = []
  private var sessions: [Int: SourceSession] = [:]
  private var sessionsByClient: [[UInt8]: Int] = [:]
  private var lastSession = 0
  /// Tells the identifiers of this run's Received fields from those of others.
  let runNumber: String
  private var reserve: EventFD?
  private var restsUntil: Int64 = 0
  private(set) var isStopping = false
  private var stopBy: Int64 = .max
  /// As the host said last.
  private(set) var congestion = Congestion.flowing

  private final class Listener {
    let socket: TCPSocket
    let tls: TLSContext?
    var watch: Watch?
    var isOpen = true

    init(_ socket: consuming TCPSocket, tls: TLSContext?) {
      self.socket = socket
      self.tls = tls
    }
  }

  init(context: StageContext, config: ConfigNode) throws(StageFailure) {
    self.context = context
    settings = try SourceSettings(context: context, config: config)
    runNumber = String(max(0, context.wallMilliseconds), radix: 36)
  }

  func start() throws(StageFailure) {
    for address in settings.listen {
      do {
        // A context a listener: its session tickets are good there only.
        var tls: TLSContext?
        if let certificate = settings.certificateFile, let key = settings.keyFile {
          tls = try TLSContext.server(certificateFile: certificate, keyFile: key)
        }
        let listener = Listener(try TCPSocket.listening(on: address), tls: tls)
        let bound = try listener.socket.localAddress()
        listeners.append(listener)
        context.log(.info, "listening on \(bound)")
      } catch {
        throw .failed("cannot listen on \(address): \(error)")
      }
    }
    // Without a reserve, a client is left waiting instead of being told, which is right as well.
    reserve = try? EventFD()
    congestion = context.congestion
    for listener in listeners {
      listener.watch = context.watch(listener.socket.rawValue, .readable) { [unowned self, unowned listener] _ in
        self.accept(from: listener)
      }
      guard listener.watch != nil else { throw .failed("the event loop refused a listening socket") }
    }
    tick()
  }

  func stop() {
    isStopping = true
    for listener in listeners { listener.watch?.cancel() }
    listeners = []
    stopBy = now + Int64(settings.stopSeconds * 1e9)
    for session in sessions.values { session.stop(isLast: false) }
  }

  var now: Int64 { context.monotonicNanoseconds }

  // Accepting.

  private static let acceptsPerTurn = 64

  private func accept(from listener: Listener) {
    for _ in 0..<Self.acceptsPerTurn {
      guard !isStopping, sessions.count < settings.sessionsMax, context.congestion != .shut else {
        watchListeners()
        return
      }
      do throws(SystemError) {
        guard let accepted = try listener.socket.accept() else { return }
        let address = accepted.address
        begin(accepted.take(), from: address, tls: listener.tls)
      } catch {
        rest(listener, after: error)
        return
      }
    }
  }

  private func begin(_ socket: consuming TCPSocket, from address: SocketAddress, tls: TLSContext?) {
    do throws(SystemError) {
      try socket.tune()
    } catch {
      return  // gone already
    }
    lastSession += 1
    let count = sessionsByClient[address.octets, default: 0]
    let session = SourceSession(self, number: lastSession, socket, from: address, tls: tls)
    sessions[lastSession] = session
    sessionsByClient[address.octets] = count + 1
    context.count("sessions.accepted")
    if count >= settings.sessionsPerClientMax { context.count("sessions.refused") }
    session.start(isOneTooMany: count >= settings.sessionsPerClientMax)
  }

  /// The session is over and its channel closed.
  func ended(_ number: Int, from address: SocketAddress) {
    guard sessions.removeValue(forKey: number) != nil else { return }
    let count = sessionsByClient[address.octets, default: 1] - 1
    sessionsByClient[address.octets] = count > 0 ? count : nil
    if sessions.count == settings.sessionsMax - 1 { watchListeners() }
  }

  private func rest(_ listener: Listener, after error: SystemError) {
    context.log(.warning, "cannot take a connection, waiting: \(error)")
    context.count("accept.failed")
    if reserve != nil {
      reserve = nil
      if let accepted = try? listener.socket.accept() {  // what fails here fails above again, after the rest
        let socket = accepted.take()
        _ = Array("421 4.3.2 too many connections\r\n".utf8).withUnsafeBytes { socket.write($0) }
      }
      reserve = try? EventFD()  // the next rest tries again
    }
    restsUntil = now + 1_000_000_000
    watchListeners()
  }

  private func watchListeners() {
    let isOpen =
      !isStopping && context.congestion != .shut && sessions.count < settings.sessionsMax && now >= restsUntil
    for listener in listeners where listener.isOpen != isOpen {
      listener.isOpen = isOpen
      listener.watch?.set(isOpen ? .readable : [])
    }
  }

  // Time.

  private func tick() {
    let now = now
    congestion = context.congestion
    watchListeners()
    if reserve == nil { reserve = try? EventFD() }  // still short of descriptors; the next tick tries again
    for session in sessions.values { session.tick(now, isLast: now >= stopBy) }
    context.gauge("sessions.open", Int64(sessions.count))
    _ = context.timer(after: isStopping ? 0.2 : 1) { [weak self] in self?.tick() }
  }
}

internal import Glibc
internal import JSONText
internal import MailModel
internal import Platform
internal import Synchronization

/// Answers a request: rows by `emit`, which returns false when the client is gone.
protocol AdminResponder: Sendable {
  /// - Parameter body: What followed the line of an `inject`: envelope and content.
  func answer(
    _ verb: AdminVerb, _ request: JSONValue, body: (envelope: [UInt8], content: [UInt8])?,
    _ emit: (JSONValue) -> Bool
  ) throws(AdminFailure)
}

/// The admin socket: one thread that accepts, and one for each of at most 16 connections; never the hub's.
///
/// A client that sends garbage, nothing, or does not read, costs its own connection and nothing else. Changes are logged
/// with the user and process that asked for them.
final class AdminServer: Sendable {
  struct Patience: Sendable {
    /// For a request to begin.
    var idleSeconds = 60.0
    /// For a line that has begun.
    var lineSeconds = 10.0
    /// For what follows an `inject`.
    var bodySeconds = 120.0
    /// For a row to be taken: somebody may be reading in a pager.
    var rowSeconds = 600.0
  }

  private struct Open {
    var streams: [UInt64: UnixStream] = [:]
    var last: UInt64 = 0
    var isStopping = false
    var bodies = 0
  }

  private let listener: UnixListener
  private let responder: any AdminResponder
  private let patience: Patience
  private let note: @Sendable (String) -> Void
  private let bell: EventFD
  private let open = Mutex(Open())
  /// Rings when a connection has ended.
  private let ended: EventFD
  /// Largest contents that may be on their way in at once, each of up to 64 MiB of memory.
  private static let bodiesMax = 2

  /// Listens; the directory is made when it is missing.
  ///
  /// - Parameter note: Takes a line for the log.
  /// - Throws: ``AdminFailure`` with one line that names the path.
  init(
    path: String, _ responder: any AdminResponder, patience: Patience = Patience(),
    note: @escaping @Sendable (String) -> Void
  ) throws(AdminFailure) {
    Self.makeDirectory(of: path)
    do throws(UnixListener.ListenError) {
      listener = try UnixListener(path: path, mode: 0o660)
    } catch {
      switch error {
      case .inUse: throw AdminFailure("another host answers at \(path)")
      case .notASocket: throw AdminFailure("\(path) is not a socket")
      case .pathTooLong(let octetsMax): throw AdminFailure("\(path): a socket's path has at most \(octetsMax) octets")
      case .system(let error): throw AdminFailure("\(path): \(error)")
      }
    }
    do throws(SystemError) {
      bell = try EventFD()
      ended = try EventFD()
    } catch { throw AdminFailure("\(error)") }
    self.responder = responder
    self.patience = patience
    self.note = note
  }

  private static func makeDirectory(of path: String) {
    var prefix = ""
    for part in path.split(separator: "/", omittingEmptySubsequences: false).dropLast() {
      prefix += "\(part)/"
      // What cannot be made, `bind` will name.
      if !part.isEmpty { _ = mkdir(prefix, 0o755) }
    }
  }

  /// Serves until ``stop()``, on threads of its own.
  func start() throws(SystemError) { _ = try Thread.start(name: "admin") { self.accept() } }

  /// Takes the socket away, ends every connection, and waits at most `seconds` for them.
  func stop(seconds: Double = 1) {
    let streams = open.withLock { open in
      open.isStopping = true
      return Array(open.streams.values)
    }
    bell.signal()
    listener.removePath()
    for stream in streams { stream.shutDown() }
    waitUntilIdle(seconds: seconds)
  }

  /// Waits until no connection is open.
  func waitUntilIdle(seconds: Double = 5) {
    let deadline = MonotonicTime.now().advanced(bySeconds: seconds)
    while open.withLock({ !$0.streams.isEmpty }), deadline > .now() {
      _ = ended.wait(timeoutSeconds: deadline.seconds(since: .now()))
      ended.drain()
    }
  }

  private func accept() {
    while !open.withLock({ $0.isStopping }) {
      guard let stream = listener.accept(unless: bell) else {
        // No descriptor was left, perhaps: the connection waits on.
        _ = bell.wait(timeoutSeconds: 0.05)
        continue
      }
      let number: UInt64? = open.withLock { open in
        guard !open.isStopping, open.streams.count < AdminLimits.connectionsMax else { return nil }
        open.last += 1
        open.streams[open.last] = stream
        return open.last
      }
      guard let number else {
        refuse(stream)
        continue
      }
      do throws(SystemError) {
        _ = try Thread.start(name: "admin-\(number)") { self.serve(stream, number) }
      } catch {
        refuse(stream)
        forget(number)
      }
    }
  }

  private func refuse(_ stream: UnixStream) {
    // One that does not even take a line needs no answer.
    try? LineChannel(stream).write(AdminFailure("too many connections to the host", .temporary).json, seconds: 0)
  }

  private func forget(_ number: UInt64) {
    _ = open.withLock { $0.streams.removeValue(forKey: number) }
    ended.signal()
  }

  private func serve(_ stream: UnixStream, _ number: UInt64) {
    defer { forget(number) }
    let channel = LineChannel(stream)
    while !open.withLock({ $0.isStopping }) {
      // The client has gone, or has been sent away with an error.
      do throws(LineChannel.Trouble) { guard try serveOne(channel) else { return } } catch { return }
    }
  }

  /// False when the connection is of no more use.
  private func serveOne(_ channel: LineChannel) throws(LineChannel.Trouble) -> Bool {
    let line: [UInt8]
    do throws(LineChannel.Trouble) {
      line = try channel.readLine(
        octetsMax: AdminLimits.requestOctetsMax, idleSeconds: patience.idleSeconds, lineSeconds: patience.lineSeconds)
    } catch {
      switch error {
      case .ended: return false
      case .timedOut: return try sendAway(channel, "the request took too long", .temporary)
      case .tooLong:
        return try sendAway(channel, "a request of more than \(AdminLimits.requestOctetsMax) octets", .usage)
      }
    }
    let request: JSONValue
    do throws(JSONError) { request = try JSONValue(parsing: line) } catch {
      return try sendAway(channel, "a request that is no JSON: \(error)", .usage)
    }
    guard let word = request["verb"]?.string, let verb = AdminVerb(rawValue: word) else {
      return try sendAway(channel, "a request without a verb that this host knows", .usage)
    }
    var body: (envelope: [UInt8], content: [UInt8])?
    var holdsBody = false
    defer { if holdsBody { open.withLock { $0.bodies -= 1 } } }
    if verb == .inject {
      guard let envelope = request["envelope"]?.integer, let content = request["content"]?.integer, envelope >= 0,
        content >= 0, envelope <= AdminLimits.bodyOctetsMax, content <= AdminLimits.bodyOctetsMax - envelope
      else { return try sendAway(channel, "an inject of more than \(AdminLimits.bodyOctetsMax) octets", .usage) }
      holdsBody = open.withLock { open in
        guard open.bodies < Self.bodiesMax else { return false }
        open.bodies += 1
        return true
      }
      guard holdsBody else { return try sendAway(channel, "others inject at this moment", .temporary) }
      do throws(LineChannel.Trouble) {
        body = (
          try channel.readOctets(envelope, seconds: patience.bodySeconds),
          try channel.readOctets(content, seconds: patience.bodySeconds)
        )
      } catch { return error == .ended ? false : try sendAway(channel, "the content took too long", .temporary) }
    }
    if verb.changes { noteChange(verb, request, channel.stream) }
    var isGone = false
    var last = JSONValue.object([("end", .boolean(true))])
    do throws(AdminFailure) {
      try responder.answer(verb, request, body: body) { row in
        do throws(LineChannel.Trouble) { try channel.write(row, seconds: patience.rowSeconds) } catch { isGone = true }
        return !isGone
      }
    } catch { last = error.json }
    guard !isGone else { return false }
    try channel.write(last, seconds: patience.rowSeconds)
    return true
  }

  private func sendAway(
    _ channel: LineChannel, _ text: String, _ exit: ExitCode
  ) throws(LineChannel.Trouble) -> Bool {
    try channel.write(AdminFailure(text, exit).json, seconds: patience.lineSeconds)
    return false
  }

  private func noteChange(_ verb: AdminVerb, _ request: JSONValue, _ stream: UnixStream) {
    let who = stream.peer().map { "user \($0.userID), process \($0.processID)" } ?? "somebody"
    guard request["dry_run"]?.boolean != true else { return }
    note("\(verb.rawValue) asked for by \(who): \(request.text)")
  }
}

// The I/O of one connection: a socket on the stage's event loop, plain or under TLS.
//
// Definitions. Input is what the owner gets, output what it gives, both plain. "Wire" is what the socket carries.
//
// Invariants
//  1. Input comes only while `wantsInput`; what is left stays in the socket or, at most one read's worth, in the engine.
//  2. Output is written at once as far as the socket takes it; the rest waits, and the socket is watched for room then
//     only. `outputOctets` says how much waits; the owner stops giving more when that is large.
//  3. After `close` or `channelEnded` the owner hears nothing more.
//  4. Nothing is allocated for a connection that waits: input is read into one buffer that all channels of a stage share.
//
// States
//   connecting ──writable, no error──▶ open ──startTLS──▶ shakingHands ──done──▶ open (encrypted)
//   open ──finish──▶ finishing (output drains) ──drained──▶ lingering (peer's rest is thrown away) ──▶ closed
//   any ──end, error, close──▶ closed
//
// Lingering (RFC 9112 §9.6 tells why) keeps a last reply from being lost: closing a socket with unread input resets the
// connection, and the peer may never read what was said last.

internal import Platform
internal import StageKit

/// Who owns a channel. Thread: stage.
protocol ChannelOwner: AnyObject {
  /// The connection that was being made is made.
  func channelConnected()
  /// Octets from the peer. The slice is of a shared buffer: copy what is to be kept.
  func channelReceived(_ octets: ArraySlice<UInt8>)
  /// Output that waited has been written.
  func channelDrained()
  /// The handshake is over: nil when the connection is now encrypted.
  func channelSecured(_ failure: TLSError?)
  /// The connection is over, and closed.
  func channelEnded(_ end: ChannelEnd)
}

enum ChannelEnd: Equatable, CustomStringConvertible {
  /// The peer closed it.
  case byPeer
  case failed(SystemError)
  case tls(TLSError)
  /// The event loop does not take the socket.
  case refusedByHost

  var description: String {
    switch self {
    case .byPeer: "the peer closed the connection"
    case .failed(let error): error.description
    case .tls(let error): "TLS: \(error)"
    case .refusedByHost: "the event loop refused the socket"
    }
  }
}

/// Where the channels of one stage read to. Thread: stage.
final class ReadBuffer {
  static let octetsMax = 64 * 1024
  fileprivate var wire = [UInt8](repeating: 0, count: octetsMax)
  fileprivate var plain: [UInt8] = []
}

final class Channel {
  private enum State {
    case connecting
    case open
    case shakingHands
    case finishing
    case lingering
    case closed
  }

  private let context: StageContext
  private let buffer: ReadBuffer
  private var socket: TCPSocket?
  private var watch: Watch?
  private var watched: LoopEvents = []
  private var state: State
  private var tls: TLSEngine?
  private var output: [UInt8] = []
  private var outputOffset = 0
  /// Output gathers and is not written.
  private var isCorked = false
  private var isPumping = false
  private var engineMayHoldInput = false
  private var lingeredOctets = 0
  weak var owner: (any ChannelOwner)?

  /// Thrown away at most, while lingering.
  private static let lingerOctetsMax = 1 << 20

  /// - Parameter isConnecting: The connection is being made; `channelConnected` says when it is.
  init(_ context: StageContext, _ socket: consuming TCPSocket, buffer: ReadBuffer, isConnecting: Bool) {
    self.context = context
    self.buffer = buffer
    self.socket = consume socket
    state = isConnecting ? .connecting : .open
  }

  /// Begins to listen to the socket. False when the event loop does not take it.
  func start() -> Bool {
    let events = wantedEvents
    // The watch holds the channel, until close.
    watch = context.watch(descriptor, events) { [unowned self] in self.ready($0) }
    watched = events
    return watch != nil
  }

  private var descriptor: Int32 { socket?.rawValue ?? -1 }

  var localAddress: SocketAddress? {
    // An error means that the connection is gone, which its next read says.
    try? socket?.localAddress()
  }

  /// Whether the owner takes input now.
  var wantsInput = true {
    didSet {
      guard wantsInput != oldValue else { return }
      if wantsInput, engineMayHoldInput { pumpInput() }
      rewatch()
    }
  }

  /// Output that waits for the socket.
  var outputOctets: Int { output.count - outputOffset }
  var isClosed: Bool { state == .closed }
  var isLingering: Bool { state == .lingering }
  var isEncrypted: Bool { tls != nil && state != .shakingHands }
  var tlsSummary: String? { isEncrypted ? tls?.summary : nil }

  // What the owner does.

  func send(_ octets: [UInt8]) { octets.withUnsafeBytes { send($0) } }

  func send(_ octets: UnsafeRawBufferPointer) {
    guard state == .open else { return }
    if let tls {
      if let error = tls.write(octets) {
        end(.tls(error))
        return
      }
      tls.takeOutput(into: &output)
      if !isCorked { flush() }
    } else if isCorked || outputOctets > 0 {
      output.append(contentsOf: octets)
    } else {
      switch socket?.write(octets) ?? .end {
      case .octets(let count): output.append(contentsOf: octets[count...])
      case .wouldBlock: output.append(contentsOf: octets)
      case .end: return
      case .failed(let error):
        endSoon(.failed(error))
        return
      }
    }
    if !isCorked { rewatch() }
  }

  /// Lets output gather until ``uncork()``, so that pieces that belong together go with one write.
  func cork() { isCorked = true }

  /// Writes what has gathered; true when the socket took all of it, and then nobody is told that it has drained.
  func uncork() -> Bool {
    isCorked = false
    flush(tellsOwner: false)
    rewatch()
    return outputOctets == 0
  }

  /// Begins the handshake, once the output has drained.
  func startTLS(_ engine: TLSEngine) {
    guard state == .open, tls == nil else { return }
    tls = engine
    state = .shakingHands
    if outputOctets == 0 { shakeHands() }
    rewatch()
  }

  /// Writes what waits, then closes without losing it.
  func finish() {
    guard state == .open || state == .shakingHands else {
      if state == .connecting { close() }
      return
    }
    if state == .open, let tls {
      tls.close()
      tls.takeOutput(into: &output)
    }
    state = .finishing
    flush()
    rewatch()
  }

  /// Closes at once.
  func close() {
    guard state != .closed else { return }
    state = .closed
    watch?.cancel()
    watch = nil
    socket = nil
    tls = nil
    output = []
    outputOffset = 0
  }

  // What the loop says.

  private func ready(_ events: LoopEvents) {
    // The owner may drop the channel while it is told something.
    withExtendedLifetime(self) {
      switch state {
      case .connecting: connected()
      case .lingering: linger()
      case .open, .shakingHands, .finishing:
        if events.contains(.writable) || outputOctets > 0 { flush() }
        if events.contains(.readable) || events.contains(.hangup) { readSocket() }
      case .closed: return
      }
      rewatch()
    }
  }

  private func connected() {
    if let error = socket?.connectionError() {
      end(.failed(error))
      return
    }
    state = .open
    owner?.channelConnected()
  }

  private var wantedEvents: LoopEvents {
    switch state {
    case .connecting: .writable
    case .open: LoopEvents(wantsInput ? [.readable] : []).union(outputOctets > 0 ? .writable : [])
    case .shakingHands: outputOctets > 0 ? .writable : .readable
    case .finishing: .writable
    case .lingering: .readable
    case .closed: []
    }
  }

  private func rewatch() {
    guard let watch else { return }
    let events = wantedEvents
    guard events != watched else { return }
    watched = events
    if !watch.set(events) { end(.refusedByHost) }
  }

  // Reading.

  private func readSocket() {
    if state == .open, !wantsInput {
      // Only a hang-up brings us here; nobody is left to take the answer.
      guard isGone() else { return }
      end(.byPeer)
      return
    }
    switch buffer.wire.withUnsafeMutableBytes({ socket?.read(into: $0) }) ?? .wouldBlock {
    case .octets(let count): received(count)
    case .wouldBlock: return
    case .end: end(.byPeer)
    case .failed(let error): end(.failed(error))
    }
  }

  /// The peer will neither read nor write any more.
  private func isGone() -> Bool { socket?.connectionError() != nil || socket?.isHungUp() == true }

  private func received(_ count: Int) {
    guard let tls else {
      if state == .open { owner?.channelReceived(buffer.wire[..<count]) }
      return
    }
    let fed = buffer.wire.withUnsafeBytes { tls.feed(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    guard fed else {
      end(.tls(TLSError("out of memory")))
      return
    }
    if state == .shakingHands { shakeHands() }
    engineMayHoldInput = true
    pumpInput()
  }

  /// Hands out what the engine holds.
  private func pumpInput() {
    guard !isPumping, let tls else { return }
    isPumping = true
    defer { isPumping = false }
    if buffer.plain.isEmpty { buffer.plain = [UInt8](repeating: 0, count: 16 * 1024) }
    while state == .open, wantsInput {
      switch buffer.plain.withUnsafeMutableBytes({ tls.read(into: $0) }) {
      case .octets(let count): owner?.channelReceived(buffer.plain[..<count])
      case .needsInput:
        engineMayHoldInput = false
        tls.takeOutput(into: &output)  // such as the answer to a key update
        flush()
        return
      case .end: end(.byPeer)
      case .failed(let error): end(.tls(error))
      }
    }
  }

  private func shakeHands() {
    guard state == .shakingHands, let tls else { return }
    let step = tls.handshake()
    tls.takeOutput(into: &output)
    switch step {
    case .done:
      state = .open
      flush()
      if state == .open { owner?.channelSecured(nil) }
    case .needsInput: flush()
    case .failed(let error):
      flush()  // the alert
      owner?.channelSecured(error)
    }
  }

  private func linger() {
    while true {
      switch buffer.wire.withUnsafeMutableBytes({ socket?.read(into: $0) }) ?? .end {
      case .octets(let count):
        lingeredOctets += count
        if lingeredOctets > Self.lingerOctetsMax {
          ended()
          return
        }
      case .wouldBlock: return
      case .end, .failed:
        ended()
        return
      }
    }
  }

  // Writing.

  private func flush(tellsOwner: Bool = true) {
    let hadOutput = outputOctets > 0
    while outputOctets > 0 {
      let transfer = output.withUnsafeBytes { octets in
        socket?.write(UnsafeRawBufferPointer(rebasing: octets[outputOffset...])) ?? .end
      }
      switch transfer {
      case .octets(let count): outputOffset += count
      case .wouldBlock: return
      case .end: return
      case .failed(let error):
        endSoon(.failed(error))
        return
      }
    }
    output = []
    outputOffset = 0
    switch state {
    case .finishing:
      socket?.shutdownWriting()
      state = .lingering
    case .shakingHands: if hadOutput, tls != nil { shakeHands() }
    case .open: if hadOutput && tellsOwner { owner?.channelDrained() }
    case .connecting, .lingering, .closed: break
    }
  }

  // The end.

  /// A write failed while the owner is in the middle of something: it is told from the loop, by the read that fails too.
  private func endSoon(_ end: ChannelEnd) {
    output = []
    outputOffset = 0
    let context = context
    _ = context.timer(after: 0) { [weak self] in self?.end(end) }
  }

  private func end(_ end: ChannelEnd) {
    guard state != .closed else { return }
    close()
    owner?.channelEnded(end)
  }

  private func ended() { end(.byPeer) }
}

import Glibc
import Platform
import Testing

@testable import IMC

/// A client by hand: writes what the test says and turns the server's loop until it answers.
final class TestClient {
  private let loop: EventLoop
  private let socket: TCPSocket
  private var tls: TLSEngine?
  private var input: [UInt8] = []
  private(set) var isAtEnd = false
  private(set) var wasReset = false

  init(_ loop: EventLoop, _ address: SocketAddress?) throws {
    self.loop = loop
    socket = try TCPSocket.connecting(to: #require(address))
  }

  func send(_ text: String) throws { try send(Array(text.utf8)) }

  func send(_ octets: [UInt8]) throws {
    var wire = octets
    if let tls {
      #expect(octets.withUnsafeBytes { tls.write($0) } == nil)
      wire = []
      tls.takeOutput(into: &wire)
    }
    var rest = wire[...]
    while !rest.isEmpty {
      switch rest.withUnsafeBytes({ socket.write($0) }) {
      case .octets(let count): rest = rest.dropFirst(count)
      case .wouldBlock: try loop.runOnce(timeoutSeconds: 0.01)
      case .end, .failed: return
      }
    }
  }

  /// The next reply, its lines joined by "\n"; nil when the connection ends or nothing comes.
  func reply(seconds: Double = 5) throws -> String? {
    var reply: String?
    _ = try turn(loop, seconds: seconds) {
      reply = takeReply()
      if reply != nil { return true }
      if isAtEnd { return true }
      receive()
      reply = takeReply()
      return reply != nil
    }
    return reply
  }

  func command(_ text: String) throws -> String? {
    try send(text + "\r\n")
    return try reply()
  }

  /// True when the server closes without another word.
  func isClosed() throws -> Bool { try reply() == nil && isAtEnd }

  /// The handshake, as the client.
  func startTLS(_ context: TLSContext, name: String) throws -> Bool {
    let engine = try TLSEngine(context, serverName: name)
    var word = engine.handshake()
    let done = try turn(loop) {
      var output: [UInt8] = []
      engine.takeOutput(into: &output)
      if !output.isEmpty { _ = output.withUnsafeBytes { socket.write($0) } }
      if word != .needsInput { return true }
      receive()
      if !input.isEmpty {
        _ = input.withUnsafeBytes { engine.feed($0) }
        input = []
        word = engine.handshake()
      }
      return isAtEnd
    }
    tls = engine
    return done && word == .done
  }

  func shutdownWriting() { socket.shutdownWriting() }

  private func receive() {
    var buffer = [UInt8](repeating: 0, count: 65536)
    switch buffer.withUnsafeMutableBytes({ socket.read(into: $0) }) {
    case .octets(let count):
      guard let tls else {
        input += buffer[..<count]
        return
      }
      _ = buffer.withUnsafeBytes { tls.feed(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
      while case .octets(let count) = buffer.withUnsafeMutableBytes({ tls.read(into: $0) }) {
        input += buffer[..<count]
      }
    case .wouldBlock: break
    case .end: isAtEnd = true
    case .failed:
      isAtEnd = true
      wasReset = true
    }
  }

  private func takeReply() -> String? {
    var lines: [String] = []
    var start = 0
    while let end = input[start...].firstIndex(of: 0x0A) {
      let line = String(decoding: input[start..<end].filter { $0 != 0x0D }, as: UTF8.self)
      lines.append(line)
      start = end + 1
      guard line.dropFirst(3).first != "-" else { continue }
      input.removeFirst(start)
      return lines.joined(separator: "\n")
    }
    return nil
  }
}

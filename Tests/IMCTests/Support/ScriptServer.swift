import Glibc
import Platform
import Testing

/// An SMTP server that says what the test tells it to, on the test's loop.
final class ScriptServer {
  enum Reaction {
    case reply(String)
    /// Says nothing, and goes on listening.
    case silence
    case close
    case reset
    /// Says it, and hangs up at whatever comes next.
    case replyAndBreak(String)
  }

  private final class Peer {
    var socket: TCPSocket?
    let number: Int
    var input: [UInt8] = []
    var isInContent = false
    var isBroken = false
    var content: [UInt8] = []

    init(_ socket: consuming TCPSocket, _ number: Int) {
      self.socket = consume socket
      self.number = number
    }
  }

  let address: SocketAddress
  private let loop: EventLoop
  private let listener: TCPSocket
  private var peers: [Int32: Peer] = [:]
  private(set) var connectionCount = 0
  /// Commands as they came; the end of content is ".".
  private(set) var lines: [String] = []
  private(set) var contents: [String] = []
  /// What is said to a command, or to "" for the greeting, of the connection so numbered from 1.
  var react: (String, Int) -> Reaction

  init(_ loop: EventLoop, ip: String = "127.0.0.1", port: UInt16 = 0, _ react: @escaping (String, Int) -> Reaction)
    throws
  {
    self.loop = loop
    self.react = react
    listener = try TCPSocket.listening(on: #require(SocketAddress(ip, port: port)))
    address = try listener.localAddress()
    try loop.watch(listener.rawValue, .readable) { [unowned self] _ in self.accept() }
  }

  deinit {
    loop.unwatch(listener.rawValue)
    for descriptor in peers.keys { loop.unwatch(descriptor) }
  }

  /// Says yes to everything, as a server with these extensions.
  static func polite(_ line: String, extensions: [String] = ["PIPELINING", "8BITMIME", "DSN"]) -> Reaction {
    switch line.prefix(4) {
    case "": .reply("220 mx ESMTP")
    case "EHLO":
      .reply(
        (["mx"] + extensions).enumerated().map { index, word in
          "250\(index == extensions.count ? " " : "-")\(word)"
        }.joined(separator: "\r\n"))
    case "DATA": .reply("354 go")
    case "QUIT": .reply("221 bye")
    default: .reply("250 ok")
    }
  }

  var openCount: Int { peers.count }

  private func accept() {
    guard let accepted = try? listener.accept() else { return }
    connectionCount += 1
    let peer = Peer(accepted.take(), connectionCount)
    let descriptor = peer.socket?.rawValue ?? -1
    peers[descriptor] = peer
    try? loop.watch(descriptor, .readable) { [unowned self] _ in self.receive(peer, descriptor) }
    perform(react("", peer.number), peer, descriptor)
  }

  private func receive(_ peer: Peer, _ descriptor: Int32) {
    var buffer = [UInt8](repeating: 0, count: 65536)
    guard case .octets(let count) = buffer.withUnsafeMutableBytes({ peer.socket?.read(into: $0) }) ?? .end else {
      close(peer, descriptor)
      return
    }
    peer.input += buffer[..<count]
    if peer.isBroken {
      close(peer, descriptor)
      return
    }
    var start = 0
    while peer.socket != nil, let end = peer.input[start...].firstIndex(of: 0x0A) {
      let line = String(decoding: peer.input[start..<end].filter { $0 != 0x0D }, as: UTF8.self)
      if peer.isInContent {
        if line == "." {
          peer.isInContent = false
          contents.append(String(decoding: peer.content, as: UTF8.self))
          peer.content = []
          take(line, peer, descriptor)
        } else {
          peer.content += peer.input[start...end]
        }
      } else {
        take(line, peer, descriptor)
      }
      start = end + 1
    }
    peer.input.removeFirst(start)
  }

  private func take(_ line: String, _ peer: Peer, _ descriptor: Int32) {
    lines.append(line)
    perform(react(line, peer.number), peer, descriptor)
  }

  private func perform(_ reaction: Reaction, _ peer: Peer, _ descriptor: Int32) {
    switch reaction {
    case .reply(let text):
      peer.isInContent = text.hasPrefix("354")
      _ = Array((text + "\r\n").utf8).withUnsafeBytes { peer.socket?.write($0) }
      if text.hasPrefix("221") { close(peer, descriptor) }
    case .replyAndBreak(let text):
      peer.isBroken = true
      perform(.reply(text), peer, descriptor)
    case .silence: break
    case .close: close(peer, descriptor)
    case .reset:
      peer.socket?.resetOnClose()
      close(peer, descriptor)
    }
  }

  private func close(_ peer: Peer, _ descriptor: Int32) {
    loop.unwatch(descriptor)
    peer.socket = nil
    peers[descriptor] = nil
  }
}

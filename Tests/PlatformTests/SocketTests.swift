import Glibc
import Testing

@testable import Platform

@Suite struct SocketTests {
  @Test(arguments: [
    ("192.0.2.1:25", "192.0.2.1", 25, "192.0.2.1:25"), ("[2001:db8::1]:25", "2001:db8::1", 25, "[2001:db8::1]:25"),
    ("mx.example:2525", "mx.example", 2525, "mx.example:2525"), ("[mx.example]:0", "mx.example", 0, "mx.example:0"),
  ])
  func `an endpoint is a host and a port`(text: String, host: String, port: UInt16, written: String) {
    #expect(Endpoint(text) == Endpoint(host: host, port: port))
    #expect(Endpoint(text)?.description == written)
  }

  @Test(arguments: [
    "", ":25", "mx.example", "mx.example:", "mx.example:+5", "mx.example:65536", "mx.example:25x", "[::1", "[::1]25",
    "::1:25", "[]:25", "mx.example:000025",
  ])
  func `what is no endpoint is refused`(text: String) {
    #expect(Endpoint(text) == nil)
  }

  @Test func `a default port stands in for one that is missing only`() {
    #expect(Endpoint("mx.example", defaultPort: 25)?.port == 25)
    #expect(Endpoint("[::1]", defaultPort: 25)?.description == "[::1]:25")
    #expect(Endpoint("mx.example:", defaultPort: 25) == nil)
  }

  @Test(arguments: ["192.0.2.1", "::1", "2001:db8::ff00:42:8329"])
  func `an address survives text and the kernel's form`(ip: String) throws {
    let address = try #require(SocketAddress(ip, port: 25))
    #expect(address.ip == ip)
    var storage = sockaddr_storage()
    address.withSockaddr { pointer, length in
      withUnsafeMutableBytes(of: &storage) { $0.copyBytes(from: UnsafeRawBufferPointer(start: pointer, count: Int(length))) }
    }
    #expect(SocketAddress(storage) == address)
  }

  @Test func `an IPv4 address mapped into IPv6 is IPv4`() throws {
    let mapped = try #require(SocketAddress("::ffff:192.0.2.7", port: 1))
    var storage = sockaddr_storage()
    mapped.withSockaddr { pointer, length in
      withUnsafeMutableBytes(of: &storage) { $0.copyBytes(from: UnsafeRawBufferPointer(start: pointer, count: Int(length))) }
    }
    #expect(SocketAddress(storage)?.description == "192.0.2.7:1")
  }

  @Test(arguments: ["127.0.0.1", "::1"])
  func `octets pass both ways over a connection, and its end is seen`(ip: String) throws {
    let listener = try TCPSocket.listening(on: #require(SocketAddress(ip, port: 0)))
    let address = try listener.localAddress()
    #expect(address.port != 0 && address.isLoopback)
    #expect(try isNobodyWaiting(at: listener))
    let client = try TCPSocket.connecting(to: address)
    wait(listener.rawValue, POLLIN)
    guard let accepted = try listener.accept() else { throw NothingAccepted() }
    let from = accepted.address
    #expect(try from == client.localAddress())
    let server = accepted.take()
    try server.tune()
    wait(client.rawValue, POLLOUT)
    #expect(client.connectionError() == nil)

    var buffer = [UInt8](repeating: 0, count: 16)
    #expect(server.read(into: &buffer) == .wouldBlock)
    #expect("hello".withUTF8Bytes { client.write($0) } == .octets(5))
    wait(server.rawValue, POLLIN)
    #expect(server.read(into: &buffer) == .octets(5))
    #expect(buffer.starts(with: Array("hello".utf8)))
    client.shutdownWriting()
    wait(server.rawValue, POLLIN)
    #expect(server.read(into: &buffer) == .end)
  }

  @Test func `a full connection takes no more, and a broken one says so without a signal`() throws {
    let listener = try TCPSocket.listening(on: #require(SocketAddress("127.0.0.1", port: 0)))
    let client = try TCPSocket.connecting(to: listener.localAddress())
    wait(listener.rawValue, POLLIN)
    guard let accepted = try listener.accept() else { throw NothingAccepted() }
    let block = [UInt8](repeating: 7, count: 1 << 20)
    var outcome = TCPSocket.Transfer.octets(1)
    for _ in 0..<64 {
      outcome = block.withUnsafeBytes { client.write($0) }
      guard case .octets = outcome else { break }
    }
    #expect(outcome == .wouldBlock)
    let server = accepted.take()
    server.resetOnClose()
    _ = consume server
    wait(client.rawValue, POLLIN)
    var buffer = [UInt8](repeating: 0, count: 16)
    #expect(client.read(into: &buffer) == .failed(SystemError("recv", errno: ECONNRESET)))
    #expect(block.withUnsafeBytes { client.write($0) } == .failed(SystemError("send", errno: EPIPE)))
  }

  @Test func `a refused connection is told by its error`() throws {
    let port = try TCPSocket.listening(on: #require(SocketAddress("127.0.0.1", port: 0))).localAddress()
    let client = try TCPSocket.connecting(to: port)
    wait(client.rawValue, POLLOUT)
    #expect(client.connectionError() == SystemError("connect", errno: ECONNREFUSED))
  }

  @Test func `a port in use is refused`() throws {
    let listener = try TCPSocket.listening(on: #require(SocketAddress("127.0.0.1", port: 0)))
    let address = try listener.localAddress()
    do {
      _ = try TCPSocket.listening(on: address)
      Issue.record("bound twice")
    } catch {
      #expect(error == SystemError("bind", errno: EADDRINUSE))
    }
  }

  private struct NothingAccepted: Error {}

  private func isNobodyWaiting(at listener: borrowing TCPSocket) throws -> Bool {
    switch try listener.accept() {
    case .none: true
    case .some: false
    }
  }

  private func wait(_ descriptor: Int32, _ events: Int32) {
    var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
    #expect(poll(&entry, 1, 5000) == 1)
  }
}

extension String {
  fileprivate func withUTF8Bytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    Array(utf8).withUnsafeBytes { body($0) }
  }
}

extension TCPSocket {
  fileprivate borrowing func read(into buffer: inout [UInt8]) -> Transfer {
    buffer.withUnsafeMutableBytes { read(into: $0) }
  }
}

import Foundation
import Glibc
import Platform

@testable import IMC

/// openssl(1) s_client as the peer of an engine, over a socket on loopback.
final class OpenSSLClient {
  private let engine: TLSEngine
  private let listener: TCPSocket
  private let process: ChildProcess
  /// What it reads from, so that it does not end by itself.
  private let input = Pipe()

  init(_ options: String, server engine: TLSEngine) throws {
    self.engine = engine
    guard let loopback = SocketAddress("127.0.0.1", port: 0) else { throw SystemError("loopback", errno: EINVAL) }
    listener = try TCPSocket.listening(on: loopback)
    // Security level 0, so that it is the server that refuses what is old.
    let arguments =
      ["openssl", "s_client", "-connect", "\(try listener.localAddress())", "-cipher", "DEFAULT@SECLEVEL=0"]
      + options.split(separator: " ").map(String.init)
    let file = try nullDevice()
    let null = file.fileDescriptor
    process = try ChildProcess(
      executable: "/usr/bin/openssl", arguments: arguments,
      descriptors: [0: input.fileHandleForReading.fileDescriptor, 1: null, 2: null])
  }

  func shakesHands() throws -> Bool {
    wait(listener.rawValue)
    guard let accepted = try listener.accept() else { return false }
    let socket = accepted.take()
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      switch engine.handshake() {
      case .done: return true
      case .failed: return false
      case .needsInput: break
      }
      var output: [UInt8] = []
      engine.takeOutput(into: &output)
      _ = output.withUnsafeBytes { socket.write($0) }
      wait(socket.rawValue)
      guard case .octets(let count) = buffer.withUnsafeMutableBytes({ socket.read(into: $0) }) else { return false }
      _ = buffer.withUnsafeBytes { engine.feed(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    }
  }

  private func wait(_ descriptor: Int32) {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    _ = poll(&entry, 1, 5000)
  }
}

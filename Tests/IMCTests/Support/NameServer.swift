import Foundation
import Glibc
import Platform
import Testing

/// nsd(8) with the zone that it is given, on a free port of loopback, for as long as the object lives.
final class NameServer {
  static let path = "/usr/sbin/nsd"
  static var isInstalled: Bool { access(path, X_OK) == 0 }

  let server: String
  private let process: ChildProcess
  private let directory: String

  init(zone: String) throws {
    directory = NSTemporaryDirectory() + "imc-nsd-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    let address = try TCPSocket.listening(on: #require(SocketAddress("127.0.0.1", port: 0))).localAddress()
    server = "127.0.0.1@\(address.port)"
    let config = """
      server:
        ip-address: \(server)
        username: ""
        chroot: ""
        server-count: 1
        zonesdir: "\(directory)"
        database: ""
        pidfile: "\(directory)/pid"
        xfrdfile: "\(directory)/xfrd"
        xfrdir: "\(directory)"
        zonelistfile: "\(directory)/zones"
        logfile: "\(directory)/log"
      remote-control:
        control-enable: no
      zone:
        name: "example"
        zonefile: "example.zone"

      """
    try config.write(toFile: directory + "/nsd.conf", atomically: false, encoding: .utf8)
    let head = "$ORIGIN example.\n$TTL 60\n@ SOA ns admin 1 60 60 60 60\n@ NS ns\nns A 127.0.0.1\n"
    try (head + zone).write(toFile: directory + "/example.zone", atomically: false, encoding: .utf8)
    process = try ChildProcess(executable: Self.path, arguments: ["nsd", "-d", "-c", directory + "/nsd.conf"])
    // It serves UDP from before it listens to TCP's first connection.
    for _ in 0..<500 {
      let socket = try TCPSocket.connecting(to: address)
      var entry = pollfd(fd: socket.rawValue, events: Int16(POLLOUT), revents: 0)
      _ = poll(&entry, 1, 1000)
      if socket.connectionError() == nil { return }
      usleep(10_000)  // waiting for another process to begin; nothing announces it
    }
    Issue.record("nsd does not start: \((try? String(contentsOfFile: directory + "/log", encoding: .utf8)) ?? "")")
  }

  deinit {
    process.signal(SIGTERM)
    _ = process.wait(timeoutSeconds: 5)
    try? FileManager.default.removeItem(atPath: directory)
  }
}

func nullDevice() throws -> FileHandle { try #require(FileHandle(forUpdatingAtPath: "/dev/null")) }

extension ChildProcess {
  /// One that says nothing and hears nothing. (Foundation's Process leaves signals blocked in its child, which then does
  /// not end when it is told to.)
  convenience init(executable: String, arguments: [String]) throws {
    let file = try nullDevice()
    let null = file.fileDescriptor
    try self.init(executable: executable, arguments: arguments, descriptors: [0: null, 1: null, 2: null])
  }
}

import CInterchange
import MailModel
import Platform
import Testing

@testable import IMC

/// The sink without a next hop, against a real name server. All mail hosts are on loopback, at one port.
@Suite(.enabled(if: NameServer.isInstalled, "needs the package nsd")) struct MailExchangeTests {
  private static let zone = """
    walk MX 10 refused
    walk MX 20 busy
    walk MX 30 alive
    refused A 127.0.0.2
    busy A 127.0.0.3
    alive A 127.0.0.1
    implicit A 127.0.0.1
    null MX 0 .
    nothing TXT "here"
    self MX 10 gw
    self MX 20 alive
    gw A 127.0.0.1
    address-self MX 10 alias
    alias A 127.0.0.9
    behind MX 10 alive
    behind MX 20 gw
    hollow MX 10 nowhere
    cname CNAME behind
    broken MX 10 host.elsewhere.
    xn--bcher-kva MX 10 alive

    """

  private let loop: EventLoop
  private let host: LoopHost
  private let names: NameServer

  init() throws {
    loop = try EventLoop()
    host = LoopHost(loop)
    names = try NameServer(zone: Self.zone)
  }

  private func start(port: UInt16, _ settings: [String: TestConfig] = [:]) {
    loop.bindToCurrentThread()
    let config: [String: TestConfig] = [
      "port": .integer(Int64(port)), "resolver": ["servers": [.text(names.server)]], "own_names": ["127.0.0.9"],
    ]
    let status = host.create(ix_module_v1(0), "sink", .record(config.merging(settings) { _, mine in mine }))
    #expect(status == IX_OK, "\(host.complaints)")
    host.nodeName = "gw.example"
    #expect(host.start() == IX_OK, "\(host.logs)")
  }

  private func job(_ recipients: String...) -> TestJob {
    TestJob(Envelope(reversePath: nil, recipients: recipients.map { Recipient(.smtp($0)) }, smtputf8: true), "x\r\n")
  }

  @Test func `all hosts are tried in one attempt, in order`() throws {
    let alive = try ScriptServer(loop) { line, _ in ScriptServer.polite(line) }
    let busy = try ScriptServer(loop, ip: "127.0.0.3", port: alive.address.port) { _, _ in .reply("421 busy") }
    start(port: alive.address.port)
    let job = job("b@walk.example")
    host.submit(job)
    #expect(try turn(loop) { job.isFinished })
    #expect(job.answers[0]?.kind == IX_TRANSFERRED.rawValue && job.answers[0]?.remoteHost == "alive.example")
    #expect(busy.connectionCount == 1 && alive.connectionCount == 1)
  }

  @Test func `a job goes to every domain of its recipients, and each has its end`() throws {
    let alive = try ScriptServer(loop) { line, _ in
      ScriptServer.polite(line, extensions: ["PIPELINING", "SMTPUTF8", "DSN"])
    }
    start(port: alive.address.port)
    let cases: [(String, UInt32, String)] = [
      ("b@implicit.example", IX_TRANSFERRED.rawValue, "2.0.0"), ("b@null.example", IX_REFUSED.rawValue, "5.1.10"),
      ("b@missing.example", IX_REFUSED.rawValue, "5.1.2"), ("b@nothing.example", IX_REFUSED.rawValue, "5.4.4"),
      ("b@self.example", IX_REFUSED.rawValue, "5.4.6"), ("b@address-self.example", IX_REFUSED.rawValue, "5.4.6"),
      ("b@behind.example", IX_TRANSFERRED.rawValue, "2.0.0"), ("b@hollow.example", IX_REFUSED.rawValue, "5.4.4"),
      ("b@cname.example", IX_TRANSFERRED.rawValue, "2.0.0"), ("b@[127.0.0.1]", IX_TRANSFERRED.rawValue, "2.0.0"),
      ("b@[127.0.0.9]", IX_REFUSED.rawValue, "5.4.6"), ("b@BEHIND.example", IX_TRANSFERRED.rawValue, "2.0.0"),
      ("b@bücher.example", IX_TRANSFERRED.rawValue, "2.0.0"), ("not an address", IX_REFUSED.rawValue, "5.1.3"),
      ("b@walk.elsewhere", IX_DEFERRED.rawValue, "4.4.3"), ("b@broken.example", IX_DEFERRED.rawValue, "4.4.3"),
    ]
    let job = TestJob(
      Envelope(reversePath: nil, recipients: cases.map { Recipient(.smtp($0.0)) }, smtputf8: true), "x\r\n")
    host.submit(job)
    #expect(try turn(loop, seconds: 20) { job.isFinished })
    for (index, item) in cases.enumerated() {
      let answer = job.answers[index]
      #expect(answer?.kind == item.1 && answer?.code == item.2, "\(item.0): \(String(describing: answer))")
    }
  }

  @Test func `name servers that do not answer defer, after a time`() throws {
    let silent = try TCPSocket.listening(on: #require(SocketAddress("127.0.0.1", port: 0))).localAddress()
    start(port: 25, ["resolver": ["servers": [.text("127.0.0.1@\(silent.port)")]]])
    let job = job("b@walk.example")
    host.submit(job)
    for _ in 0..<3 { try loop.runOnce(timeoutSeconds: 0.01) }
    host.clockAheadSeconds = 31
    #expect(try turn(loop) { job.isFinished })
    #expect(job.answers[0]?.kind == IX_DEFERRED.rawValue && job.answers[0]?.code == "4.4.3")
  }
}

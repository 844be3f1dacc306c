import CInterchange
import MailModel
import Platform
import Testing

@testable import IMC

/// The sink on loopback, its host, its loop and its peers turned by the test.
@Suite struct SinkTests {
  private let loop: EventLoop
  private let host: LoopHost

  init() throws {
    loop = try EventLoop()
    host = LoopHost(loop)
  }

  private func start(_ nextHop: SocketAddress, _ settings: [String: TestConfig] = [:]) throws {
    loop.bindToCurrentThread()
    let config = settings.merging(["next_hop": .text(nextHop.description)]) { mine, _ in mine }
    #expect(host.create(ix_module_v1(0), "sink", .record(config)) == IX_OK, "\(host.complaints)")
    #expect(host.start() == IX_OK, "\(host.logs)")
  }

  private func job(
    _ recipients: [String] = ["b@y.example"], _ content: String = "Subject: x\r\n\r\n.body\r\n", notify: Notify? = nil
  ) -> TestJob {
    TestJob(
      Envelope(
        reversePath: .smtp("a@x.example"), recipients: recipients.map { Recipient(.smtp($0), notify: notify) }), content
    )
  }

  private func finish(_ jobs: TestJob...) throws {
    #expect(try turn(loop) { jobs.allSatisfy(\.isFinished) })
  }

  @Test func `a message is relayed with the server's words`() throws {
    let server = try ScriptServer(loop) { line, _ in ScriptServer.polite(line, extensions: ["PIPELINING"]) }
    host.stopsTicking = true
    try start(server.address)
    let job = job(["b@y.example", "c@z.example"])
    host.submit(job)
    try finish(job)
    #expect(job.answers[0]?.kind == IX_RELAYED.rawValue && job.answers[1]?.kind == IX_RELAYED.rawValue)
    #expect(job.answers[0]?.remoteHost == "127.0.0.1" && job.answers[0]?.remoteText == "250 ok")
    #expect(server.contents == ["Subject: x\r\n\r\n..body\r\n"])
    #expect(server.lines.filter { $0.hasPrefix("RCPT") } == ["RCPT TO:<b@y.example>", "RCPT TO:<c@z.example>"])
  }

  @Test func `a server with DSN takes over the duty to report`() throws {
    let server = try ScriptServer(loop) { line, _ in ScriptServer.polite(line) }
    try start(server.address)
    let job = job(notify: [.success])
    host.submit(job)
    try finish(job)
    #expect(job.answers[0]?.kind == IX_TRANSFERRED.rawValue)
    #expect(server.lines.contains("RCPT TO:<b@y.example> NOTIFY=SUCCESS"))
  }

  @Test func `each recipient has its own answer`() throws {
    let server = try ScriptServer(loop) { line, _ in
      if line.contains("<no@") { return .reply("550 5.1.1 who?") }
      if line.contains("<later@") { return .reply("450 4.2.1 later") }
      return ScriptServer.polite(line)
    }
    try start(server.address)
    let job = job(["no@y.example", "later@y.example", "yes@y.example"])
    host.submit(job)
    try finish(job)
    #expect(job.answers[0]?.kind == IX_REFUSED.rawValue && job.answers[0]?.code == "5.1.1")
    #expect(job.answers[1]?.kind == IX_DEFERRED.rawValue && job.answers[1]?.code == "4.2.1")
    #expect(job.answers[2]?.kind == IX_TRANSFERRED.rawValue)
    #expect(server.connectionCount == 1)
  }

  @Test func `a connection carries many messages, and is closed when it has been idle`() throws {
    let server = try ScriptServer(loop) { line, _ in ScriptServer.polite(line) }
    try start(server.address, ["connections_per_destination": 1, "messages_per_connection": 3])
    let jobs = (0..<4).map { _ in job() }
    for job in jobs { host.submit(job) }
    #expect(try turn(loop) { jobs.allSatisfy(\.isFinished) })
    #expect(server.connectionCount == 2 && server.contents.count == 4)
    host.clockAheadSeconds = 3
    #expect(try turn(loop) { server.openCount == 0 })
    #expect(server.lines.filter { $0 == "QUIT" }.count == 2)
  }

  @Test func `connections to a destination are few at first and bounded`() throws {
    let server = try ScriptServer(loop) { line, _ in
      line == "." ? .silence : ScriptServer.polite(line)
    }
    try start(server.address)
    let jobs = (0..<40).map { _ in job() }
    for job in jobs { host.submit(job) }
    #expect(try turn(loop) { server.contents.count == 5 })
    for _ in 0..<5 { try loop.runOnce(timeoutSeconds: 0.01) }
    #expect(server.connectionCount == 5)
    server.react = { line, _ in ScriptServer.polite(line) }
  }

  @Test func `a large content arrives as it was, dots stuffed`() throws {
    let sink = LoopHost(loop)
    let source = LoopHost(loop)
    loop.bindToCurrentThread()
    source.recipientsMax = 1000
    #expect(source.create(ix_module_v1(0), "source", ["listen": ["127.0.0.1:0"]]) == IX_OK)
    #expect(source.start() == IX_OK)
    let address = try #require(source.listeningAddress)
    #expect(sink.create(ix_module_v1(0), "sink", ["next_hop": .text(address.description)]) == IX_OK)
    #expect(sink.start() == IX_OK)
    let content = "Subject: x\r\n\r\n" + String(repeating: ".\r\n..\r\n0123456789\r\n", count: 40_000)
    let job = TestJob(
      Envelope(reversePath: nil, recipients: [Recipient(.smtp("b@y.example"))]), content, pieceOctets: 10_007)
    sink.submit(job)
    #expect(try turn(loop, seconds: 20) { job.isFinished })
    #expect(job.answers[0]?.remoteText == "250 2.0.0 queued as Q1")
    #expect(source.accepted.first?.text.hasSuffix(content) == true)
    #expect(source.accepted.first?.reversePath == nil)
    // The host without a name of its own for EHLO would say so here.
    #expect(source.accepted.first?.attributes["client.name"] == "gw.example")
  }

  @Test func `more recipients than fit one transaction go in several`() throws {
    let server = try ScriptServer(loop) { line, _ in ScriptServer.polite(line) }
    try start(server.address, ["recipients_per_transaction": 10])
    let job = job((0..<25).map { "u\($0)@y.example" })
    host.submit(job)
    try finish(job)
    #expect(job.answers.count == 25 && job.answers.values.allSatisfy { $0.kind == IX_TRANSFERRED.rawValue })
    #expect(server.contents.count == 3)
  }

  @Test func `recipients that are too many for the server follow at once`() throws {
    var taken = 0
    let server = try ScriptServer(loop) { line, _ in
      if line.hasPrefix("MAIL") { taken = 0 }
      if line.hasPrefix("RCPT") {
        taken += 1
        if taken > 3 { return .reply("452 4.5.3 too many") }
      }
      return ScriptServer.polite(line)
    }
    try start(server.address)
    let job = job((0..<7).map { "u\($0)@y.example" })
    host.submit(job)
    try finish(job)
    #expect(job.answers.values.allSatisfy { $0.kind == IX_TRANSFERRED.rawValue })
    #expect(server.contents.count == 3)
  }

  @Test(arguments: [
    ("nobody listens", false), ("421 at the greeting", true),
  ])
  func `a dead destination is left alone for a while, and then tried by one connection`(
    name: String, greets: Bool
  ) throws {
    var isDead = true
    var server: ScriptServer?
    let address: SocketAddress
    if greets {
      let made = try ScriptServer(loop) { line, _ in
        isDead ? .reply("421 4.3.2 not now") : ScriptServer.polite(line)
      }
      address = made.address
      server = made
    } else {
      address = try TCPSocket.listening(on: #require(SocketAddress("127.0.0.1", port: 0))).localAddress()
    }
    try start(address)
    let first = job()
    host.submit(first)
    try finish(first)
    #expect(first.answers[0]?.kind == IX_DEFERRED.rawValue)
    #expect(first.answers[0]?.code == (greets ? "4.3.2" : "4.4.1"))
    let before = server?.connectionCount
    let second = job()
    host.submit(second)
    #expect(second.isFinished, "answered at once")
    #expect(second.answers[0].map { $0.retryAfter > 0 && $0.retryAfter <= 1 } == true)
    #expect(server?.connectionCount == before)

    host.clockAheadSeconds = 1.1
    isDead = false
    if server == nil {
      server = try ScriptServer(loop, port: address.port) { line, _ in
        line == "" ? .silence : ScriptServer.polite(line)
      }
    } else {
      server?.react = { line, _ in line == "" ? .silence : ScriptServer.polite(line) }
    }
    let revived = try #require(server)
    let known = revived.connectionCount
    let jobs = (0..<10).map { _ in job() }
    for job in jobs { host.submit(job) }
    #expect(try turn(loop) { revived.connectionCount > known })
    for _ in 0..<5 { try loop.runOnce(timeoutSeconds: 0.01) }
    #expect(revived.connectionCount == known + 1, "one probe")
  }

  @Test func `a server that hangs costs another destination nothing, and is timed out`() throws {
    let server = try ScriptServer(loop) { _, _ in .silence }
    try start(server.address, ["timeouts": ["greeting": 60.0]])
    let job = job()
    host.submit(job)
    #expect(try turn(loop) { server.connectionCount == 1 })
    host.clockAheadSeconds = 61
    try finish(job)
    #expect(job.answers[0]?.kind == IX_DEFERRED.rawValue && job.answers[0]?.code == "4.4.2")
    #expect(job.answers[0]?.text.contains("greeting") == true)
  }

  @Test func `a connection that the server tired of is replaced, and the message goes on`() throws {
    let server = try ScriptServer(loop) { line, number in
      // The first connection is dropped at its second MAIL.
      line.hasPrefix("MAIL") && number == 1 ? .reply("421 4.7.0 enough") : ScriptServer.polite(line)
    }
    var mails = 0
    server.react = { line, number in
      if line.hasPrefix("MAIL"), number == 1 {
        mails += 1
        if mails == 2 { return .reply("421 4.7.0 enough") }
      }
      return ScriptServer.polite(line)
    }
    try start(server.address, ["connections_per_destination": 1])
    let first = job()
    host.submit(first)
    try finish(first)
    let second = job()
    host.submit(second)
    try finish(second)
    #expect(second.answers[0]?.kind == IX_TRANSFERRED.rawValue)
    #expect(server.connectionCount == 2)
  }

  @Test func `loss after the content was sent is deferred and not sent again at once`() throws {
    let server = try ScriptServer(loop) { line, _ in line == "." ? .reset : ScriptServer.polite(line) }
    try start(server.address)
    let job = job()
    host.submit(job)
    try finish(job)
    #expect(job.answers[0]?.kind == IX_DEFERRED.rawValue && job.answers[0]?.code == "4.4.2")
    #expect(server.contents.count == 1)
  }

  @Test func `a job that is wanted back is given up before its content, and waits after it`() throws {
    let server = try ScriptServer(loop) { line, _ in
      line.hasPrefix("RCPT TO:<slow") || line == "." ? .silence : ScriptServer.polite(line)
    }
    try start(server.address)
    let early = job(["slow@y.example"])
    let late = job()
    host.submit(early)
    host.submit(late)
    #expect(try turn(loop) { server.lines.contains { $0.contains("<slow") } && server.contents.count == 1 })
    host.cancel(early)
    host.cancel(late)
    try finish(early)
    #expect(early.answers[0]?.kind == IX_DEFERRED.rawValue)
    #expect(!late.isFinished)
  }

  @Test func `when the stage stops, what waits is the host's again and what is under way ends`() throws {
    let server = try ScriptServer(loop) { line, _ in line == "." ? .silence : ScriptServer.polite(line) }
    try start(server.address, ["connections_per_destination": 1])
    let busy = job()
    let waiting = job()
    host.submit(busy)
    host.submit(waiting)
    #expect(try turn(loop) { server.contents.count == 1 })
    host.stop()
    #expect(waiting.isFinished && waiting.answers[0]?.kind == IX_DEFERRED.rawValue)
    #expect(!busy.isFinished)
  }

  // TLS, against our own source.

  private func source(_ settings: [String: TestConfig]) throws -> (LoopHost, SocketAddress) {
    let source = LoopHost(loop)
    loop.bindToCurrentThread()
    let config = settings.merging(["listen": ["127.0.0.1:0"]]) { mine, _ in mine }
    #expect(source.create(ix_module_v1(0), "source", .record(config)) == IX_OK)
    #expect(source.start() == IX_OK, "\(source.logs)")
    return (source, try #require(source.listeningAddress))
  }

  private var certificate: TestConfig {
    ["certificate": .text(TestCertificates.server), "key": .text(TestCertificates.key)]
  }

  struct TLSCase: CustomTestStringConvertible {
    let mode: String
    var authority: String?
    var name: String?
    var offered = true
    /// Nil: goes through.
    let refusal: String?
    var isEncrypted = true

    var testDescription: String { "\(mode), \(name ?? "-"), \(offered ? "offered" : "not offered")" }
  }

  @Test(arguments: [
    TLSCase(mode: "off", refusal: nil, isEncrypted: false),
    TLSCase(mode: "opportunistic", refusal: nil),
    TLSCase(mode: "opportunistic", offered: false, refusal: nil, isEncrypted: false),
    TLSCase(mode: "required", refusal: nil),
    TLSCase(mode: "required", offered: false, refusal: "4.7.10"),
    TLSCase(mode: "verify", authority: "ca", refusal: nil),
    TLSCase(mode: "verify", authority: "ca", name: "mx.example", refusal: nil),
    TLSCase(mode: "verify", authority: "ca", name: "else.example", refusal: "4.7.5"),
    TLSCase(mode: "verify", authority: "other", name: "mx.example", refusal: "4.7.5"),
    TLSCase(mode: "verify", authority: "ca", offered: false, refusal: "4.7.10"),
  ])
  func `TLS is as strict as it is set, and no stricter`(item: TLSCase) throws {
    let (source, address) = try source(item.offered ? ["tls": certificate] : [:])
    var tls: [String: TestConfig] = ["mode": .text(item.mode)]
    if let authority = item.authority { tls["ca"] = .text("\(TestCertificates.directory)/\(authority).pem") }
    if let name = item.name { tls["name"] = .text(name) }
    try start(address, ["tls": .record(tls)])
    let job = job()
    host.submit(job)
    try finish(job)
    if let refusal = item.refusal {
      #expect(job.answers[0]?.kind == IX_DEFERRED.rawValue && job.answers[0]?.code == refusal, "\(job.answers)")
      #expect(source.accepted.isEmpty)
    } else {
      #expect(job.answers[0]?.kind == IX_TRANSFERRED.rawValue, "\(job.answers)")
      #expect((source.accepted.first?.attributes["client.tls"] != nil) == item.isEncrypted)
    }
  }

  @Test func `a handshake that fails where TLS is a courtesy is followed by mail in the clear`() throws {
    let server = try ScriptServer(loop) { line, _ in
      line == "STARTTLS" ? .replyAndBreak("220 go ahead") : ScriptServer.polite(line, extensions: ["STARTTLS"])
    }
    try start(server.address, ["tls": ["mode": "opportunistic"]])
    let job = job()
    host.submit(job)
    #expect(try turn(loop) { server.lines.contains("STARTTLS") })
    try finish(job)
    #expect(job.answers[0]?.kind == IX_RELAYED.rawValue, "\(job.answers)")
    #expect(server.contents.count == 1)
  }

  @Test func `wrong settings are told, all of them`() {
    let config: TestConfig = [
      "next_hop": "nowhere", "resolver": ["servers": ["localhost", "127.0.0.1@53@53", "127.0.0.1@x"]],
    ]
    #expect(host.create(ix_module_v1(0), "sink", config) == IX_INVALID)
    // A next hop without a port means port 25.
    #expect(host.complaints.count == 3)
  }
}

import CInterchange
import Platform
import Testing

@testable import IMC

/// The source on loopback, its host and its loop turned by the test.
@Suite struct SourceTests {
  private let loop: EventLoop
  private let host: LoopHost

  init() throws {
    loop = try EventLoop()
    loop.bindToCurrentThread()
    host = LoopHost(loop)
  }

  private func start(_ settings: [String: TestConfig] = [:]) throws {
    loop.bindToCurrentThread()
    let config = settings.merging(["listen": ["127.0.0.1:0"]]) { mine, _ in mine }
    #expect(host.create(ix_module_v1(0), "source", .record(config)) == IX_OK, "\(host.complaints)")
    #expect(host.start() == IX_OK, "\(host.logs)")
  }

  private func client() throws -> TestClient {
    let client = try TestClient(loop, host.listeningAddress)
    #expect(try client.reply() == "220 gw.example ESMTP")
    return client
  }

  private func hello() throws -> TestClient {
    let client = try client()
    #expect(try client.command("EHLO client.example")?.hasPrefix("250-gw.example") == true)
    return client
  }

  private let message = "Subject: x\r\n\r\n..dot\r\nbody\r\n.\r\n"

  @Test func `a message is taken with its trace, and told by its queue identifier once it is durable`() throws {
    host.stopsTicking = true
    try start()
    let client = try hello()
    try client.send("MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n")
    #expect(try client.reply()?.hasPrefix("250 2.1.0") == true)
    #expect(try client.reply()?.hasPrefix("250 2.1.5") == true)
    #expect(try client.reply()?.hasPrefix("354") == true)
    host.verdict = .hold
    try client.send(message)
    #expect(try turn(loop) { !host.held.isEmpty })
    #expect(try client.reply(seconds: 0.1) == nil)
    host.acceptHeld()
    #expect(try client.reply() == "250 2.0.0 queued as Q1")
    let taken = try #require(host.accepted.first)
    #expect(taken.reversePath == "a@x.example" && taken.recipients == ["b@y.example"])
    #expect(taken.attributes["client.address"] == "127.0.0.1" && taken.attributes["client.protocol"] == "ESMTP")
    #expect(taken.text.hasPrefix("Received: from client.example ([127.0.0.1]) by gw.example with ESMTP id\r\n "))
    #expect(taken.text.hasSuffix("Subject: x\r\n\r\n.dot\r\nbody\r\n"))
    #expect(try client.command("QUIT")?.hasPrefix("221") == true)
    #expect(try client.isClosed())
    #expect(!client.wasReset)
  }

  @Test func `pipelined commands are answered by one write`() throws {
    try start()
    let client = try hello()
    try client.send("MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nRCPT TO:<c@y.example>\r\nRSET\r\nNOOP\r\n")
    for _ in 0..<5 { #expect(try client.reply()?.hasPrefix("250") == true) }
  }

  @Test(arguments: [
    (LoopHost.Verdict.refuse(4, 3, 1, "full"), "452 4.3.1 full"), (.refuse(5, 7, 1, "no"), "554 5.7.1 no"),
    (.refuse(4, 3, 0, ""), "451 4.3.0 not accepted"),
  ])
  func `a refusal of the host is told with its code`(verdict: LoopHost.Verdict, reply: String) throws {
    try start()
    host.verdict = verdict
    let client = try hello()
    _ = try client.command("MAIL FROM:<>")
    _ = try client.command("RCPT TO:<b@y.example>")
    _ = try client.command("DATA")
    #expect(try client.command("x\r\n.") == reply)
    #expect(host.accepted.isEmpty && host.openDrafts.isEmpty)
    #expect(try client.command("NOOP")?.hasPrefix("250") == true)
  }

  @Test func `a session waits for room, and others go on`() throws {
    try start()
    let slow = try hello()
    _ = try slow.command("MAIL FROM:<>")
    _ = try slow.command("RCPT TO:<b@y.example>")
    _ = try slow.command("DATA")
    host.room = 0
    try slow.send("waits\r\n.\r\n")
    #expect(try turn(loop) { host.metrics["content.waited"] == 1 })
    let other = try hello()
    #expect(try other.command("NOOP")?.hasPrefix("250") == true)
    #expect(try slow.reply(seconds: 0.05) == nil)
    host.makeRoom()
    #expect(try slow.reply() == "250 2.0.0 queued as Q1")
    #expect(host.accepted.first?.text.hasSuffix("\r\nwaits\r\n") == true)
  }

  @Test func `content that the host finds too big is refused at its end, and the session goes on`() throws {
    try start()
    host.contentOctetsMax = 1000
    let client = try hello()
    _ = try client.command("MAIL FROM:<>")
    _ = try client.command("RCPT TO:<b@y.example>")
    _ = try client.command("DATA")
    try client.send(String(repeating: "0123456789\r\n", count: 20_000) + ".\r\n")
    #expect(try client.reply()?.hasPrefix("552 5.3.4") == true)
    #expect(host.openDrafts.isEmpty)
    #expect(try client.command("NOOP")?.hasPrefix("250") == true)
  }

  @Test func `no draft to be had is a full system`() throws {
    try start()
    host.refusesDrafts = true
    let client = try hello()
    _ = try client.command("MAIL FROM:<>")
    _ = try client.command("RCPT TO:<b@y.example>")
    _ = try client.command("DATA")
    #expect(try client.command("x\r\n.")?.hasPrefix("452 4.3.1") == true)
  }

  @Test func `a full host refuses MAIL and takes it again later`() throws {
    try start()
    let client = try hello()
    host.congestion = IX_FULL.rawValue
    #expect(try client.command("MAIL FROM:<>")?.hasPrefix("452 4.3.1") == true)
    host.congestion = IX_FLOWING.rawValue
    #expect(try client.command("MAIL FROM:<>")?.hasPrefix("250") == true)
  }

  @Test func `a shut host takes no connection until it opens`() throws {
    host.congestion = IX_SHUT.rawValue
    try start()
    let client = try TestClient(loop, host.listeningAddress)
    #expect(try client.reply(seconds: 0.1) == nil)
    host.congestion = IX_FLOWING.rawValue
    #expect(try client.reply()?.hasPrefix("220") == true)
  }

  @Test func `a client has only so many sessions, and more once one has gone`() throws {
    try start(["sessions_per_client": 2])
    let first = try client()
    let second = try client()
    let third = try TestClient(loop, host.listeningAddress)
    #expect(try third.reply() == "421 4.7.0 too many connections from your address")
    #expect(try third.isClosed())
    _ = try first.command("QUIT")
    #expect(try first.isClosed())
    _ = (first, third)
    #expect(try second.command("NOOP")?.hasPrefix("250") == true)
  }

  @Test func `more sessions than allowed wait in the backlog`() throws {
    try start(["sessions_max": 1])
    let first = try client()
    let second = try TestClient(loop, host.listeningAddress)
    #expect(try second.reply(seconds: 0.1) == nil)
    _ = try first.command("QUIT")
    first.shutdownWriting()
    #expect(try second.reply()?.hasPrefix("220") == true)
  }

  @Test func `a silent client is told 421 when its time is up, and one that dribbles has no more time`() throws {
    try start(["timeouts": ["command": 60.0]])
    let client = try hello()
    host.clockAheadSeconds = 50
    try client.send("NO")
    _ = try client.reply(seconds: 0.05)
    host.clockAheadSeconds = 61
    #expect(try client.reply() == "421 4.4.2 timeout")
    #expect(try client.isClosed())
  }

  @Test func `content must come at its pace`() throws {
    try start(["timeouts": ["content": 60.0]])
    let client = try hello()
    _ = try client.command("MAIL FROM:<>")
    _ = try client.command("RCPT TO:<b@y.example>")
    _ = try client.command("DATA")
    try client.send(String(repeating: "0123456789\r\n", count: 3000))
    _ = try client.reply(seconds: 0.05)
    host.clockAheadSeconds = 59
    try client.send("slow\r\n")
    _ = try client.reply(seconds: 0.05)
    host.clockAheadSeconds = 200
    #expect(try client.reply() == "421 4.4.2 timeout")
    #expect(host.openDrafts.isEmpty)
  }

  @Test func `a connection that breaks leaves no draft behind`() throws {
    try start()
    do {
      let client = try hello()
      _ = try client.command("MAIL FROM:<>")
      _ = try client.command("RCPT TO:<b@y.example>")
      _ = try client.command("DATA")
      try client.send("half")
      #expect(try turn(loop) { !host.openDrafts.isEmpty })
    }
    #expect(try turn(loop) { host.openDrafts.isEmpty })
    #expect(host.accepted.isEmpty)
  }

  @Test func `when the stage stops, idle sessions hear 421 and content in hand is finished`() throws {
    try start()
    let idle = try hello()
    let busy = try hello()
    _ = try busy.command("MAIL FROM:<>")
    _ = try busy.command("RCPT TO:<b@y.example>")
    _ = try busy.command("DATA")
    try busy.send("half\r\n")
    #expect(try turn(loop) { !host.openDrafts.isEmpty })
    host.stop()
    #expect(try idle.reply() == "421 4.3.2 service shutting down")
    #expect(try idle.isClosed())
    #expect(try busy.command("done\r\n.") == "250 2.0.0 queued as Q1")
    #expect(try busy.reply() == "421 4.3.2 service shutting down")
    let late = try TestClient(loop, host.listeningAddress)
    #expect(try late.isClosed())
  }

  @Test func `content that does not end is given up some seconds after stop`() throws {
    try start()
    let busy = try hello()
    _ = try busy.command("MAIL FROM:<>")
    _ = try busy.command("RCPT TO:<b@y.example>")
    _ = try busy.command("DATA")
    try busy.send("half\r\n")
    #expect(try turn(loop) { !host.openDrafts.isEmpty })
    host.stop()
    #expect(try busy.reply(seconds: 0.1) == nil)
    host.clockAheadSeconds = 4
    #expect(try busy.reply() == "421 4.3.2 service shutting down")
    #expect(host.openDrafts.isEmpty)
  }

  private var tls: TestConfig {
    ["certificate": .text(TestCertificates.server), "key": .text(TestCertificates.key)]
  }

  @Test func `mail is taken under TLS, and what was said before it is forgotten`() throws {
    try start(["tls": tls])
    let client = try hello()
    _ = try client.command("MAIL FROM:<before@x.example>")
    #expect(try client.command("STARTTLS")?.hasPrefix("220") == true)
    let context = try TLSContext.client(trusting: .authorities(file: TestCertificates.authority))
    #expect(try client.startTLS(context, name: "mx.example"))
    #expect(try client.command("MAIL FROM:<a@x.example>")?.hasPrefix("503") == true)
    _ = try client.command("EHLO client.example")
    _ = try client.command("MAIL FROM:<a@x.example>")
    _ = try client.command("RCPT TO:<b@y.example>")
    _ = try client.command("DATA")
    let long = "Subject: x\r\n\r\n" + String(repeating: "0123456789abcdef\r\n", count: 20_000)
    try client.send(long + ".\r\n")
    let answer = try client.reply()
    #expect(answer == "250 2.0.0 queued as Q1", "\(host.logs)")
    let taken = try #require(host.accepted.first)
    #expect(taken.text.hasSuffix(long) && taken.text.contains("with ESMTPS"))
    #expect(taken.attributes["client.tls"]?.hasPrefix("TLSv1.3") == true)
    #expect(try client.command("QUIT")?.hasPrefix("221") == true)
  }

  @Test func `commands that came with STARTTLS end the session`() throws {
    try start(["tls": tls])
    let client = try hello()
    try client.send("STARTTLS\r\nMAIL FROM:<injected@x.example>\r\n")
    var last: String?
    while let reply = try client.reply() { last = reply }
    #expect(last?.hasPrefix("220") != true && client.isAtEnd)
  }

  @Test func `a handshake that fails ends the session and nothing else`() throws {
    try start(["tls": tls])
    let client = try hello()
    _ = try client.command("STARTTLS")
    try client.send("this is no TLS\r\n")
    while try client.reply() != nil {}
    #expect(client.isAtEnd)
    #expect(host.metrics["tls.failed"] == 1)
    _ = try hello()
  }

  @Test func `a wrong address to listen on is told where it stands`() {
    #expect(host.create(ix_module_v1(0), "source", ["listen": ["mx.example:25", "25"]]) == IX_INVALID)
    #expect(host.complaints.count == 2)
  }

  @Test func `a port in use stops the start`() throws {
    try start()
    let second = LoopHost(loop)
    let address = try #require(host.listeningAddress)
    #expect(second.create(ix_module_v1(0), "source", ["listen": [.text(address.description)]]) == IX_OK)
    #expect(second.start() == IX_FAILED)
    #expect(second.logs.contains { $0.contains("Address already in use") })
  }
}

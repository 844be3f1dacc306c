import MailModel
import Testing

@testable import SMTP

/// An owner of a client session that checks what every message is promised.
private struct ClientHarness {
  var session: SMTPClientSession
  var sent: [UInt8] = []
  var linesSent = 0
  var results: [Int: RecipientResult] = [:]
  var isDone = false
  var isReady = false
  var isClosed = false
  var isFeeding = false

  init(_ tls: SMTPClientSettings.TLSMode = .off) {
    var settings = SMTPClientSettings(helloName: "c.example", host: "mx.example.com")
    settings.tls = tls
    session = SMTPClientSession(settings: settings)
  }

  mutating func start(_ recipientCount: Int, longest: Int = 0) {
    results = [:]
    isDone = false
    isReady = false
    let recipients = (0..<recipientCount).map { Recipient(.smtp("r\($0)@d.example")) }
    perform(
      session.start(
        OutgoingMessage(
          envelope: Envelope(reversePath: .smtp("a@b.example"), recipients: recipients), contentOctets: 3,
          longestLineOctets: longest)))
  }

  mutating func perform(_ actions: [SMTPClientAction]) {
    for action in actions {
      precondition(!isClosed, "an action after close: \(action)")
      switch action {
      case .send(let octets):
        sent += octets
        linesSent += octets.count(where: { $0 == 0x0A })
      case .startTLS: break
      case .sendContent:
        precondition(!isFeeding)
        isFeeding = true
      case .abandonContent:
        precondition(isFeeding)
        isFeeding = false
      case .recipientResult(let result):
        precondition(results[result.index] == nil, "two results for one recipient")
        results[result.index] = result
      case .messageDone:
        precondition(!isDone)
        isDone = true
      case .readyForNext: isReady = true
      case .close: isClosed = true
      }
    }
  }
}

@Suite struct RandomClientTests {
  private static let replies = [
    "220 hi", "250 OK", "250 OK", "250 OK", "250 OK", "250-mx\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 STARTTLS",
    "250-mx\r\n250 SIZE 2",
    "354 go", "354 go", "421 bye", "450 later", "452 4.5.3 many", "550 5.1.1 no", "503 bad", "554 no", "250-", "junk",
    "1", "\0",
  ]

  @Test(arguments: UInt64(0)..<40)
  func `whatever the server says, each recipient gets one result and only a 2xx to content settles`(seed: UInt64) {
    var generator = SplitMix(state: seed &* 31)
    for _ in 0..<60 {
      var client = ClientHarness(generator.next() % 3 == 0 ? .opportunistic : .off)
      let count = 1 + Int(generator.next() % 4)
      client.start(count, longest: generator.next() % 3 == 0 ? 2_000 : 0)
      var finished = 0
      for _ in 0..<60 where !client.isClosed {
        switch generator.next() % 12 {
        case 0 where client.isFeeding:
          client.sent += client.session.encodeContent(Array("x\n.".utf8))
          client.isFeeding = false
          finished += 1
          client.perform(client.session.finishContent())
        case 1: client.perform(client.session.tlsEstablished())
        case 2 where generator.next() % 30 == 0: client.perform(client.session.timeout())
        case 3 where client.isReady && client.isDone: client.start(count)
        default:
          let reply = Self.replies[Int(generator.next() % UInt64(Self.replies.count))] + "\r\n"
          var rest = Array(reply.utf8)[...]
          while !rest.isEmpty, !client.isClosed {
            let piece = rest.prefix(1 + Int(generator.next() % 9))
            rest = rest.dropFirst(piece.count)
            client.perform(client.session.receive(piece))
          }
        }
        if client.results.values.contains(where: { if case .settled = $0.answer { true } else { false } }) {
          #expect(finished > 0, "seed \(seed)")
        }
      }
      if !client.isClosed { client.perform(client.session.connectionClosed()) }
      #expect(client.isDone && client.results.count == count, "seed \(seed)")
    }
  }

  @Test func `the server may go at any point of a session`() {
    let replies = [
      "220 mx\r\n", "250-mx\r\n250 PIPELINING\r\n", "250 OK\r\n", "550 5.1.1 no\r\n", "250 OK\r\n", "354 go\r\n",
      "250 OK\r\n", "221 bye\r\n",
    ]
    let octets = replies.flatMap { Array($0.utf8) }
    for end in 0...octets.count {
      for byTimeout in [false, true] {
        var client = ClientHarness()
        client.start(2)
        for octet in octets.prefix(end) where !client.isClosed {
          client.perform(client.session.receive([octet]))
          if client.isFeeding {
            client.isFeeding = false
            client.sent += client.session.encodeContent(Array("x\r\n".utf8))
            client.perform(client.session.finishContent())
          }
          if client.isReady { client.perform(client.session.quit()) }
        }
        if !client.isClosed { client.perform(byTimeout ? client.session.timeout() : client.session.connectionClosed()) }
        #expect(client.isClosed && client.isDone && client.results.count == 2)
      }
    }
  }

  @Test func `three thousand recipients go ahead of their answers within the window, and the dot waits for all`() {
    var client = ClientHarness()
    client.start(3_000)
    client.perform(client.session.receive(Array("220 mx\r\n250-mx\r\n250 PIPELINING\r\n".utf8)))
    var answered = 0
    while !client.isFeeding {
      #expect(client.linesSent - 1 - answered <= 100)  // the first was EHLO
      client.perform(client.session.receive(Array((answered <= 3_000 ? "250 OK\r\n" : "354 go\r\n").utf8)))
      answered += 1
    }
    #expect(answered == 3_002)
    client.isFeeding = false
    client.perform(client.session.finishContent())
    client.perform(client.session.receive(Array("250 2.0.0 OK\r\n".utf8)))
    #expect(client.isDone && client.isReady && client.results.count == 3_000)
  }

  @Test func `a reply without an end is cut off`() {
    for endless in ["2" + String(repeating: "x", count: 5_000), String(repeating: "250-x\r\n", count: 600)] {
      var client = ClientHarness()
      client.start(1)
      client.perform(client.session.receive(Array(endless.utf8)))
      #expect(client.isClosed && client.isDone)
    }
  }
}

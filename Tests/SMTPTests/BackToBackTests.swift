import MailModel
import Testing

@testable import SMTP

/// A client and a server machine joined by two wires that hand octets over in pieces of random size.
struct BackToBack {
  var client: SMTPClientSession
  var server: ServerHarness
  var generator: SplitMix
  var content: [UInt8] = []
  var results: [RecipientResult] = []
  var messagesDone = 0
  var readyForNext = 0
  var clientClosed = false
  private var toServer: [UInt8] = []
  private var toClient: [UInt8] = []

  init(
    client settings: SMTPClientSettings = SMTPClientSettings(helloName: "c.example", host: "gw.example.com"),
    server serverSettings: SMTPServerSettings = .test, seed: UInt64
  ) {
    client = SMTPClientSession(settings: settings)
    server = ServerHarness(serverSettings)
    generator = SplitMix(state: seed)
    server.start()
  }

  mutating func perform(_ actions: [SMTPClientAction]) {
    for action in actions {
      precondition(!clientClosed, "an action after close: \(action)")
      switch action {
      case .send(let octets): toServer += octets
      case .startTLS: toServer += [0]  // stands for the handshake
      case .sendContent:
        var rest = content[...]
        while !rest.isEmpty {
          let piece = rest.prefix(1 + Int(generator.next() % 40))
          rest = rest.dropFirst(piece.count)
          toServer += client.encodeContent(piece)
        }
        perform(client.finishContent())
      case .abandonContent: break
      case .recipientResult(let result): results.append(result)
      case .messageDone: messagesDone += 1
      case .readyForNext: readyForNext += 1
      case .close: clientClosed = true
      }
    }
  }

  mutating func run(_ message: OutgoingMessage, content: [UInt8]) {
    self.content = content
    perform(client.start(message))
    var idle = 0
    while idle < 3 {
      toClient += server.sent
      server.sent = []
      var moved = false
      if !toServer.isEmpty, !server.isClosed {
        let count = min(toServer.count, 1 + Int(generator.next() % 60))
        let piece = Array(toServer.prefix(count))
        toServer.removeFirst(count)
        if case .startingTLS = server.session.state {
          server.perform(server.session.tlsEstablished())
          perform(client.tlsEstablished())
        } else {
          server.receive(piece)
        }
        moved = true
      }
      if !toClient.isEmpty, !clientClosed {
        let count = min(toClient.count, 1 + Int(generator.next() % 60))
        let piece = Array(toClient.prefix(count))
        toClient.removeFirst(count)
        perform(client.receive(piece))
        moved = true
      }
      idle = moved ? 0 : idle + 1
    }
  }
}

/// SplitMix64, so that a seed names a run.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}

@Suite struct BackToBackTests {
  static let envelope = Envelope(
    reversePath: .smtp("a@example.org"),
    recipients: [
      Recipient(.smtp("b@example.com"), notify: [.success, .failure]),
      Recipient(
        .smtp("c@example.com"), notify: .never, originalRecipient: OriginalRecipient(type: "rfc822", text: "x+y@z")),
    ], envelopeID: "id=1 +", returnContent: .headers)

  @Test func `what the client sends the server hands over, however it is cut`() {
    for seed in UInt64(0)..<50 {
      var pair = BackToBack(seed: seed)
      let content = "Subject: x\r\n\r\n.\r\n..a\r\n.b\r\nend without line end"
      pair.run(
        OutgoingMessage(envelope: Self.envelope, contentOctets: content.utf8.count), content: Array(content.utf8))
      #expect(pair.server.contents == [Array((content + "\r\n").utf8)])
      var expected = Self.envelope
      expected.attributes = pair.server.envelopes.first?.attributes ?? []
      #expect(pair.server.envelopes == [expected])
      #expect(pair.results.map(\.index) == [0, 1])
      #expect(pair.results.allSatisfy { $0.dsnPassedOn })
      for result in pair.results {
        guard case .settled(.relayed, let status) = result.answer else {
          Issue.record("not settled: \(result)")
          return
        }
        #expect(status.code == .success)
      }
      #expect(pair.messagesDone == 1)
      #expect(pair.readyForNext == 1)
    }
  }

  @Test func `several messages follow each other, by DATA and by BDAT, after STARTTLS`() {
    for seed in UInt64(0)..<30 {
      var settings = SMTPServerSettings.test
      settings.tls = .required
      var pair = BackToBack(server: settings, seed: seed)
      let long = String(repeating: "x", count: 3_000) + "\r\n"
      for (index, content) in ["one\r\n", long, "bare\nline\rend\r\n"].enumerated() {
        pair.run(
          OutgoingMessage(envelope: Self.envelope, longestLineOctets: index == 1 ? 3_000 : 10),
          content: Array(content.utf8))
      }
      #expect(pair.server.startedTLS == 1)
      #expect(pair.server.contents == ["one\r\n", long, "bare\r\nline\r\nend\r\n"].map { Array($0.utf8) })
      #expect(pair.messagesDone == 3)
      #expect(pair.readyForNext == 3)
      pair.perform(pair.client.quit())
      #expect(pair.client.isClosed == false)
    }
  }
}

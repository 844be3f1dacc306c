import MailModel
import Testing

@testable import SMTP

/// What a server may answer, kept apart from the machine: which of the five facts below a command needs and changes.
private struct ServerModel {
  var hello = false
  var mail = false
  var sawRecipient = false
  var recipients = 0
  var chunked = false

  mutating func reset() {
    mail = false
    sawRecipient = false
    recipients = 0
    chunked = false
  }
}

@Suite struct RandomServerTests {
  /// Well-formed commands in any order: every answer has the code that the model foretells, and content reaches the owner
  /// with exactly the recipients that were taken.
  @Test(arguments: UInt64(0)..<20)
  func `well-formed commands in any order are answered as the model says`(seed: UInt64) {
    var generator = SplitMix(state: seed)
    var settings = SMTPServerSettings.test
    settings.hardErrorsMax = .max
    settings.junkCommandsMax = .max
    settings.recipientsMax = 3
    var server = ServerHarness(settings)
    server.start()
    _ = server.takeSent()
    var model = ServerModel()
    var accepted = 0
    for _ in 0..<400 {
      let code: Int
      switch generator.next() % 10 {
      case 0:
        server.receive("EHLO c.example\r\n")
        model.reset()
        model.hello = true
        code = 250
      case 1, 2:
        server.receive("MAIL FROM:<a@b.example>\r\n")
        code = model.hello && !model.mail ? 250 : 503
        if code == 250 { model.mail = true }
      case 3, 4:
        server.receive("RCPT TO:<c@d.example>\r\n")
        code = !model.mail || model.chunked ? 503 : model.recipients < 3 ? 250 : 452
        if model.mail, !model.chunked { model.sawRecipient = true }
        if code == 250 { model.recipients += 1 }
      case 5:
        server.receive("RCPT TO:<c@@d.example>\r\n")
        code = !model.mail || model.chunked ? 503 : 501
        if model.mail, !model.chunked { model.sawRecipient = true }
      case 6:
        server.receive("DATA\r\n")
        code =
          !model.mail || !model.sawRecipient || (model.recipients > 0 && model.chunked)
          ? 503 : model.recipients == 0 ? 554 : 354
        if code == 354 {
          #expect(server.takeSent().hasPrefix("354 "))
          #expect(server.envelopes.last?.recipients.count == model.recipients)
          server.receive("x\r\n.\r\n")
          #expect(server.takeSent().hasPrefix("250 2.0.0 queued"))
          accepted += 1
          #expect(server.contents.count == accepted)
          model.reset()
          continue
        }
      case 7:
        let isLast = generator.next() % 2 == 0
        server.receive("BDAT 6\(isLast ? " LAST" : "")\r\nQUIT\r\n")
        code = !model.mail || !model.sawRecipient ? 503 : model.recipients == 0 ? 554 : 250
        if code == 250 {
          model.chunked = true
          if isLast {
            accepted += 1
            model.reset()
          }
        }
      case 8:
        server.receive("RSET\r\n")
        model.reset()
        code = 250
      default:
        server.receive("NOOP\r\n")
        code = 250
      }
      let reply = server.takeSent()
      #expect(reply.hasPrefix("\(code)"), "seed \(seed): expected \(code), got \(reply)")
      #expect(server.contents.count == accepted)
    }
  }

  private static let scraps = [
    "EHLO c.example\r\n", "HELO c\r\n", "MAIL FROM:<a@b.example>", "MAIL FROM:<> BODY=8BITMIME SIZE=10",
    "RCPT TO:<c@d.example>",
    "RCPT TO:<\"a>b\"@d.example> NOTIFY=NEVER", "DATA\r\n", "BDAT 5", " LAST", "BDAT 0 LAST\r\n",
    "BDAT 18446744073709551615",
    "RSET\r\n", "STARTTLS\r\n", "QUIT", "NOOP\r\n", "VRFY x\r\n", "\r\n", "\r\n", "\r\n", "\r\n.\r\n", ".", "\r", "\n",
    "\0",
    "\u{E4}", " ", "Received: x\r\n", "hello", "<", ">", "\"", "\\", "=", "+", " ORCPT=rfc822;a+20b",
    "GET / HTTP/1.1\r\n",
  ]

  /// Anything at all, with an owner that answers late, early, wrongly and not at all: no trap, contents well nested (the
  /// harness checks), and never a 250 for content without the owner's word.
  @Test(arguments: UInt64(0)..<60)
  func `no sequence of octets and decisions traps or takes content unasked`(seed: UInt64) {
    var generator = SplitMix(state: seed &* 77)
    for _ in 0..<40 {
      var settings = SMTPServerSettings.test
      settings.tls = generator.next() % 2 == 0 ? .offered : .unavailable
      settings.requiresHello = generator.next() % 2 == 0
      settings.badOctets = generator.next() % 2 == 0 ? .refuse : .replaceBySpace
      settings.endsOnEarlyInput = generator.next() % 4 == 0
      settings.asksAboutRecipients = generator.next() % 4 == 0
      settings.contentOctetsMax = generator.next() % 2 == 0 ? 40 : 0
      settings.hardErrorsMax = 50
      settings.backlogOctetsMax = 64
      var server = ServerHarness(settings)
      server.verdict = nil
      server.start()
      var said = 0
      var accepted = 0
      for _ in 0..<120 {
        switch generator.next() % 24 {
        case 0:
          let waits = server.contents.count > accepted + said
          server.perform(server.session.contentAccepted(identifier: "Q"))
          if waits { accepted += 1 }
        case 1:
          let waits = server.contents.count > accepted + said
          server.perform(server.session.contentRefused(Reply(451, .localFault, "no")))
          if waits { said += 1 } else if server.isInContent { server.forgetContent() }
        case 2: server.perform(server.session.recipientChecked(nil))
        case 3: server.perform(server.session.recipientChecked(Reply(550, .badDestinationMailbox, "no")))
        case 4: server.perform(server.session.tlsEstablished())
        case 5 where generator.next() % 20 == 0: server.perform(server.session.timeout())
        case 6 where generator.next() % 20 == 0: server.perform(server.session.connectionClosed())
        case 7: server.session.setCongestion(generator.next() % 2 == 0 ? nil : Reply(452, .systemFull, "full"))
        default:
          let scrap = Self.scraps[Int(generator.next() % UInt64(Self.scraps.count))]
          if server.session.wantsRead || generator.next() % 10 == 0 { server.receive(scrap) }
        }
        if server.session.isClosed { break }
      }
      let positives = String(decoding: server.sent, as: UTF8.self).split(separator: "\r\n").filter {
        $0.contains("queued as")
      }
      #expect(positives.count == accepted || server.session.isClosed && positives.count <= accepted, "seed \(seed)")
    }
  }

  @Test func `the client may go after any octet`() {
    let script: [String] = [
      "EHLO c.example\r\n", "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n",
      "Subject: x\r\n\r\n..\r\n.\r\n",
      "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nBDAT 3\r\nabcBDAT 3 LAST\r\ndefQUIT\r\n",
    ]
    let octets = script.flatMap { $0.utf8.map { [$0] } }
    for end in 0...octets.count {
      for byTimeout in [false, true] {
        var server = ServerHarness()
        server.start()
        for octet in octets.prefix(end) { server.receive(octet) }
        let wasClosed = server.session.isClosed
        server.perform(byTimeout ? server.session.timeout() : server.session.connectionClosed())
        #expect(server.session.isClosed)
        #expect(!server.isInContent)
        #expect(server.isClosed == (byTimeout || wasClosed))
        server.perform(server.session.contentAccepted(identifier: "late"))
        server.perform(server.session.receive(Array("NOOP\r\n".utf8)))
      }
    }
  }

  @Test func `a line without an end, a backlog and a flood of chunks stay within their bounds`() {
    var server = ServerHarness()
    server.start()
    let piece = Array(repeating: UInt8(ascii: "x"), count: 65_536)
    for _ in 0..<16 { server.receive(piece) }
    #expect(server.takeSent() == "220 gw.example.com ESMTP\r\n500 5.5.2 line too long\r\n")
    server.receive("\r\nHELO c\r\n")
    server.receive("MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n")
    for _ in 0..<2_000 { server.receive("BDAT 1\r\nx") }
    server.verdict = nil
    server.receive("BDAT 0 LAST\r\n")
    #expect(server.contents.map(\.count) == [2_000])
    _ = server.takeSent()
    #expect(server.session.wantsRead)
    var given = 0
    while server.session.wantsRead {
      server.receive("NOOP\r\n")
      given += 1
    }
    #expect(given * 6 >= 65_536 && given * 6 < 65_536 + 6)
    server.perform(server.session.contentAccepted(identifier: "Q"))
    #expect(server.session.isClosed)  // 10,000 NOOPs are junk
  }
}

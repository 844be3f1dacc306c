import Foundation
import Testing

extension IntegrationTests {
  @Suite(.serialized)
  struct Reporting {
    @Test func `who sent to a mailbox that the next hop refuses is told, with the address as it was given`() throws {
      let sink = try RecordingSink(["--keep"])
      let gateway = try GatewayProcess(stages: Pipelines.relay(to: sink.port))
      let port = try gateway.port()
      _ = try Raw.mail(
        to: port, from: "<ann@example.org> ENVID=QQ314",
        recipients: ["<good@example.com>", "<refused.User+x@Example.COM>"])
      let arrivals = try sink.wait(forRecipientsIn: ["ann@example.org"])
      let report = try #require(arrivals.last { $0.recipients == ["ann@example.org"] })
      let body = try #require(report.body)
      #expect(report.from == "<>")
      #expect(report.header.contains("multipart/report"))
      #expect(body.contains("Final-Recipient: rfc822; refused.User+x@Example.COM"), "\(body)")
      #expect(body.contains("Original-Envelope-Id: QQ314"))
      #expect(body.contains("Action: failed"))
      #expect(body.contains("Status: 5.1.1"))
      #expect(body.contains("no such mailbox here"))
      #expect(!body.contains("good@example.com"))
      #expect(arrivals.contains { $0.recipients == ["good@example.com"] })
      try gateway.expectBalance()
      try gateway.stop()
    }

    @Test func `NOTIFY=SUCCESS is answered here when the next hop does not report, and passed on when it does`() throws {
      for isPassedOn in [false, true] {
        let sink = try RecordingSink(["--keep"] + (isPassedOn ? [] : ["--no-dsn"]))
        let gateway = try GatewayProcess(stages: Pipelines.relay(to: sink.port))
        _ = try Raw.mail(
          to: try gateway.port(), from: "<ann@example.org> RET=HDRS", recipients: ["<bob@example.com> NOTIFY=SUCCESS"])
        let arrival = try #require(try sink.wait(forRecipientsIn: ["bob@example.com"]).first)
        #expect(arrival.recipientParameters[0].contains("NOTIFY=SUCCESS") == isPassedOn)
        if !isPassedOn {
          let report = try #require(try sink.wait(forRecipientsIn: ["ann@example.org"]).last)
          #expect(report.body?.contains("Action: relayed") == true, "\(report)")
        }
        try gateway.expectBalance()
        #expect(try sink.arrivals.count == (isPassedOn ? 1 : 2))
        try gateway.stop()
      }
    }

    @Test(arguments: ["NOTIFY=NEVER", "null sender"])
    func `what fails and cannot be reported is a dead letter that anyone can read`(reason: String) throws {
      let sink = try RecordingSink()
      let gateway = try GatewayProcess(stages: Pipelines.relay(to: sink.port))
      let isNull = reason == "null sender"
      _ = try Raw.mail(
        to: try gateway.port(), from: isNull ? "<>" : "<ann@example.org>",
        recipients: ["<refused@example.com>" + (isNull ? "" : " NOTIFY=NEVER")],
        content: "Subject: the last of it\\r\\n\\r\\nkept\\r\\n")
      let letter = try gateway.deadLetter()
      #expect(letter.text.contains("refused@example.com"))
      #expect(letter.text.contains("5.1.1"))
      #expect(letter.text.contains("no such mailbox here"))
      #expect(letter.content.hasSuffix("Subject: the last of it\r\n\r\nkept\r\n"))
      #expect(!letter.history.isEmpty)
      let account = try gateway.expectBalance()
      #expect(account.dead == 1 || account.delivered == 1, "\(account)")
      #expect(try sink.arrivals.isEmpty)
      try gateway.stop()
    }

    static let validating = [
      "imc_in: { use: imc.source, config: { listen: [\"127.0.0.1:0\"], reject_invalid_addresses: false }, to: validate }",
      "validate: { use: address.validator, to: { valid: route, invalid: reports } }",
    ]

    @Test func `of one message with a bad address among good ones only the bad one is reported`() throws {
      let sink = try RecordingSink(["--keep"])
      let gateway = try GatewayProcess(
        modules: ["address: { file: libaddress-validator.so }"],
        stages: Self.validating + Pipelines.relay(to: sink.port).dropFirst())
      let said = try Raw.mail(
        to: try gateway.port(), from: "<ann@example.org>",
        recipients: ["<one@example.com>", "<two@-bad-.example.com>", "<three@example.com>"])
      let arrivals = try sink.wait(forRecipientsIn: ["one@example.com", "three@example.com", "ann@example.org"])
      let report = try #require(arrivals.first { $0.recipients == ["ann@example.org"] }?.body, "\(said)")
      #expect(report.contains("two@-bad-.example.com"))
      #expect(report.contains("Status: 5.1.3"))
      #expect(!report.contains("one@example.com"))
      try gateway.expectBalance()
      try gateway.stop()
    }

    @Test func `an originator that is no address ends as a dead letter, with nobody asked to return`() throws {
      let sink = try RecordingSink()
      let gateway = try GatewayProcess(
        modules: ["address: { file: libaddress-validator.so }"],
        stages: Self.validating + Pipelines.relay(to: sink.port).dropFirst())
      let said = try Raw.mail(
        to: try gateway.port(), from: "</G=Ann/C=US/>", recipients: ["<bob@example.com>"],
        content: "Subject: from X.400\\r\\n\\r\\nkept\\r\\n")
      #expect(said.dropLast().last?.hasPrefix("250 2.") == true, "\(said)")
      let letter = try gateway.deadLetter()
      #expect(letter.text.contains("/G=Ann/C=US/"))
      #expect(letter.text.contains("5.1.7"))
      #expect(letter.content.hasSuffix("kept\r\n"))
      try gateway.expectBalance()
      #expect(try sink.arrivals.isEmpty)
      try gateway.stop()
    }
  }
}

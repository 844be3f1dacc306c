import Foundation
import Testing

extension IntegrationTests {
  @Suite(.serialized)
  struct OddCases {
    @Test func `odd commands and contents are refused by name, and the session goes on`() throws {
      let sink = try RecordingSink(["--keep"])
      let gateway = try GatewayProcess(stages: Pipelines.relay(to: sink.port), spool: "max_message: 1MiB")
      let said = try Raw.talk(
        to: try gateway.port(),
        [
          (1, Raw.hello), (1, "FROB x\\r\\n"), (1, "MAIL FROM:<ann@example.org> SIZE=99999999\\r\\n"),
          (1, "MAIL FROM:<ann@example.org>\\r\\n"), (1, "RCPT TO:<no address>\\r\\n"), (1, "RCPT TO:<bob@example.com>\\r\\n"),
          (1, "DATA\\r\\n"), (1, "Subject: bare\\r\\n\\r\\na\\nb\\r\\n.\\r\\n"),
          // Everything at once, which PIPELINING allows.
          (4, "RSET\\r\\nMAIL FROM:<ann@example.org>\\r\\nRCPT TO:<piped@example.com>\\r\\nDATA\\r\\n"),
          (2, "Subject: piped\\r\\n\\r\\n..dot\\r\\n.\\r\\nQUIT\\r\\n"),
        ])
      let replies = said.filter { $0.dropFirst(3).first != "-" }
      let expected = [
        "220 ", "250 ", "500 5.5.", "552 5.3.4", "250 2.1.0", "501 5.1.3", "250 2.1.5", "354 ", "5", "250 ", "250 ", "250 ",
        "354 ", "250 2.", "221 ",
      ]
      #expect(replies.count == expected.count)
      for (reply, start) in zip(replies, expected) { #expect(reply.hasPrefix(start), "\(said.joined(separator: "\n"))") }
      let arrivals = try sink.wait(forRecipientsIn: ["piped@example.com"])
      #expect(arrivals.map(\.body) == [".dot\r\n"])
      try gateway.expectBalance(accepted: 1)
      try gateway.stop()
    }

    @Test func `eight-bit contents and addresses beyond ASCII keep their word on the way`() throws {
      let sink = try RecordingSink(["--keep"])
      let gateway = try GatewayProcess(stages: Pipelines.relay(to: sink.port))
      let port = try gateway.port()
      _ = try Raw.mail(
        to: port, from: "<ann@example.org> BODY=8BITMIME", recipients: ["<bob@example.com>"],
        content: "Subject: 8\\r\\n\\r\\nGr\\xc3\\xbc\\xc3\\x9fe\\r\\n")
      // \u{f6} in UTF-8.
      _ = try Raw.mail(
        to: port, from: "<j\\xc3\\xb6rg@example.org> SMTPUTF8", recipients: ["<bj\\xc3\\xb6rn@example.com>"])
      let arrivals = try sink.wait(forRecipientsIn: ["bob@example.com", "björn@example.com"])
      let eight = try #require(arrivals.first { $0.recipients == ["bob@example.com"] })
      #expect(eight.fromParameters.contains("BODY=8BITMIME"))
      #expect(eight.body == "Grüße\r\n")
      let international = try #require(arrivals.first { $0.recipients == ["björn@example.com"] })
      #expect(international.from == "<jörg@example.org>")
      #expect(international.fromParameters.contains("SMTPUTF8"))
      #expect(international.header.replacing("\r\n ", with: " ").contains("with UTF8SMTP id"), "\(international.header)")
      try gateway.expectBalance(accepted: 2)
      try gateway.stop()
    }

    @Test func `swaks gets its mail through, in the clear and after STARTTLS`() throws {
      let sink = try RecordingSink(["--keep"])
      let place = try GatewayProcess.makeDirectory()
      let certificates = try Certificates(in: place)
      let tls = "tls: { certificate: \"\(certificates.certificate)\", key: \"\(certificates.key)\" }"
      let gateway = try GatewayProcess(stages: Pipelines.relay(to: sink.port, source: tls), directory: place)
      let server = "127.0.0.1:\(try gateway.port())"
      let common = ["swaks", "--server", server, "--from", "ann@example.org", "--helo", "client.example.org"]
      try Program.run(common + ["--to", "clear@example.com", "--pipeline"])
      try Program.run(
        common + ["--to", "tls@example.com", "--tls", "--tls-verify", "--tls-ca-path", certificates.authority])
      let arrivals = try sink.wait(forRecipientsIn: ["clear@example.com", "tls@example.com"])
      for arrival in arrivals {
        let word = arrival.recipients == ["tls@example.com"] ? "with ESMTPS" : "with ESMTP id"
        #expect(arrival.header.replacing("\r\n ", with: " ").contains(word), "\(arrival.header)")
        #expect(arrival.body?.contains("This is a test mailing") == true)
      }
      try gateway.expectBalance(accepted: 2)
      try gateway.stop()
    }
  }
}

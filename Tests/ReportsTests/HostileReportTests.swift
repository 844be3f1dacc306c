import MailModel
import Testing

@testable import Reports

/// Failure modes A9 and C22: a report is made, and stays in its lines, whatever it has to repeat.
@Suite struct HostileReportTests {
  static let hostile = [
    "", " ", "\0", "\r\n", "bob@example.net\r\nBcc: victim@example.net", "a\r\n\r\n--=_report-01JD5M2Q3RABC-0=--\r\n",
    "\"(<[unbalanced", "\u{1B}[2J", "\u{202E}gpj", "  two  spaces  ", "jörg@bücher.example", "\u{85}\u{2028}",
    "%s%n%x", String(repeating: "\r\n", count: 1000), String(repeating: "(", count: 65536),
    String(repeating: "ü", count: 32768), String(repeating: " ", count: 65536), String(repeating: "a ", count: 500),
  ]

  @Test(arguments: hostile)
  func `hostile text in every place stays text`(_ text: String) throws {
    for reversePath in [Address.smtp("alice@example.org"), .smtp("a" + text), Address(.other, "a" + text)] {
      for smtputf8 in [false, true] {
        var about = message(
          [Recipient(.smtp(text), originalRecipient: OriginalRecipient(type: text, text: text))], from: reversePath,
          content: Array(text.utf8), envelopeID: text, smtputf8: smtputf8)
        about.node = text
        about.queueID = text
        let remote = RemoteReply(host: text, type: text, text: text)
        let outcome = DSN.make(
          about: about, recipients: [failed(0, DeliveryStatus(.badDestinationMailbox, text, remote: remote))],
          contentHead: Array(text.utf8), messageID: text, now: now)
        if reversePath.kind == .smtp, reversePath.validate(role: .originator, smtputf8: true) != nil {
          guard case .nobodyToTell(.unusableReversePath) = outcome else {
            Issue.record("\(outcome)")
            return
          }
          continue
        }
        guard case .report(let report) = outcome else {
          Issue.record("no report")
          return
        }
        checkLines(report)
        #expect(report.envelope.smtputf8 == !reversePath.text.utf8.allSatisfy { $0 < 0x80 })
        #expect(report.content.count < 4 * 1024 * 1024)
        let fields = report.content.split(separator: 0x0A).prefix { $0 != [0x0D] }
          .compactMap {
            $0.first == 0x20 || $0.first == 0x2D ? nil : String(decoding: $0.prefix { $0 != 0x3A }, as: UTF8.self)
          }
        #expect(
          fields.prefix(8).elementsEqual([
            "Date", "From", "To", "Subject", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type",
          ]))
      }
    }
  }

  @Test(arguments: hostile)
  func `another implementation reads the parts and the fields`(_ text: String) throws {
    let recipient = Recipient(.smtp(text), originalRecipient: OriginalRecipient(type: "rfc822", text: text))
    let remote = RemoteReply(host: text, type: "smtp", text: text)
    let report = try make(
      message(
        [recipient], from: Address(.other, "a" + text.unicodeScalars.filter { $0.isASCII }.map(String.init).joined()),
        content: original, envelopeID: text),
      [failed(0, DeliveryStatus(.badDestinationMailbox, text, remote: remote))])
    let mail = try PythonMail(report.content)
    #expect(
      mail.parts.map(\.type) == ["multipart/report", "text/plain", "message/delivery-status", "text/rfc822-headers"])
    #expect(mail.parts.allSatisfy { $0.defects.isEmpty }, "\(mail.parts.map(\.defects))")
    #expect(mail.parts[0].header.count == 8)
    #expect(
      mail.parts[2].blocks.map { $0.map { $0[0] } } == [
        ["Original-Envelope-Id", "Reporting-MTA", "Arrival-Date", "X-Interchange-Queue-ID"],
        ["Original-Recipient", "Final-Recipient", "Action", "Status", "Remote-MTA", "Diagnostic-Code"],
      ])
  }

  @Test func `the failing address is repeated to the letter`() throws {
    let long = String(repeating: "(", count: 65536)
    let report = try make(message([Recipient(.smtp(long))]), [failed(0)])
    let text = String(decoding: report.content, as: UTF8.self)
    let unfolded = text.replacing("\r\n ", with: "")
    #expect(unfolded.contains("Final-Recipient: rfc822;\(long)\r\n"))
    let spaces = try make(message([Recipient(.smtp(" bob  @example.net "))]), [failed(0)])
    #expect(
      String(decoding: spaces.content, as: UTF8.self).contains("rfc822; \\x{20}bob \\x{20}@example.net\\x{20}\r\n"))
  }

  @Test func `a hundred thousand failures are summarised`() throws {
    let count = 100_000
    let recipients = (0..<count).map { Recipient(.smtp("recipient\($0)@example.net")) }
    let report = try make(message(recipients), (0..<count).map { failed($0) })
    checkLines(report)
    #expect(report.recipientIndices.count == count)
    #expect(report.content.count < 1_200_000)
    #expect(report.leftOutCount > 90_000)
    let mail = try PythonMail(report.content)
    #expect(mail.parts[2].blocks.count == 1 + count - report.leftOutCount)
    #expect(mail.parts[2].blocks[0].contains(["X-Interchange-Recipients-Left-Out", "\(report.leftOutCount)"]))
    #expect(mail.parts[1].payload.contains("... and 99900 more recipients."))
    #expect(mail.parts[1].payload.contains("recipient99@example.net"))
    #expect(!mail.parts[1].payload.contains("recipient100@example.net"))
  }
}

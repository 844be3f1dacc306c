import MailModel
import Testing

@testable import Reports

/// 2026-11-20 21:30:20 UTC.
let now = WallTime(millisecondsSinceEpoch: 1_795_210_220_000)
let original = Array("From: <alice@example.org>\r\nSubject: hello\r\n\r\nbody line\r\n".utf8)

func message(
  _ recipients: [Recipient], from reversePath: Address? = .smtp("alice@example.org"), content: [UInt8] = original,
  returning: ReturnContent? = nil, envelopeID: String? = nil, smtputf8: Bool = false, generation: UInt8 = 0
) -> ReportedMessage {
  ReportedMessage(
    envelope: Envelope(
      reversePath: reversePath, recipients: recipients, envelopeID: envelopeID, returnContent: returning,
      smtputf8: smtputf8),
    acceptedAt: WallTime(millisecondsSinceEpoch: 1_795_210_000_000), generation: generation,
    contentOctets: UInt64(content.count), node: "gw1.example.com", queueID: "01JD5M2Q3RABC")
}

let noSuchUser = DeliveryStatus(.badDestinationMailbox, "no such mailbox")

func failed(_ index: Int, _ status: DeliveryStatus = noSuchUser) -> ReportedRecipient {
  ReportedRecipient(index: index, disposition: .failed, status: status)
}

func make(_ message: ReportedMessage, _ recipients: [ReportedRecipient], head: [UInt8] = original) throws -> DSN {
  let outcome = DSN.make(
    about: message, recipients: recipients, contentHead: head, messageID: "r1@gw1.example.com", now: now)
  guard case .report(let report) = outcome else {
    Issue.record("no report: \(outcome)")
    throw CancellationError()
  }
  return report
}

func reason(_ message: ReportedMessage, _ recipients: [ReportedRecipient]) -> DSN.Reason? {
  let outcome = DSN.make(
    about: message, recipients: recipients, contentHead: original, messageID: "r1@gw1.example.com", now: now)
  guard case .nobodyToTell(let reason) = outcome else { return nil }
  return reason
}

/// What must hold for every report.
func checkLines(_ report: DSN) {
  let octets = report.content
  var column = 0
  for (index, octet) in octets.enumerated() {
    switch octet {
    case 0x0D: #expect(index + 1 < octets.count && octets[index + 1] == 0x0A)
    case 0x0A:
      #expect(index > 0 && octets[index - 1] == 0x0D)
      if column > 998 { Issue.record("a line of \(column) octets") }
      column = 0
      continue
    case 0x20...0x7E, 0x80..., 0x09: column += 1
    default: Issue.record("control character \(octet) at \(index)")
    }
  }
  #expect(octets.suffix(2) == [0x0D, 0x0A])
  #expect(report.envelope.reversePath == nil)
  #expect(report.envelope.recipients.count == 1)
  #expect(report.envelope.recipients[0].notify == .never)
  let isEightBit = !octets.allSatisfy { $0 < 0x80 }
  #expect((report.envelope.bodyType == .eightBitMIME) == isEightBit)
}

@Suite struct DSNTests {
  // Hand-made from RFC 3464 §2 and its appendix E.
  @Test func `a failure is told in words, in fields and with the header`() throws {
    let remote = RemoteReply(host: "mx.example.net", type: "smtp", text: "550 5.1.1 <bob@example.net>: unknown user")
    let recipient = Recipient(
      .smtp("bob@example.net"), notify: [.failure],
      originalRecipient: OriginalRecipient(type: "rfc822", text: "bob@example.com"))
    var reported = failed(0, DeliveryStatus(.badDestinationMailbox, "refused", remote: remote))
    reported.lastAttemptAt = now
    let report = try make(message([recipient], envelopeID: "QQ314159"), [reported])
    checkLines(report)
    let expected = """
      Date: Fri, 20 Nov 2026 21:30:20 +0000
      From: Mail Delivery System <MAILER-DAEMON@gw1.example.com>
      To: alice@example.org
      Subject: Undelivered Mail Returned to Sender
      Message-ID: <r1@gw1.example.com>
      Auto-Submitted: auto-replied
      MIME-Version: 1.0
      Content-Type: multipart/report; report-type=delivery-status;
       boundary="=_report-01JD5M2Q3RABC-0="

      This is a MIME-encapsulated delivery report.

      --=_report-01JD5M2Q3RABC-0=
      Content-Type: text/plain; charset=us-ascii

      This is the mail system at host gw1.example.com.

      Your message could not be delivered to the following recipients. No further
      attempt will be made.

      <bob@example.net>
          5.1.1 refused
          mx.example.net said: 550 5.1.1 <bob@example.net>: unknown user

      The header of your message is attached.

      --=_report-01JD5M2Q3RABC-0=
      Content-Type: message/delivery-status

      Original-Envelope-Id: QQ314159
      Reporting-MTA: dns; gw1.example.com
      Arrival-Date: Fri, 20 Nov 2026 21:26:40 +0000
      X-Interchange-Queue-ID: 01JD5M2Q3RABC

      Original-Recipient: rfc822; bob@example.com
      Final-Recipient: rfc822; bob@example.net
      Action: failed
      Status: 5.1.1
      Remote-MTA: dns; mx.example.net
      Diagnostic-Code: smtp; 550 5.1.1 <bob@example.net>: unknown user
      Last-Attempt-Date: Fri, 20 Nov 2026 21:30:20 +0000

      --=_report-01JD5M2Q3RABC-0=
      Content-Type: text/rfc822-headers

      From: <alice@example.org>
      Subject: hello

      --=_report-01JD5M2Q3RABC-0=--

      """
    let lines = String(decoding: report.content, as: UTF8.self).split(
      separator: "\r\n", omittingEmptySubsequences: false)
    #expect(lines.joined(separator: "\n") == expected)
    #expect(report.recipientIndices == [0])
    #expect(report.leftOutCount == 0)
    #expect(report.envelope.recipients[0].address == .smtp("alice@example.org"))

    let mail = try PythonMail(report.content)
    #expect(
      mail.parts.map(\.type) == ["multipart/report", "text/plain", "message/delivery-status", "text/rfc822-headers"])
    #expect(mail.parts.allSatisfy { $0.defects.isEmpty }, "\(mail.parts.map(\.defects))")
    #expect(mail.parts[2].blocks.count == 2)
    #expect(
      mail.parts[2].blocks[1].map { $0[0] } == [
        "Original-Recipient", "Final-Recipient", "Action", "Status", "Remote-MTA", "Diagnostic-Code",
        "Last-Attempt-Date",
      ])
  }

  @Test func `a delay says until when, and that nothing is to be done`() throws {
    var reported = ReportedRecipient(index: 0, disposition: .delayed, status: DeliveryStatus(.noAnswer, "no answer"))
    reported.willRetryUntil = WallTime(millisecondsSinceEpoch: 1_795_642_000_000)
    let report = try make(message([Recipient(.smtp("bob@example.net"))], returning: .full), [reported])
    checkLines(report)
    let mail = try PythonMail(report.content)
    #expect(mail[0, "Subject"] == "Delayed Mail (still being retried)")
    #expect(mail.parts[2].blocks[1].contains(["Will-Retry-Until", "Wed, 25 Nov 2026 21:26:40 +0000"]))
    #expect(mail.parts[1].payload.contains("until Wed, 25 Nov 2026 21:26:40 +0000"))
    // RET speaks of failures only (RFC 3461 §4.3).
    #expect(mail.parts[3].type == "text/rfc822-headers")
  }

  @Test func `who is told about what follows NOTIFY`() throws {
    let rows: [(Notify?, Set<Disposition>)] = [
      (nil, [.failed, .delayed]), (.never, []), (.success, [.delivered, .relayed, .expanded]), (.failure, [.failed]),
      (.delay, [.delayed]), ([.failure, .delay], [.failed, .delayed]),
      ([.success, .failure, .delay], [.failed, .delayed, .delivered, .relayed, .expanded]),
    ]
    for (notify, told) in rows {
      for disposition in [Disposition.failed, .delayed, .delivered, .relayed, .expanded] {
        let about = message([Recipient(.smtp("bob@example.net"), notify: notify)])
        let reported = ReportedRecipient(index: 0, disposition: disposition, status: DeliveryStatus(.success, "done"))
        #expect(
          reason(about, [reported]) == (told.contains(disposition) ? nil : .notRequested),
          "\(String(describing: notify)) \(disposition)")
      }
    }
    let about = message([Recipient(.smtp("bob@example.net"), notify: .success)])
    let passedOn = ReportedRecipient(
      index: 0, disposition: .relayed, status: DeliveryStatus(.success, "passed on"), dsnPassedOn: true)
    #expect(reason(about, [passedOn]) == .notRequested)
    #expect(reason(about, []) == .notRequested)
  }

  @Test func `of several recipients only those who asked are told about`() throws {
    let recipients = [Notify?.none, .never, .success, [.failure]].enumerated().map { index, notify in
      Recipient(.smtp("r\(index)@example.net"), notify: notify)
    }
    let report = try make(message(recipients), (0..<4).map { failed($0) })
    #expect(report.recipientIndices == [0, 3])
    let text = String(decoding: report.content, as: UTF8.self)
    #expect(text.contains("r3@example.net"))
    #expect(!text.contains("r1@example.net"))
  }

  @Test func `nobody is told about a report, or at a null reverse-path`() {
    let recipients = [Recipient(.smtp("bob@example.net"))]
    #expect(reason(message(recipients, from: nil), [failed(0)]) == .nullReversePath)
    #expect(reason(message(recipients, from: .smtp("")), [failed(0)]) == .nullReversePath)
    #expect(reason(message(recipients, from: Address(.msmail, "NET/PO/Postmaster")), [failed(0)]) == .nullReversePath)
    #expect(reason(message(recipients, from: Address(.msmail, "///")), [failed(0)]) == .nullReversePath)
    #expect(reason(message(recipients, from: Address(.msmail, "NET/PO/BOB")), [failed(0)]) == nil)
    #expect(reason(message(recipients, from: .smtp("alice@")), [failed(0)]) == .unusableReversePath)
    #expect(reason(message(recipients, from: Address(.x400, "/G=Ann/C=US/")), [failed(0)]) == .unusableReversePath)
    #expect(reason(message(recipients, generation: 1), [failed(0)]) == .aboutAReport)
  }

  @Test func `other worlds' addresses carry their type`() throws {
    let recipients = [
      Recipient(Address(.x400, "/G=Ann/S=Lee/O=Acme/C=US/")), Recipient(Address(.msmail, "NET/PO/BOB")),
      Recipient(Address(.other, "fax:1")),
    ]
    let remote = RemoteReply(host: "MTA-B", type: "x400", text: "1/0 unrecognised O/R name")
    let status = DeliveryStatus(.badDestinationMailbox, "unknown", remote: remote)
    let report = try make(
      message(recipients, from: Address(.x400, "/S=Lee/C=US/")), [failed(0, status), failed(1), failed(2)])
    checkLines(report)
    let mail = try PythonMail(report.content)
    #expect(mail[0, "To"] == "\"/S=Lee/C=US/\":;")
    #expect(mail.parts[0].defects.isEmpty)
    #expect(mail.parts[2].blocks[1][0] == ["Final-Recipient", "x400; /G=Ann/S=Lee/O=Acme/C=US/"])
    #expect(mail.parts[2].blocks[1].contains(["Remote-MTA", "x400; MTA-B"]))
    #expect(mail.parts[2].blocks[1].contains(["Diagnostic-Code", "x400; 1/0 unrecognised O/R name"]))
    #expect(mail.parts[2].blocks[2][0] == ["Final-Recipient", "x-msmail; NET/PO/BOB"])
    #expect(mail.parts[2].blocks[2].contains(["Diagnostic-Code", "x-interchange; no such mailbox"]))
    #expect(mail.parts[2].blocks[3][0] == ["Final-Recipient", "x-other; fax:1"])
  }
}

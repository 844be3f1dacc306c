import MailModel
import Testing

@testable import Reports

@Suite struct ReturnedContentTests {
  private let recipients = [Recipient(.smtp("bob@example.net"))]

  private func octets(_ text: String) -> [UInt8] { Array(text.utf8) }

  private func mail(
    _ content: [UInt8], head: [UInt8]? = nil, returning: ReturnContent?, smtputf8: Bool = false,
    from: String = "alice@example.org"
  ) throws -> PythonMail {
    let report = try make(
      message(recipients, from: .smtp(from), content: content, returning: returning, smtputf8: smtputf8), [failed(0)],
      head: head ?? content)
    checkLines(report)
    let mail = try PythonMail(report.content)
    #expect(mail.parts.count == 4)
    #expect(mail.parts.allSatisfy { $0.defects.isEmpty }, "\(mail.parts.map(\.defects))")
    return mail
  }

  @Test func `the whole message comes back when RET=FULL asked and it fits`() throws {
    for (returning, type) in [
      (ReturnContent?.none, "text/rfc822-headers"), (.headers, "text/rfc822-headers"),
      (.full, "message/rfc822"),
    ] {
      let mail = try mail(original, returning: returning)
      #expect(mail.parts[3].type == type)
      #expect(mail.parts[3].payload.contains("Subject: hello"))
      #expect(mail.parts[3].payload.contains("body line") == (type == "message/rfc822"))
    }
  }

  @Test func `a message beyond the limit comes back as its header`() throws {
    let limit = Limits.returnedContentOctetsMax
    let line = String(repeating: "x", count: 98) + "\r\n"
    let start = "Subject: hello\r\n\r\n"
    let full = octets(start + String(repeating: line, count: (limit - start.utf8.count) / 100))
    #expect(try mail(full, returning: .full).parts[3].type == "message/rfc822")
    let more = full + octets(line)
    #expect(more.count > limit)
    #expect(try mail(more, returning: .full).parts[3].type == "text/rfc822-headers")
    #expect(try mail(more, head: Array(more.prefix(limit)), returning: .full).parts[3].payload == "Subject: hello\r\n")
  }

  @Test func `a header beyond the limit is cut between lines, and the reader is told`() throws {
    let line = "X-Long: " + String(repeating: "x", count: 90) + "\r\n"
    let content = octets(String(repeating: line, count: 1000))
    let mail = try mail(content, head: Array(content.prefix(Limits.returnedContentOctetsMax)), returning: .headers)
    #expect(mail.parts[3].payload == String(repeating: line, count: 500))
    #expect(mail.parts[1].payload.contains("The beginning of the header"))
  }

  @Test func `eight-bit content comes back as it is, binary only as a header`() throws {
    let eightBit = octets("Subject: hello\r\n\r\n") + [0xE9, 0xFF, 0x0D, 0x0A]
    let report = try mail(eightBit, returning: .full)
    #expect(report.parts[3].type == "message/rfc822")
    #expect(report[3, "Content-Transfer-Encoding"] == "8bit")
    for body in [[0x00, 0x0D, 0x0A], Array(repeating: 0x61, count: 999)] as [[UInt8]] {
      #expect(
        try mail(octets("Subject: hello\r\n\r\n") + body, returning: .full).parts[3].type == "text/rfc822-headers")
    }
  }

  @Test func `a header that is not ASCII travels in quoted-printable`() throws {
    let latin = octets("Subject: h") + [0xE9] + octets("llo = \t\r\nX: \u{1}\r\n\r\n")
    let report = try mail(latin, returning: .headers)
    #expect(report[3, "Content-Type"] == "text/rfc822-headers; charset=unknown-8bit")
    #expect(report.parts[3].payload == "Subject: h\u{E9}llo = \t\r\nX: \u{1}\r\n")
    let utf8 = octets("Subject: héllo\r\n\r\n")
    #expect(try mail(utf8, returning: .headers)[3, "Content-Type"] == "text/rfc822-headers; charset=utf-8")
    #expect(try mail(utf8, returning: .headers, smtputf8: true)[3, "Content-Type"] == "message/global-headers")
    let long = octets("Subject: " + String(repeating: "é", count: 5000) + "\r\n\r\n")
    let payload = try mail(long, returning: .headers).parts[3].payload
    #expect(Array(payload.unicodeScalars.map { UInt8($0.value) }) == Array(long.dropLast(2)))
    #expect(try mail(utf8, returning: .full, smtputf8: true).parts[3].type == "message/global")
  }

  @Test func `every octet survives quoted-printable`() throws {
    var content = octets("X:")
    for octet in UInt8(0)...255 where octet != 0x0A && octet != 0x0D { content += [octet, octet, 0x20, 0x0D, 0x0A] }
    content += [0x0D, 0x0A]
    #expect(!ReturnedContent.quotedPrintable(content[...]).split(separator: 0x0D).contains { $0.last == 0x20 })
    let payload = try mail(content, returning: .headers).parts[3].payload
    #expect(payload.unicodeScalars.map { UInt8($0.value) } == Array(content.dropLast(2)))
  }

  @Test func `lone ends of lines are mended and an empty content is none`() throws {
    #expect(
      try mail(octets("Subject: a\nX: b\rY: c\n\nbody"), returning: .full).parts[3].payload
        == "Subject: a\r\nX: b\r\nY: c\r\n\r\nbody\r\n")
    #expect(try mail([], returning: .headers).parts[3].payload == "")
    #expect(try mail(octets("\r\nbody"), returning: .headers).parts[3].payload == "")
    #expect(try mail(octets("no header at all"), returning: .headers).parts[3].payload == "no header at all\r\n")
  }

  @Test func `the boundary occurs nowhere in the parts`() throws {
    let content = octets(
      "Subject: --=_report-01JD5M2Q3RABC-0=\r\n\r\n--=_report-01JD5M2Q3RABC-7=\r\n"
        + "--=_report-01JD5M2Q3RABC-99999999999999999999=\r\n--=_report-01JD5M2Q3RABC-\r\n")
    let report = try mail(content, returning: .full)
    #expect(report[0, "Content-Type"]?.contains("\"=_report-01JD5M2Q3RABC-8=\"") == true)
    let many = octets(String(repeating: "=_report-01JD5M2Q3RABC-", count: 2000))
    #expect(DSN.nextNumber(after: "=_report-01JD5M2Q3RABC-", in: [many]) == 1)
  }

  @Test func `an originator who is not ASCII gets a report in UTF-8`() throws {
    let report = try make(
      message([Recipient(.smtp("jörg@bücher.example"))], from: .smtp("álice@example.org"), smtputf8: true), [failed(0)])
    checkLines(report)
    #expect(report.envelope.smtputf8)
    let text = String(decoding: report.content, as: UTF8.self)
    #expect(text.contains("\r\nTo: álice@example.org\r\n"))
    #expect(text.contains("\r\nContent-Type: message/global-delivery-status\r\n"))
    #expect(text.contains("\r\nFinal-Recipient: utf-8; jörg@bücher.example\r\n"))
    let ascii = try make(message([Recipient(.smtp("jö+rg@bücher.example"))], smtputf8: true), [failed(0)])
    #expect(!ascii.envelope.smtputf8)
    #expect(ascii.content.allSatisfy { $0 < 0x80 })
    #expect(
      String(decoding: ascii.content, as: UTF8.self)
        .contains("\r\nFinal-Recipient: utf-8; j\\x{F6}\\x{2B}rg@b\\x{FC}cher.example\r\n"))
  }
}

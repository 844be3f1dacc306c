import MailModel
import Testing

@testable import InternetMessage

private func text(_ octets: some Sequence<UInt8>) -> String { String(decoding: Array(octets), as: UTF8.self) }

@Suite struct HeaderTextTests {
  @Test func `nothing that ends a line or moves a cursor survives`() {
    let hostile = "a\r\nBcc: x\u{0}\u{1B}[2J\u{7F}\u{85}\u{2028}\u{202E}b"
    #expect(HeaderText.neutralised(hostile, allowUTF8: true) == "a  Bcc: x  [2J    b")
    #expect(HeaderText.neutralised("Grüße") == "Gr??e")
    #expect(HeaderText.neutralised("Grüße", allowUTF8: true) == "Grüße")
    #expect(HeaderText.neutralised("aüb", allowUTF8: true, octetsMax: 2) == "a")
  }

  @Test func `a field folds at spaces to 78 octets and at characters to 998`() {
    let words = Array(repeating: "word", count: 60).joined(separator: " ")
    let folded = text(HeaderText.field("Comments", words))
    let lines = folded.utf8.split(separator: 0x0A)
    #expect(lines.allSatisfy { $0.count - 1 <= 78 })
    #expect(lines.dropLast().allSatisfy { $0.count > 70 })
    #expect(folded.replacing("\r\n ", with: " ") == "Comments: \(words)\r\n")

    let long = String(repeating: "ü", count: 3_000)
    let broken = text(HeaderText.field("Subject", long, allowUTF8: true))
    for line in broken.split(separator: "\r\n") {
      #expect(line.utf8.count <= 998)
      #expect(!line.utf8.dropFirst().isEmpty)
    }
    #expect(broken.replacing("\r\n ", with: "") == "Subject: \(long)\r\n")
  }

  @Test func `folding keeps the field's name with a first word that is too long`() {
    let word = String(repeating: "x", count: 100)
    #expect(text(HeaderText.field("A\r\n:B", "\(word) y")) == "AB: \(word)\r\n y\r\n")
    #expect(text(HeaderText.field("A", "")) == "A:\r\n")
  }
}

@Suite struct ReceivedFieldTests {
  static let date = WallTime(millisecondsSinceEpoch: 880_127_706_000)

  /// Shape of RFC 5321 §4.4 and its example in appendix D.3.
  @Test func `a received field names client, server, protocol, identifier and the one recipient`() {
    let field = ReceivedField(
      helloName: "bar.com", clientName: "mail.bar.com", clientAddress: "192.0.2.7", hostName: "foo.com",
      protocolName: "ESMTPS", identifier: "0Q", recipient: "Jones@XYZ.COM", date: Self.date)
    #expect(
      text(field.render())
        == "Received: from bar.com (mail.bar.com [192.0.2.7]) by foo.com with ESMTPS id 0Q\r\n"
        + " for <Jones@XYZ.COM>; Fri, 21 Nov 1997 15:55:06 +0000\r\n")
  }

  @Test func `an IPv6 client is written with its tag, and no name is unknown`() {
    let field = ReceivedField(
      helloName: nil, clientAddress: "2001:db8::1", hostName: "foo.com", protocolName: "SMTP", identifier: "0Q",
      date: Self.date)
    #expect(
      text(field.render())
        == "Received: from unknown ([IPv6:2001:db8::1]) by foo.com with SMTP id 0Q; Fri,\r\n 21 Nov 1997 15:55:06 +0000\r\n"
    )
  }

  @Test(
    arguments: [
      "x) by evil.example (y", "a\r\nBcc: b@c", "a;b", "\u{1B}[2J", "ü", String(repeating: "h", count: 5_000), "(((",
      "<>", "",
    ])
  func `a hostile name cannot leave its place`(name: String) {
    let field = ReceivedField(
      helloName: name, clientName: name, clientAddress: name, hostName: "foo.com", protocolName: "ESMTP",
      identifier: "0Q", recipient: name, date: Self.date)
    let rendered = text(field.render())
    let unfolded = rendered.replacing("\r\n ", with: " ")
    #expect(unfolded.hasSuffix("\r\n"))
    #expect(unfolded.dropLast(1).allSatisfy { $0.isASCII && $0 >= " " })
    #expect(unfolded.filter { $0 == ";" }.count == 1)
    #expect(unfolded.filter { $0 == "(" }.count == 1)
    #expect(unfolded.filter { $0 == ")" }.count == 1)
    #expect(unfolded.contains(" by foo.com with ESMTP id 0Q"))
    for line in rendered.utf8.split(separator: 0x0A) { #expect(line.count <= 999) }
  }
}

@Suite struct HeaderSectionTests {
  /// RFC 5322 appendix A.5 and A.6.3 in parts: folds, and white space before the colon.
  static let message = Array(
    "From: Pete(A nice \\) chap) <pete@silly.test>\r\nTo  :A Group(Some people)\r\n     :Chris Jones;\r\nSubject:\r\nDate : Thu\r\n\r\nbody: x\r\n"
      .utf8)

  @Test func `fields are cut and unfolded`() {
    let section = HeaderSection(Self.message[...])
    #expect(section.fields.map(\.name) == ["From", "To", "Subject", "Date"])
    #expect(section.first("to")?.text == "A Group(Some people)     :Chris Jones;")
    #expect(section.first("SUBJECT")?.text == "")
    #expect(section.first("body") == nil)
    #expect(section.bodyIndex.map { text(Self.message[$0...]) } == "body: x\r\n")
  }

  @Test func `every beginning of a header is cut without a trap, and LF alone will do`() {
    for end in 0...Self.message.count {
      let section = HeaderSection(Self.message[..<end])
      #expect(section.fields.count <= 4)
    }
    let section = HeaderSection(Array("A: 1\nB: 2\n\nx".utf8)[...])
    #expect(section.fields.map(\.text) == ["1", "2"])
    #expect(section.bodyIndex == 11)
  }

  @Test func `a line that is no field begins the body`() {
    let section = HeaderSection(Array("A: 1\r\nno colon here\r\nB: 2\r\n\r\n".utf8)[...])
    #expect(section.fields.map(\.name) == ["A"])
    #expect(section.bodyIndex == 6)
    #expect(HeaderSection(Array(" fold first\r\n".utf8)[...]).fields.isEmpty)
    #expect(HeaderSection(Array(": no name\r\n".utf8)[...]).bodyIndex == 0)
  }

  @Test func `fields beyond the bound are passed over and said`() {
    let many = String(repeating: "A: x\r\n", count: 20) + "\r\n"
    let section = HeaderSection(Array(many.utf8)[...], fieldsMax: 10)
    #expect(section.fields.count == 10)
    #expect(section.isTruncated)
    #expect(section.bodyIndex == many.utf8.count)
  }

  @Test func `a header of a hundred thousand folds and one of a hundred thousand fields take one pass`() {
    let folds = Array(("A: x" + String(repeating: "\r\n y", count: 100_000) + "\r\n\r\n").utf8)
    #expect(HeaderSection(folds[...]).fields.count == 1)
    let fields = Array((String(repeating: "A: x\r\n", count: 100_000) + "\r\n").utf8)
    #expect(HeaderSection(fields[...], fieldsMax: 200_000).fields.count == 100_000)
  }

  @Test func `the collector finds the end however content is cut, and stops at its bound`() {
    for size in 1...Self.message.count {
      var collector = HeaderCollector()
      for start in stride(from: 0, to: Self.message.count, by: size) {
        collector.take(Self.message[start..<min(start + size, Self.message.count)])
      }
      #expect(collector.isDone && !collector.isTruncated)
      #expect(text(collector.octets).hasSuffix("Date : Thu\r\n\r\n"))
      var bounded = HeaderCollector(octetsMax: 10)
      for start in stride(from: 0, to: Self.message.count, by: size) {
        bounded.take(Self.message[start..<min(start + size, Self.message.count)])
      }
      #expect(bounded.isTruncated)
      #expect(bounded.octets.count == 10)
    }
  }
}

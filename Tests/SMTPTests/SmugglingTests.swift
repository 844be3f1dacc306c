import MailModel
import Testing

@testable import SMTP

/// Ends of content that some reader has taken for one (CVE-2023-51764, -51765, -51766), each followed by what would then
/// be commands. Here each is content up to the real end.
@Suite struct SmugglingTests {
  static let variants = [
    "\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\n.\r\r\n", "\r\n.\r\r\n", "\r\r\n.\n",
    "\r\n\0.\r\n",
    "\r\n.\0\r\n", "\n.\r", "\r.\n",
  ]

  static let smuggled = "MAIL FROM:<evil@x.example>\r\nRCPT TO:<victim@x.example>\r\nDATA\r\nsmuggled\r\n.\r\n"

  static func server(_ badOctets: SMTPServerSettings.BadOctets) -> ServerHarness {
    var settings = SMTPServerSettings.test
    settings.badOctets = badOctets
    var server = ServerHarness(settings)
    server.start()
    server.receive("EHLO c.example\r\n")
    server.receive("MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n")
    _ = server.takeSent()
    return server
  }

  @Test(arguments: variants, [1, 2, 3, 1_000])
  func `what only looks like the end is refused once, at the end`(variant: String, size: Int) {
    var server = Self.server(.refuse)
    let octets = Array(("Subject: x\r\n\r\nbody" + variant + Self.smuggled).utf8)
    for start in stride(from: 0, to: octets.count, by: size) {
      server.receive(Array(octets[start..<min(start + size, octets.count)]))
    }
    let reply = server.takeSent()
    #expect(reply.hasPrefix("550 5.") && reply.utf8.count(where: { $0 == 0x0A }) == 1)
    #expect(server.contents.isEmpty && server.abandoned == 1 && server.envelopes.count == 1)
    server.receive("NOOP\r\n")
    #expect(server.takeSent() == "250 2.0.0 OK\r\n")
  }

  @Test(arguments: variants, [1, 2, 3, 1_000])
  func `replaced by spaces, it is one message without a bad octet`(variant: String, size: Int) {
    var server = Self.server(.replaceBySpace)
    let octets = Array(("Subject: x\r\n\r\nbody" + variant + Self.smuggled).utf8)
    for start in stride(from: 0, to: octets.count, by: size) {
      server.receive(Array(octets[start..<min(start + size, octets.count)]))
    }
    #expect(server.takeSent() == "250 2.0.0 queued as Q1\r\n")
    #expect(server.contents.count == 1 && server.envelopes.count == 1)
    let content = server.contents.first ?? []
    #expect(!content.contains(0))
    for (index, octet) in content.enumerated() {
      if octet == 0x0D { #expect(index + 1 < content.count && content[index + 1] == 0x0A) }
      if octet == 0x0A { #expect(index > 0 && content[index - 1] == 0x0D) }
    }
  }

  @Test(arguments: variants)
  func `what the client sends of it is one message to any reader`(variant: String) {
    var pair = BackToBack(seed: 7)
    let content = Array(("body" + variant + Self.smuggled).utf8)
    pair.run(OutgoingMessage(envelope: BackToBackTests.envelope), content: content)
    #expect(pair.server.contents.count == 1 && pair.server.envelopes.count == 1)
    #expect(pair.server.abandoned == 0 && pair.messagesDone == 1)
  }
}

@Suite struct ContentCodingTests {
  @Test func `what is encoded in any pieces decodes in any pieces to the content with CRLF line ends`() {
    var generator = SplitMix(state: 11)
    let alphabet: [UInt8] = [0x0D, 0x0A, 0x2E, 0x61, 0x0D, 0x0A, 0x00, 0xC3, 0x2E]
    for _ in 0..<3_000 {
      let count = Int(generator.next() % 30)
      let content = (0..<count).map { _ in alphabet[Int(generator.next() % UInt64(alphabet.count))] }
      var encoder = ContentEncoder(.dotted)
      var wire: [UInt8] = []
      var rest = content[...]
      while !rest.isEmpty {
        let piece = rest.prefix(1 + Int(generator.next() % 5))
        rest = rest.dropFirst(piece.count)
        wire += encoder.encode(piece)
      }
      wire += encoder.finish() + Array("NOOP".utf8)
      var decoder = ContentDecoder(.dotted)
      var decoded: [UInt8] = []
      var isOver = false
      var input = wire[...]
      while !input.isEmpty, !isOver {
        var piece = input.prefix(1 + Int(generator.next() % 5))
        let given = piece.count
        isOver = decoder.decode(&piece, into: &decoded)
        input = input.dropFirst(given - piece.count)
      }
      #expect(isOver && String(decoding: input, as: UTF8.self) == "NOOP")
      #expect(!decoder.sawBareLineEnd && !decoder.sawNUL)
      #expect(decoded == Self.normalised(content))
    }
  }

  /// CR, LF and CRLF each end a line; NUL is a space; the last line is ended.
  private static func normalised(_ content: [UInt8]) -> [UInt8] {
    var lines: [[UInt8]] = [[]]
    var index = 0
    while index < content.count {
      switch content[index] {
      case 0x0D:
        lines.append([])
        if index + 1 < content.count, content[index + 1] == 0x0A { index += 1 }
      case 0x0A: lines.append([])
      case 0: lines[lines.count - 1].append(0x20)
      default: lines[lines.count - 1].append(content[index])
      }
      index += 1
    }
    if lines.last?.isEmpty == true { lines.removeLast() }
    return lines.flatMap { $0 + [0x0D, 0x0A] }
  }

  @Test func `lines over 998 octets are broken before a character, and nothing is lost`() {
    let content = Array(String(repeating: "ü", count: 5_000).utf8) + [0x0D, 0x0A]
    for size in [1, 7, 100_000] {
      var encoder = ContentEncoder(.dotted, lineOctetsMax: 998)
      var wire: [UInt8] = []
      for start in stride(from: 0, to: content.count, by: size) {
        wire += encoder.encode(content[start..<min(start + size, content.count)])
      }
      wire += encoder.finish()
      let text = String(decoding: wire, as: UTF8.self)
      #expect(!text.unicodeScalars.contains("\u{FFFD}"))
      for line in wire.split(separator: 0x0A) { #expect(line.count - 1 <= 998) }
      #expect(Array(text.utf8) == wire)
      #expect(wire.filter { $0 >= 0x80 } == content.filter { $0 >= 0x80 })
    }
  }

  @Test func `facts about a content are counted as it passes`() {
    var server = SmugglingTests.server(.refuse)
    server.receive("Received: x\r\nA: \u{E4}\r\n\r\n..\r\n1234567890123456\r\n.\r\n")
    #expect(server.facts.map(\.octets) == [43])
    #expect(server.facts.map(\.longestLineOctets) == [16])
    #expect(server.facts.map(\.hops) == [1])
    #expect(server.facts.map(\.hasEightBitOctets) == [true])
  }
}

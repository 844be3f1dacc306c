import MailModel
import Testing

@testable import SMTP

@Suite struct ReplyTests {
  @Test func `a reply of several lines carries its codes in each`() {
    let reply = Reply(550, .badDestinationMailbox, ["one", "two"])
    #expect(String(decoding: reply.octets, as: UTF8.self) == "550-5.1.1 one\r\n550 5.1.1 two\r\n")
    #expect(reply.description == "550 5.1.1 one two")
    #expect(String(decoding: Reply(250, nil, []).octets, as: UTF8.self) == "250 \r\n")
  }

  @Test func `text cannot end its line, nor pass 512 octets`() {
    let reply = Reply(550, nil, "a\r\n250 b\u{0}\u{E4}" + String(repeating: "x", count: 1_000))
    let octets = reply.octets
    #expect(octets.count == 512)
    #expect(String(decoding: octets.prefix(17), as: UTF8.self) == "550 a??250 b???xx")
  }

  @Test(arguments: [("a+2Bb+3Dc", "a+b=c"), ("", ""), ("+20", " "), ("x+2f", "x/")])
  func `xtext is decoded`(encoded: String, decoded: String) { #expect(XText.decode(Array(encoded.utf8)) == decoded) }

  @Test(arguments: ["+", "+2", "+G0", "=", "a b", "+00", "+0A", "+0D", "+7F", "+1B", "+80", "\u{E4}"])
  func `what is no xtext, or hides a control character, is refused`(encoded: String) {
    #expect(XText.decode(Array(encoded.utf8)) == nil)
  }

  @Test func `xtext goes there and back`() {
    let text = String(decoding: Array(UInt8(0x20)..<0x7F), as: UTF8.self)
    #expect(XText.decode(Array(XText.encode(text).utf8)) == text)
    #expect(XText.decodeUnicodeEscapes(XText.encodeUnicodeEscapes("a\\\u{E4}\u{1F600}")) == "a\\\u{E4}\u{1F600}")
    for bad in ["\\", "\\x", "\\x{", "\\x{}", "\\x{0}", "\\x{0D}", "\\x{D800}", "\\x{+41}", "\\x{1234567}"] {
      #expect(XText.decodeUnicodeEscapes(bad) == nil)
    }
  }

  @Test func `capabilities are read whatever their case and order`() {
    let reply = Reply(
      250, nil, ["MX.example.com hello", "size", "8BitMime", "X-FOO bar", "SIZE 99999999999999999999", "DSN"])
    let capabilities = ServerCapabilities(ehlo: reply)
    #expect(capabilities.name == "MX.example.com")
    #expect(capabilities.eightBitMIME && capabilities.dsn && capabilities.size && !capabilities.pipelining)
    #expect(capabilities.contentOctetsMax == nil)
  }
}

import Testing

@testable import MailModel

@Suite struct SMTPAddressTests {
  private func error(_ text: String, allowUTF8: Bool = false) -> AddressError? {
    do {
      let address = try SMTPAddress.parse(text, allowUTF8: allowUTF8)
      Issue.record("accepted as \(address)")
      return nil
    } catch {
      return error
    }
  }

  // Canonical text first; examples of RFC 5321 §4.1.3, §4.5.1, RFC 3696 §3 (with its errata), RFC 6531.
  static let accepted: [(text: String, localPart: String, domain: String, canonical: String)] = [
    ("user@example.com", "user", "example.com", "user@example.com"),
    ("User@EXAMPLE.com", "User", "EXAMPLE.com", "User@EXAMPLE.com"),
    ("u@localhost", "u", "localhost", "u@localhost"),
    ("user%other!host@relay.example", "user%other!host", "relay.example", "user%other!host@relay.example"),
    (
      "customer/department=shipping@example.com", "customer/department=shipping", "example.com",
      "customer/department=shipping@example.com"
    ),
    ("!def!xyz%abc@example.com", "!def!xyz%abc", "example.com", "!def!xyz%abc@example.com"),
    ("\"Abc@def\"@example.com", "Abc@def", "example.com", "\"Abc@def\"@example.com"),
    ("\"Abc\\@def\"@example.com", "Abc@def", "example.com", "\"Abc@def\"@example.com"),
    ("\"user\"@example.com", "user", "example.com", "user@example.com"),
    ("\"\\u\\s\\e\\r\"@example.com", "user", "example.com", "user@example.com"),
    ("\"a\\\"b\\\\c\"@example.com", "a\"b\\c", "example.com", "\"a\\\"b\\\\c\"@example.com"),
    ("\"\"@example.com", "", "example.com", "\"\"@example.com"),
    ("\".a..b.\"@example.com", ".a..b.", "example.com", "\".a..b.\"@example.com"),
    ("\"a..b\"@example.com", "a..b", "example.com", "\"a..b\"@example.com"),
    ("\" \"@example.com", " ", "example.com", "\" \"@example.com"),
    ("u@[123.255.37.2]", "u", "[123.255.37.2]", "u@[123.255.37.2]"),
    ("u@[IPv6:::12.34.56.78]", "u", "[IPv6:::12.34.56.78]", "u@[IPv6:::12.34.56.78]"),
    ("u@[X-25:1234567]", "u", "[X-25:1234567]", "u@[X-25:1234567]"),
    ("u@a-b.1.xn--bcher-kva.example", "u", "a-b.1.xn--bcher-kva.example", "u@a-b.1.xn--bcher-kva.example"),
  ]

  @Test(arguments: accepted)
  func `a mailbox is read and written with minimal quoting`(
    _ row: (text: String, localPart: String, domain: String, canonical: String)
  ) throws {
    let address = try SMTPAddress.parse(row.text, allowUTF8: false)
    #expect(address.localPart == row.localPart)
    #expect(address.domain == row.domain)
    #expect(address.description == row.canonical)
    #expect(try SMTPAddress.parse(address.description, allowUTF8: false) == address)
  }

  static let refused: [(text: String, offset: Int, says: String)] = [
    ("", 0, "empty"),
    ("user", 4, "no \"@\""),
    ("@example.com", 0, "local part is missing"),
    ("@a.example,@b.example:user@c.example", 0, "source route"),
    ("user@", 4, "nothing follows"),
    ("<user@example.com>", 0, "angle bracket"),
    ("user@example.com>", 16, "\">\""),
    ("user@example.com.", 16, "ends with a dot"),
    ("user@.example.com", 5, "starts with a dot"),
    ("user@example..com", 13, "two dots"),
    (".user@example.com", 0, "starts with a dot"),
    ("user.@example.com", 4, "ends with a dot"),
    ("us..er@example.com", 3, "two dots"),
    ("us er@example.com", 2, "a space"),
    ("us . er@example.com", 2, "a space"),
    ("user @example.com", 4, "a space"),
    (" user@example.com", 0, "a space"),
    ("user@example.com ", 16, "a space"),
    ("us\ter@example.com", 2, "a tab"),
    ("user(comment)@example.com", 4, "comment"),
    ("user@(comment)example.com", 5, "comment"),
    ("\"a\".b@example.com", 3, "quoted string"),
    ("a.\"b\"@example.com", 2, "quoted string"),
    ("\"a@example.com", 0, "no end"),
    ("\"a\\", 2, "backslash"),
    ("\"a\"", 2, "no \"@\""),
    ("a@b@c.example", 3, "second"),
    ("a@b_c.example", 3, "\"_\""),
    ("a@-b.example", 2, "starts with a hyphen"),
    ("a@b-.example", 3, "ends with a hyphen"),
    ("a@b.c-", 5, "ends with a hyphen"),
    ("us\0er@example.com", 2, "control character 0"),
    ("user@exam\0ple.com", 9, "control character 0"),
    ("us\rer@example.com", 2, "control character 13"),
    ("user@example.com\r\nRCPT TO:<x@y>", 16, "control character 13"),
    ("\"a\nb\"@example.com", 2, "control character 10"),
    ("\"a\\\nb\"@example.com", 3, "control character 10"),
    ("us\u{7F}er@example.com", 2, "control character 127"),
    ("a@[1.2.3]", 2, "IPv4"),
    ("a@[1.2.3.256]", 2, "IPv4"),
    ("a@[1.2.3.4", 2, "no end"),
    ("a@[1.2.3.4]x", 11, "follows"),
    ("a@[]", 2, "empty"),
    ("a@[IPv6:1:2:3:4:5:6:7]", 8, "IPv6"),
    ("a@[IPv6:1:2:3:4:5:6:7:8:9]", 8, "IPv6"),
    ("a@[IPv6:1::2::3]", 8, "IPv6"),
    ("a@[IPv6:1:2:3:4:5:6:7::]", 8, "IPv6"),
    ("a@[IPv6:12345::]", 8, "IPv6"),
    ("a@[IPv6:::1.2.3.4:5]", 8, "IPv6"),
    ("a@[IPv6:1:]", 8, "IPv6"),
    ("a@[IPv6:]", 8, "IPv6"),
    ("a@[-:]", 3, "tag"),
    ("a@[x:]", 4, "nothing follows"),
    ("a@[x:y z]", 6, "a space"),
  ]

  @Test(arguments: refused)
  func `what is not a mailbox is refused with its place and reason`(_ row: (text: String, offset: Int, says: String)) {
    guard let error = error(row.text) else { return }
    #expect(error.code == .badDestinationSyntax)
    #expect(error.offset == row.offset, "\(error.text)")
    #expect(error.text.contains(row.says), "\(error.text)")
    #expect(error.text.utf8.allSatisfy { (0x20...0x7E).contains($0) })
  }

  @Test func `non-ASCII text needs SMTPUTF8`() throws {
    for (text, offset) in [("jörg@example.com", 1), ("\"jö rg\"@example.com", 2), ("u@bücher.example", 3)] {
      let error = error(text)
      #expect(error?.code == EnhancedStatusCode(.permanent, 6, 7))
      #expect(error?.offset == offset)
      let address = try SMTPAddress.parse(text, allowUTF8: true)
      #expect(address.description == text)
    }
    #expect(error("a\u{85}@example.com", allowUTF8: true)?.offset == 1)
    #expect(error("a@b\u{9B}c.example", allowUTF8: true)?.offset == 3)
  }

  @Test func `domain literals have values`() throws {
    func literal(_ text: String) throws -> DomainLiteral? {
      try SMTPAddress.parse("u@\(text)", allowUTF8: false).literal
    }
    #expect(try literal("[192.0.2.1]") == .ipv4([192, 0, 2, 1]))
    #expect(try literal("[192.0.2.010]") == .ipv4([192, 0, 2, 10]))
    #expect(try literal("[IPv6:::]") == .ipv6(Array(repeating: 0, count: 16)))
    #expect(try literal("[ipv6:2001:db8::1]") == literal("[IPv6:2001:0DB8:0:0:0:0:0:1]"))
    #expect(try literal("[IPv6:::ffff:192.0.2.1]") == literal("[IPv6:0:0:0:0:0:ffff:c000:0201]"))
    #expect(try literal("[IPv6:1:2:3:4:5:6::]") == literal("[IPv6:1:2:3:4:5:6:0:0]"))
    #expect(try literal("[X25:1]") == .general(tag: "x25", content: "1"))
    #expect(try literal("example.com") == nil)
  }

  @Test func `domains compare without case, local parts with it`() throws {
    func parse(_ text: String) throws -> SMTPAddress { try SMTPAddress.parse(text, allowUTF8: true) }
    #expect(try parse("u@Example.COM") == parse("u@example.com"))
    #expect(try parse("u@Example.COM").hashValue == parse("u@example.com").hashValue)
    #expect(try parse("\"u\"@example.com") == parse("u@example.com"))
    #expect(try parse("U@example.com") != parse("u@example.com"))
    #expect(try parse("u@[IPv6:::1]") == parse("u@[IPv6:0:0:0:0:0:0:0:1]"))
    #expect(try parse("u@[127.0.0.1]") != parse("u@localhost"))
    #expect(try parse("\u{E9}@example.com") != parse("e\u{301}@example.com"))
  }

  @Test func `lengths at the bounds pass and beyond them fail`() {
    func accepts(_ text: String) -> Bool { (try? SMTPAddress.parse(text, allowUTF8: true)) != nil }
    func letters(_ count: Int) -> String { String(repeating: "a", count: count) }
    #expect(accepts(letters(64) + "@example.com"))
    #expect(!accepts(letters(65) + "@example.com"))
    #expect(accepts("\"" + letters(62) + "\"@example.com"))
    #expect(!accepts("\"" + letters(63) + "\"@example.com"))
    #expect(accepts("u@" + letters(63) + ".example"))
    #expect(!accepts("u@" + letters(64) + ".example"))
    #expect(!accepts("u@x." + letters(64)))
    #expect(accepts("u@" + String(repeating: "ü", count: 63) + ".example"))
    #expect(!accepts("u@" + String(repeating: "ü", count: 64) + ".example"))
    let longest = "u@" + String(repeating: letters(49) + ".", count: 5) + "aa"
    #expect(longest.utf8.count == 254)
    #expect(accepts(longest))
    #expect(!accepts(longest + "a"))
  }

  @Test(
    arguments: [0, 1, 255, 256, 257, 65536], ["a", ".", "\"", "\\", "(", "[", "<", "@", "ü", "\0", "\r\n", " ", ":"])
  func `any length of anything in any place is answered`(_ count: Int, _ character: String) {
    let run = String(repeating: character, count: count)
    for text in [
      run, run + "@example.com", "\"\(run)\"@example.com", "\"\(run)@x", "u@\(run)", "u@[\(run)]", "u@[\(run)",
      "u@[IPv6:\(run)]", "u@example.com\(run)", "<\(run)>", "@\(run):u@x",
    ] {
      do {
        let address = try SMTPAddress.parse(text, allowUTF8: true)
        #expect(text.utf8.count <= 254)
        #expect((try? SMTPAddress.parse(address.description, allowUTF8: true)) == address)
      } catch {
        #expect((0...text.utf8.count).contains(error.offset))
        #expect(error.text.utf8.count < 200)
      }
    }
  }
}

import MailModel
import Testing

@testable import AddressCheck

@Suite struct AddressCheckTests {
  private func problem(
    _ address: Address, as role: Address.Role = .recipient, smtputf8: Bool = false
  ) -> String? {
    AddressCheck.problem(with: address, as: role, smtputf8: smtputf8).map { "\($0.code) \($0.text)" }
  }

  @Test func `every kind is judged, and a bad address is told with its place`() {
    #expect(problem(.smtp("bob@example.com")) == nil)
    #expect(problem(Address(.x400, "/G=Ann/S=Lee/C=US/")) == nil)
    #expect(problem(Address(.msmail, "NET/PO/BOB")) == nil)
    #expect(
      problem(.smtp("bob@example.com.")) == "5.1.3 the address is not valid: the domain ends with a dot at octet 16")
    #expect(
      problem(Address(.x400, "/G=Ann/C=US/"), as: .originator)
        == "5.1.7 the originator's address is not valid: a personal name without a surname (S)")
    #expect(problem(Address(.other, "DN:/o=x")) == "5.1.2 the address is not valid: unknown address type")
  }

  @Test func `a domain beyond ASCII must have A-labels`() {
    #expect(problem(.smtp("u@bücher.example"), smtputf8: true) == nil)
    #expect(problem(.smtp("u@ΒΌΛΟΣ.example"), smtputf8: true) == nil)
    #expect(problem(.smtp("\"a@b\"@bücher.example"), smtputf8: true) == nil)
    #expect(problem(.smtp("ü@example.com"), smtputf8: true) == nil)
    #expect(problem(.smtp("u@bücher.example"))?.hasPrefix("5.6.7 ") == true)
    for domain in [
      "\u{202E}gpj.example", "a\u{200D}ü.example", "☃\u{FE0F}\u{20}".replacing(" ", with: "") + ".\u{E000}",
      String(repeating: "ü", count: 60) + ".example", "ü\u{2FFF}.example",
    ] {
      #expect(problem(.smtp("u@\(domain)"), smtputf8: true)?.hasPrefix("5.1.3 ") == true, "\(domain.unicodeScalars)")
      #expect(problem(.smtp("u@\(domain)"), as: .originator, smtputf8: true)?.hasPrefix("5.1.7 ") == true)
    }
  }

  @Test func `names become A-labels`() throws {
    #expect(try InternationalDomain.toASCII("Bücher.Example") == "xn--bcher-kva.example")
    #expect(try InternationalDomain.toASCII("faß.de") == "xn--fa-hia.de")
    #expect(try InternationalDomain.toASCII("example.com") == "example.com")
    #expect(throws: InternationalDomain.Failure.self) { try InternationalDomain.toASCII("-ü-.example") }
  }
}

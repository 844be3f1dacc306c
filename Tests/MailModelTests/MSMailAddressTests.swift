import Testing

@testable import MailModel

@Suite struct MSMailAddressTests {
  @Test(arguments: [
    "CORP/HQ/BOB", "a/b/c", "NETWORK123/POSTOFFICE/POSTMASTER", "Net/My Post/Müller", "N/P/$SYSTEM",
    "N/P/*SPECIAL", "ÄÖÜÄÖÜÄÖÜÄ/b/c",
  ])
  func `three parts of at most ten characters`(_ text: String) throws {
    #expect(try MSMailAddress.parse(text).description == text)
    #expect(try MSMailAddress.parse(text) == MSMailAddress.parse(text.uppercased()))
  }

  static let refused: [(text: String, offset: Int, says: String)] = [
    ("", 0, "empty"), ("BOB", 3, "1 parts"), ("HQ/BOB", 2, "2 parts"), ("A/B/C/D", 1, "4 parts"),
    ("/B/C", 0, "network"),
    ("A//C", 2, "post office"), ("A/B/", 4, "mailbox"), ("12345678901/B/C", 0, "more than 10"),
    ("A/12345678901/C", 2, "more than 10"), ("A/B/12345678901", 4, "more than 10"), ("A/B/BO B", 6, "a space"),
    ("A/B/BO-B", 6, "\"-\""), ("A-1/B/C", 1, "\"-\""), ("A/B_/C", 3, "\"_\""), (" A/B/C", 0, "a space"),
    ("A /B/C", 1, "a space"), ("A/B/B\0B", 5, "control"), ("A/B/BOB\r\n", 7, "control"), ("A/B/B\u{85}", 5, "control"),
    ("A/B/\u{201C}B", 4, "quotation"), ("A/B/$OTHER", 4, "\"$\""), ("A/B/\u{202E}B", 4, "control"),
  ]

  @Test(arguments: refused)
  func `what breaks the rules is refused at its place`(_ row: (text: String, offset: Int, says: String)) {
    do {
      let address = try MSMailAddress.parse(row.text)
      Issue.record("accepted as \(address)")
    } catch {
      #expect(error.offset == row.offset, "\(error.text)")
      #expect(error.text.contains(row.says), "\(error.text)")
      #expect(error.code == .badDestinationSyntax)
    }
  }

  @Test func `networks of gateways are nobody's post office`() {
    for network in ["SMTP", "x400", "*EMS", "Fax"] {
      #expect(throws: AddressError("the network is reserved for a gateway", at: 0, code: .badDestinationSystem)) {
        try MSMailAddress.parse("\(network)/PO/BOX")
      }
    }
  }

  @Test(arguments: [0, 1, 255, 256, 257, 65536], ["a", "/", " ", "ü", "\0", "\"", "(", "\r\n"])
  func `any length of anything in any part is answered`(_ count: Int, _ piece: String) {
    let run = String(repeating: piece, count: count)
    for text in [run, "\(run)/P/B", "N/\(run)/B", "N/P/\(run)"] {
      do {
        #expect(try MSMailAddress.parse(text).description == text)
      } catch let error as AddressError {
        #expect((0...text.utf8.count).contains(error.offset))
      } catch {
        Issue.record("\(error)")
      }
    }
  }
}

@Suite struct AddressValidationTests {
  @Test func `each kind is judged by its own rules, originators as strictly as recipients`() {
    let rows: [(Address, String?, String?)] = [
      (.smtp("bob@example.com"), nil, nil), (.smtp("bob"), "5.1.3", "5.1.7"), (.smtp("bob@ü.de"), "5.6.7", "5.6.7"),
      (Address(.x400, "/S=Lee/C=US/"), nil, nil), (Address(.x400, "/G=Ann/C=US/"), "5.1.3", "5.1.7"),
      (Address(.msmail, "A/B/C"), nil, nil), (Address(.msmail, "A/B"), "5.1.3", "5.1.7"),
      (Address(.msmail, "FAX/B/C"), "5.1.2", "5.1.8"), (Address(.other, "DN:/o=x/cn=y"), "5.1.2", "5.1.8"),
    ]
    for (address, recipient, originator) in rows {
      #expect(address.validate(role: .recipient, smtputf8: false)?.code.description == recipient, "\(address)")
      #expect(address.validate(role: .originator, smtputf8: false)?.code.description == originator, "\(address)")
    }
    #expect(Address.smtp("bob@ü.de").validate(role: .recipient, smtputf8: true) == nil)
    #expect(Address(.other, "").validate(role: .recipient, smtputf8: false)?.text == "unknown address type")
  }
}

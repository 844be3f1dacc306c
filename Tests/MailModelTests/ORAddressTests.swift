import Testing

@testable import MailModel

@Suite struct ORAddressTests {
  private func error(_ text: String) -> AddressError? {
    do {
      let address = try ORAddress.parse(text)
      Issue.record("accepted as \(address)")
      return nil
    } catch {
      return error
    }
  }

  private func accepts(_ text: String) -> Bool { (try? ORAddress.parse(text)) != nil }

  // RFC 2156 §4.1, RFC 1685 (X.402 Annex F), KB Q176425, Q254725, Q168136; AMHS by hand.
  static let texts = [
    "/I=J/S=Linnimouth/GQ=5/O=Marketing/C=GB/",
    "/G=Ann/S=Lee/O=Acme/C=US/",
    "/G=Ann/S=Lee/O=Acme/C=US",
    "/C=XX/A=ICAO/P=EUROCONTROL/O=AFTN/OU1=EBBRZMFP/",
    "/CN=EBBRZMFP/OU=EBBR/O=EBBR/PRMD=BELGIUM/ADMD=ICAO/C=XX/",
    "/DD.RFC-822=fred(a)widget.co.uk/O=gw/PRMD=x/ADMD= /C=FR/",
    "/RFC-822=fred(a)widget.co.uk/O=gw/C=FR/",
    "/O=a$/b$$c/S=x=y/C=US/",
    "/S=a$//C=US/",
    "/DD.a$=b=c/C=US/",
    "G=john; S=smith; O=a bank ltd; P=abl; A=snomail; C=aq",
    "C=us;A= ;P=microsoft;O=msft;S=user;DDA:RFC-822=user(a)domain.com",
    "c=US;a=;p=x;o=y;s=z;".replacing("a=;", with: "a= ;"),
    "S=semi;;colon; C=US",
    "DDA:a==b=c=d; C=US",
    "N-ID=12345; A=x; C=US",
    "X.121=31344000001; T-ID=abc",
    "PD-PN=Ann; PD-S=1 Road; PD-PC=1000; PD-C=BE; A=x; C=BE",
    "S=Müller; G=Jürgen; C=DE",
    "CN=東京; C=JP",
    "C=392; S=x",
  ]

  @Test(arguments: texts)
  func `a text is read and written back to the letter`(_ text: String) throws {
    let address = try ORAddress.parse(text)
    #expect(address.description == text)
    for style in [ORAddress.Style.slashes(closed: true), .semicolons(spaced: true, closed: false)] {
      let other = try ORAddress.parse(address.text(style))
      #expect(other == address, "\(address.text(style))")
      #expect(other.text(style) == address.text(style))
    }
  }

  @Test func `one address in two forms is one value`() throws {
    let slashes = try ORAddress.parse("/G=Ann/S=Lee/OU=Low/OU=High/O=Acme  Ltd/PRMD=p/ADMD= /C=us/")
    let semicolons = try ORAddress.parse("g = ann ; S=LEE;C=US;P=P;O=acme ltd;OU1=High;OU2=Low;")
    #expect(slashes == semicolons)
    #expect(slashes.hashValue == semicolons.hashValue)
    #expect(slashes.organizationalUnits == ["High", "Low"])
    #expect(semicolons[.givenName] == "ann")
    #expect(slashes[.administrationDomain] == " ")
    #expect(try ORAddress.parse("S=Lee;A=x;C=US") != ORAddress.parse("S=Lee;C=US"))
    let pair = try ORAddress.parse("/C=US/A= /P=x/dda.type=ms/dda.value=net$/po$/box")
    #expect(pair.domainDefined.map(\.type) == ["ms"])
    #expect(pair.domainDefined.map(\.value) == ["net/po/box"])
    #expect(try pair == ORAddress.parse("C=US;P=x;DDA:ms=net/po/box"))
    #expect(try ORAddress.parse(pair.description) == pair)
  }

  @Test func `the attributes decide the form`() throws {
    #expect(try ORAddress.parse("S=Lee;C=US").form == .mnemonic)
    #expect(try ORAddress.parse("N-ID=1;C=US;A=x").form == .numeric)
    #expect(try ORAddress.parse("X.121=1234").form == .terminal)
    #expect(try ORAddress.parse("PD-C=US;PD-PC=1;C=US;A=x").form == .postal)
  }

  static let refused: [(text: String, says: String)] = [
    ("", "empty"), ("/", "empty"), ("//", "empty attribute"), ("///", "empty attribute"), (";", "empty"),
    ("Lee", "without \"=\""), ("/S=Lee/C=US//x/", "empty attribute"), ("=x; C=US", "not known"),
    ("S=Lee; C=US; FOO=x", "not known"), ("S=Lee; C=US; DDA=x", "not known"), ("S=Lee; C=US; DDA:=x", "without a type"),
    ("S=Lee; C=US; DDA:123456789=x", "more than 8"), ("S=; C=US", "without a value"), ("S=  ; C=US", "without a value"),
    ("S=Lee; A=; C=US", "ADMD without a value"), ("S=Lee; S=Lee; C=US", "more than once"), ("S=Lee", "no country"),
    ("G=Ann; C=US", "without a surname"), ("I=A; C=US; CN=x", "without a surname"),
    ("Q=III; C=US", "without a surname"),
    ("PN=x; S=y; C=US", "whole and in parts"), ("P=x; A=y; C=US", "nobody"), ("OU=a;OU1=b;C=US", "with and without"),
    ("OU=a;OU=b;OU=c;OU=d;OU=e;C=US", "four times"), ("PD-PN=x; C=US; A=y", "PD-C"), ("N-ID=12a; C=US", "not a number"),
    ("X.121=12a", "not a number"), ("S=Lee; C=US; P=a@b", "PrintableString"), ("S=Lee; C=US; A=ü", "PrintableString"),
    ("S=L\0ee; C=US", "control"), ("S=L\nee; C=US", "control"), ("S=L\u{202E}ee; C=US", "control"),
    ("S=Lee\r\n; C=US", "control"), ("/S=Lee/C=US/$", "nothing behind"), ("/C=US/dda.type=x/", "without a value"),
    ("/C=US/dda.value=x/", "without DDA.TYPE"), ("/C=US/dda.type=x/S=y/", "missing"),
  ]

  @Test(arguments: refused)
  func `what is not an O/R address is refused with its reason`(_ row: (text: String, says: String)) {
    guard let error = error(row.text) else { return }
    #expect(error.text.contains(row.says), "\(error.text)")
    #expect(error.code == .badDestinationSyntax)
    #expect((0...row.text.utf8.count).contains(error.offset))
    #expect(error.text.utf8.allSatisfy { (0x20...0x7E).contains($0) })
  }

  // Failure mode A26.
  @Test func `a country is two letters or three digits`() {
    for country in ["", "U", "USA", "USAA", "1", "12", "1234", "U1", "12A", "Ü", "ÜÜ", " "] {
      #expect(!accepts("S=Lee; C=\(country)"), "\(country)")
      #expect(!accepts("/S=Lee/C=\(country)/"), "\(country)")
    }
    for country in ["US", "us", "840"] { #expect(accepts("S=Lee; C=\(country)")) }
  }

  // Failure mode A25; MTSUpperBounds of X.411 (1999).
  static let bounds: [(prefix: String, count: Int, character: String)] = [
    ("C=US;S=x;A=", 16, "a"), ("C=US;S=x;P=", 16, "a"), ("C=US;S=x;O=", 64, "a"), ("C=US;S=x;OU1=", 32, "a"),
    ("C=US;S=", 40, "a"), ("C=US;S=", 64, "東"), ("C=US;S=x;G=", 16, "a"), ("C=US;S=x;G=", 40, "東"),
    ("C=US;S=x;I=", 5, "a"), ("C=US;S=x;Q=", 3, "a"), ("C=US;CN=", 64, "ü"), ("X.121=1;T-ID=", 24, "a"),
    ("C=US;N-ID=", 32, "1"), ("X.121=", 16, "1"), ("C=US;DDA:x=", 128, "a"), ("C=US;PD-C=US;PD-PC=", 16, "1"),
    ("C=US;PD-C=US;PD-PC=1;PD-S=", 30, "a"),
  ]

  @Test(arguments: bounds)
  func `each attribute has its upper bound`(_ row: (prefix: String, count: Int, character: String)) {
    #expect(accepts(row.prefix + String(repeating: row.character, count: row.count)))
    for count in [0, row.count + 1, 255, 256, 257, 65536] {
      #expect(!accepts(row.prefix + String(repeating: row.character, count: count)))
    }
  }

  @Test(
    arguments: [1, 255, 256, 257, 65536], ["/", ";", "=", "$", "a", "ü", "\0", " ", "/S=a", ";S=a", "$/", ";;", "DDA:"])
  func `any length of anything is answered`(_ count: Int, _ piece: String) {
    let run = String(repeating: piece, count: count)
    for text in [
      run, "/" + run, "S=" + run, "/S=" + run + "/C=US/", "C=US;" + run, "DDA:" + run + "=x", run + "=x;C=US",
    ] {
      do {
        let address = try ORAddress.parse(text)
        #expect(try ORAddress.parse(address.description) == address)
      } catch let error as AddressError {
        #expect((0...text.utf8.count).contains(error.offset))
        #expect(error.text.utf8.count < 200)
      } catch {
        Issue.record("\(error)")
      }
    }
  }
}

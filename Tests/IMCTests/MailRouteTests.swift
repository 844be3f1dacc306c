import Testing

@testable import IMC

@Suite struct MailRouteTests {
  /// The same numbers each time (SplitMix64).
  private struct Fixed: RandomNumberGenerator {
    private var state: UInt64 = 1
    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var word = state
      word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
      word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
      return word ^ (word >> 31)
    }
  }

  struct Case: CustomTestStringConvertible {
    let testDescription: String
    let records: [MailExchange]
    let own: Set<String>
    let route: MailRoute

    init(_ name: String, _ records: [(UInt16, String)], own: Set<String> = [], _ route: MailRoute) {
      testDescription = name
      self.records = records.map { MailExchange($0.0, $0.1) }
      self.own = own
      self.route = route
    }
  }

  static let cases = [
    Case("one", [(10, "a")], .hosts([MailExchange(10, "a")])),
    Case(
      "by preference", [(30, "c"), (10, "a"), (20, "b")],
      .hosts([MailExchange(10, "a"), MailExchange(20, "b"), MailExchange(30, "c")])),
    Case("twice the same", [(10, "a"), (10, "a")], .hosts([MailExchange(10, "a")])),
    Case("null MX", [(0, "")], .refusesMail),
    Case("null MX beside a host is no null MX", [(0, ""), (10, "a")], .hosts([MailExchange(10, "a")])),
    Case("none that can be read", [], .unusable),
    Case("own is best", [(10, "gw"), (20, "b")], own: ["gw"], .loopsBack),
    Case("own is the only one", [(10, "gw")], own: ["gw"], .loopsBack),
    Case(
      "own and its equals and worse are dropped", [(10, "a"), (20, "gw"), (20, "b"), (30, "c")], own: ["gw"],
      .hosts([MailExchange(10, "a")])),
    Case(
      "a name that ends as ours is another's", [(10, "xgw"), (20, "gw")], own: ["gw"], .hosts([MailExchange(10, "xgw")])
    ),
  ]

  @Test(arguments: cases) func `a route is chosen by preference, and never to ourselves`(item: Case) {
    var random = Fixed()
    #expect(MailRoute.choose(item.records, ownNames: item.own, using: &random) == item.route)
  }

  @Test func `hosts of equal preference take turns at random`() {
    let records = ["a", "b", "c"].map { MailExchange(10, $0) } + [MailExchange(5, "first"), MailExchange(20, "last")]
    var second: Set<String> = []
    var random = SystemRandomNumberGenerator()
    for _ in 0..<200 {
      guard case .hosts(let order) = MailRoute.choose(records, ownNames: [], using: &random) else { continue }
      #expect(order.count == 5 && order[0].host == "first" && order[4].host == "last")
      second.insert(order[1].host)
    }
    // Missing one of three in 200 draws: about 10⁻³⁵.
    #expect(second == ["a", "b", "c"])
  }

  @Test(
    arguments: [
      ([0, 10, 2, 0x4D, 0x58, 1, 0x65, 0], MailExchange(10, "mx.e")), ([0, 0, 0], MailExchange(0, "")),
      ([0, 10], nil), ([0, 10, 2, 0x4D, 0x58], nil), ([0, 10, 0xC0, 0x0C], nil), ([0, 10, 1, 0x0A, 0], nil),
      ([0, 10, 1, 0x61, 0, 0], nil), ([], nil), ([0, 10, 63, 1], nil),
    ] as [([UInt8], MailExchange?)])
  func `RDATA is read strictly`(rdata: [UInt8], record: MailExchange?) {
    #expect(MailExchange(rdata: rdata) == record)
  }
}

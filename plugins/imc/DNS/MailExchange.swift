/// A host that takes mail for a domain. RFC 5321 §5.1.
struct MailExchange: Hashable {
  /// The lowest is tried first.
  var preference: UInt16
  /// In lower case, without a final dot; empty for the root.
  var host: String

  init(_ preference: UInt16, _ host: String) {
    self.preference = preference
    self.host = host
  }

  /// Reads RDATA: a preference and an uncompressed name. RFC 1035 §3.3.9. Nil when it is not that.
  init?(rdata: [UInt8]) {
    guard rdata.count >= 3 else { return nil }
    preference = UInt16(rdata[0]) << 8 | UInt16(rdata[1])
    var labels: [String] = []
    var at = 2
    while at < rdata.count, rdata[at] != 0 {
      let count = Int(rdata[at])
      guard count < 64, at + count < rdata.count else { return nil }
      let label = rdata[(at + 1)...(at + count)]
      // A name that is not made of these is no host name that could be said in EHLO, a log or a report.
      guard label.allSatisfy(Self.isHostOctet) else { return nil }
      labels.append(String(decoding: label, as: UTF8.self).lowercased())
      at += count + 1
    }
    guard at == rdata.count - 1, rdata[at] == 0 else { return nil }
    host = labels.joined(separator: ".")
  }

  private static func isHostOctet(_ octet: UInt8) -> Bool {
    switch octet {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "_"): true
    default: false
    }
  }
}

/// Who is to be tried for a domain, by its MX records alone.
enum MailRoute: Equatable {
  /// In this order.
  case hosts([MailExchange])
  /// RFC 7505: the domain takes no mail.
  case refusesMail
  /// The best host is this one: mail would come back (failure mode E8).
  case loopsBack
  /// Records, but none that can be read.
  case unusable

  /// Orders by preference, at random among equals; drops this host and whatever is not better than it.
  /// RFC 5321 §5.1.
  ///
  /// - Parameter ownNames: In lower case.
  static func choose(
    _ records: [MailExchange], ownNames: Set<String>, using random: inout some RandomNumberGenerator
  ) -> MailRoute {
    if records.allSatisfy({ $0.host.isEmpty }) { return records.isEmpty ? .unusable : .refusesMail }
    let named = Set(records.filter { !$0.host.isEmpty })
    // Sorted by name first, so that the order depends on nothing but the random numbers.
    let shuffled = named.sorted { $0.host < $1.host }.shuffled(using: &random)
    let order = shuffled.enumerated().sorted { left, right in
      (left.element.preference, left.offset) < (right.element.preference, right.offset)
    }.map(\.element)
    return without(order, from: order.first { ownNames.contains($0.host) }?.preference)
  }

  /// The same for a host that is known as this one only by its address.
  static func without(_ order: [MailExchange], from preference: UInt16?) -> MailRoute {
    guard let preference else { return .hosts(order) }
    let better = order.filter { $0.preference < preference }
    return better.isEmpty ? .loopsBack : .hosts(better)
  }
}

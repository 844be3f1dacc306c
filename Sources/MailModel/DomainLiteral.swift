/// The address inside the brackets of a domain literal. RFC 5321 §4.1.3.
public enum DomainLiteral: Hashable, Sendable {
  /// Four octets in network order.
  case ipv4([UInt8])
  /// Sixteen octets in network order.
  case ipv6([UInt8])
  /// A tag that is not IPv6, in lower case, and what follows its colon.
  case general(tag: String, content: String)

  /// Reads `[` … `]` from `start` to the end of `octets`.
  static func parse(_ octets: [UInt8], from start: Int) throws(AddressError) -> DomainLiteral {
    guard let close = octets[start...].firstIndex(of: .rightBracket) else {
      throw .at(start, "the domain literal has no end, it starts")
    }
    guard close == octets.count - 1 else { throw .at(close + 1, "something follows the domain literal") }
    let body = octets[(start + 1)..<close]
    guard !body.isEmpty else { throw .at(start, "an empty domain literal") }
    for index in body.indices where !(0x21...0x5A).contains(body[index]) && !(0x5E...0x7E).contains(body[index]) {
      throw .unexpected(body[index], at: index, in: "a domain literal")
    }
    guard let colon = body.firstIndex(of: .colon) else {
      guard let address = ipv4(body) else { throw .at(start, "not an IPv4 address: the domain literal") }
      return .ipv4(address)
    }
    let tag = body[..<colon]
    let content = body[(colon + 1)...]
    let name = String(decoding: tag.map(\.asciiLowercased), as: UTF8.self)
    if name == "ipv6" {
      guard let address = ipv6(content) else { throw .at(colon + 1, "not an IPv6 address: what starts") }
      return .ipv6(address)
    }
    let isLdh = tag.allSatisfy { octet in
      switch octet {
      case .hyphen, 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
      default: false
      }
    }
    guard !tag.isEmpty, isLdh, tag.last != .hyphen else { throw .at(start + 1, "not an address tag: what starts") }
    guard !content.isEmpty else { throw .at(colon, "nothing follows the address tag") }
    return .general(tag: name, content: String(decoding: content, as: UTF8.self))
  }

  /// IPv4-address-literal: four numbers of one to three digits, each at most 255, always decimal.
  private static func ipv4(_ text: ArraySlice<UInt8>) -> [UInt8]? {
    let parts = text.split(separator: .dot, omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var address: [UInt8] = []
    for part in parts {
      guard (1...3).contains(part.count) else { return nil }
      var number = 0
      for octet in part {
        guard (0x30...0x39).contains(octet) else { return nil }
        number = number * 10 + Int(octet - 0x30)
      }
      guard let octet = UInt8(exactly: number) else { return nil }
      address.append(octet)
    }
    return address
  }

  /// IPv6-addr; `::` stands for at least two groups, as RFC 5321 has it.
  private static func ipv6(_ text: ArraySlice<UInt8>) -> [UInt8]? {
    var head: [UInt8] = []
    var tail: [UInt8] = []
    var compressed = false
    var rest = text
    if rest.starts(with: [.colon, .colon]) {
      compressed = true
      rest = rest.dropFirst(2)
    }
    while !rest.isEmpty {
      let group = rest.prefix { $0 != .colon }
      let octets: [UInt8]
      if group.contains(.dot) {
        guard group.endIndex == rest.endIndex, let address = ipv4(group) else { return nil }
        octets = address
      } else {
        guard let number = hexadecimal(group) else { return nil }
        octets = [UInt8(number >> 8), UInt8(number & 0xFF)]
      }
      if compressed { tail += octets } else { head += octets }
      guard head.count + tail.count <= 16 else { return nil }
      rest = rest[group.endIndex...]
      guard !rest.isEmpty else { break }
      rest = rest.dropFirst()
      guard let next = rest.first else { return nil }
      if next == .colon {
        guard !compressed else { return nil }
        compressed = true
        rest = rest.dropFirst()
      }
    }
    let zeros = 16 - head.count - tail.count
    guard compressed ? zeros >= 4 : zeros == 0 else { return nil }
    return head + Array(repeating: 0, count: zeros) + tail
  }

  /// One to four hexadecimal digits.
  private static func hexadecimal(_ text: ArraySlice<UInt8>) -> UInt16? {
    guard (1...4).contains(text.count) else { return nil }
    var number: UInt16 = 0
    for octet in text {
      let digit: UInt8
      switch octet {
      case 0x30...0x39: digit = octet - 0x30
      case 0x41...0x46: digit = octet - 0x41 + 10
      case 0x61...0x66: digit = octet - 0x61 + 10
      default: return nil
      }
      number = number << 4 | UInt16(digit)
    }
    return number
  }
}

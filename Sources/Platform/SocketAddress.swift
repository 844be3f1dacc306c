internal import Glibc

/// An IPv4 or IPv6 address with a port, as the kernel knows it.
public struct SocketAddress: Hashable, Sendable {
  /// Four or sixteen octets in network order.
  public let octets: [UInt8]
  public let port: UInt16
  /// The interface of a link-local IPv6 address, 0 when there is none.
  let scope: UInt32

  /// Nil unless there are four or sixteen octets.
  public init?(octets: [UInt8], port: UInt16) {
    guard octets.count == 4 || octets.count == 16 else { return nil }
    self.octets = octets
    self.port = port
    self.scope = 0
  }

  /// Reads `192.0.2.1` or `2001:db8::1`, without brackets. Nil when it is neither; names are not looked up.
  public init?(_ ip: String, port: UInt16) {
    var octets = [UInt8](repeating: 0, count: 16)
    if inet_pton(AF_INET, ip, &octets) == 1 {
      self.init(octets: Array(octets[..<4]), port: port)
    } else if inet_pton(AF_INET6, ip, &octets) == 1 {
      self.init(octets: octets, port: port)
    } else {
      return nil
    }
  }

  public var isIPv6: Bool { octets.count == 16 }
  /// 127.0.0.0/8 or ::1.
  public var isLoopback: Bool {
    isIPv6 ? octets.dropLast().allSatisfy { $0 == 0 } && octets.last == 1 : octets.first == 127
  }

  public func with(port: UInt16) -> SocketAddress {
    SocketAddress(octets: octets, port: port, scope: scope)
  }

  private init(octets: [UInt8], port: UInt16, scope: UInt32) {
    self.octets = octets
    self.port = port
    self.scope = scope
  }

  /// The address without the port and without brackets; an IPv4 address mapped into IPv6 as IPv4.
  public var ip: String {
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    let family = isIPv6 ? AF_INET6 : AF_INET
    // Cannot fail: the family is known and the buffer is long enough for both.
    guard inet_ntop(family, octets, &text, socklen_t(text.count)) != nil else { return "?" }
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Reads what the kernel wrote. An IPv4 address mapped into IPv6 (RFC 4291 §2.5.5.2) becomes IPv4. Nil for another
  /// family.
  init?(_ storage: sockaddr_storage) {
    var storage = storage
    switch Int32(storage.ss_family) {
    case AF_INET:
      let address = withUnsafeBytes(of: &storage) { $0.loadUnaligned(as: sockaddr_in.self) }
      let octets = withUnsafeBytes(of: address.sin_addr) { Array($0) }
      self.init(octets: octets, port: UInt16(bigEndian: address.sin_port), scope: 0)
    case AF_INET6:
      let address = withUnsafeBytes(of: &storage) { $0.loadUnaligned(as: sockaddr_in6.self) }
      let octets = withUnsafeBytes(of: address.sin6_addr) { Array($0) }
      let isMapped = octets[..<10].allSatisfy { $0 == 0 } && octets[10] == 0xFF && octets[11] == 0xFF
      self.init(
        octets: isMapped ? Array(octets[12...]) : octets, port: UInt16(bigEndian: address.sin6_port),
        scope: isMapped ? 0 : address.sin6_scope_id)
    default: return nil
    }
  }

  /// Lends the address to a system call.
  func withSockaddr<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    func lend<Value>(_ value: inout Value) -> Result {
      withUnsafePointer(to: &value) { pointer in
        // SAFETY: every sockaddr_* begins as sockaddr does, and the length says how far it goes.
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<Value>.size)) }
      }
    }
    if isIPv6 {
      var address = sockaddr_in6()
      address.sin6_family = sa_family_t(AF_INET6)
      address.sin6_port = port.bigEndian
      address.sin6_scope_id = scope
      withUnsafeMutableBytes(of: &address.sin6_addr) { $0.copyBytes(from: octets) }
      return lend(&address)
    }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    withUnsafeMutableBytes(of: &address.sin_addr) { $0.copyBytes(from: octets) }
    return lend(&address)
  }
}

/// `192.0.2.1:25` or `[2001:db8::1]:25`.
extension SocketAddress: CustomStringConvertible {
  public var description: String { isIPv6 ? "[\(ip)]:\(port)" : "\(ip):\(port)" }
}

/// A host, by name or address, and a port, as configuration writes them: `host:port` or `[v6]:port`.
public struct Endpoint: Hashable, Sendable {
  /// Without brackets.
  public let host: String
  public let port: UInt16

  public init(host: String, port: UInt16) {
    self.host = host
    self.port = port
  }

  /// Nil when the text is neither form, or when the port is missing and there is no `defaultPort`. `[name]` means the
  /// name itself, as in Postfix.
  public init?(_ text: String, defaultPort: UInt16? = nil) {
    let host: Substring
    let rest: Substring
    if text.hasPrefix("[") {
      guard let close = text.firstIndex(of: "]") else { return nil }
      host = text[text.index(after: text.startIndex)..<close]
      rest = text[text.index(after: close)...]
    } else {
      let colon = text.firstIndex(of: ":") ?? text.endIndex
      host = text[..<colon]
      rest = text[colon...]
    }
    guard !host.isEmpty, host.utf8.count <= 255 else { return nil }
    if rest.isEmpty, let defaultPort {
      self.init(host: String(host), port: defaultPort)
      return
    }
    let digits = rest.dropFirst()
    guard rest.first == ":", (1...5).contains(digits.utf8.count),
      digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
      let port = UInt16(digits)
    else { return nil }
    self.init(host: String(host), port: port)
  }

  /// The address when the host is one; nil when it is a name.
  public var address: SocketAddress? { SocketAddress(host, port: port) }
}

extension Endpoint: CustomStringConvertible {
  public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

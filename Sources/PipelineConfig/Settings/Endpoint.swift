/// A host and a TCP port, as a setting names them.
public struct Endpoint: Hashable, Sendable {
  /// A domain name, an IPv4 address, or an IPv6 address without brackets.
  public var host: String
  /// 0 lets the system choose.
  public var port: UInt16

  public init(host: String, port: UInt16) {
    self.host = host
    self.port = port
  }
}

extension Endpoint: CustomStringConvertible {
  public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

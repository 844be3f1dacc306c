// From a domain to the addresses to try. One look-up of MX, then A and AAAA of every host at once.
//
//   MX answer                  what follows
//   records                    their hosts by preference; null MX → 5.1.10; only ourselves → 5.4.6
//   no data                    the domain itself is its only host (implicit MX)
//   no such name               5.1.2
//   failed                     deferred, 4.4.3
//
//   addresses of the hosts     what follows
//   some                       those, in order of their hosts; cut from ourselves on (by address)
//   none, one look-up failed   deferred, 4.4.3 (failure mode C9)
//   none, none failed          5.4.4

internal import MailModel
internal import Platform

/// One address to try, and the name under which it is known.
struct Target: Hashable {
  var host: String
  var address: SocketAddress
}

enum Route: Equatable {
  /// At least one, in order.
  case targets([Target])
  case deferred(DeliveryStatus)
  case failed(DeliveryStatus)
}

/// Thread: stage.
final class RouteFinder {
  enum Protocols {
    case any
    case ipv4
    case ipv6
  }

  private let resolver: Resolver
  private let port: UInt16
  private let protocols: Protocols
  /// Names in lower case, and addresses as text, that are this gateway.
  private let ownNames: Set<String>

  /// Hosts of one domain that are looked at, and addresses that are tried in one attempt.
  static let hostsMax = 20
  static let targetsMax = 10

  init(_ resolver: Resolver, port: UInt16, protocols: Protocols, ownNames: Set<String>) {
    self.resolver = resolver
    self.port = port
    self.protocols = protocols
    self.ownNames = ownNames
  }

  /// By MX.
  func find(domain: String, _ completion: @escaping (Route) -> Void) {
    resolver.look(up: domain, .mailExchange) { [weak self] answer in
      guard let self else { return }
      switch answer {
      case .records(let records): self.choose(records, domain, completion)
      case .noData: self.resolve([MailExchange(0, domain)], domain, port: self.port, completion)
      case .noSuchName:
        completion(.failed(DeliveryStatus(.badDestinationSystem, "the domain \(domain) does not exist")))
      case .failed(let reason): completion(.deferred(Self.lookupFailed(domain, reason)))
      }
    }
  }

  /// Of one host, without MX.
  func find(host: String, port: UInt16, _ completion: @escaping (Route) -> Void) {
    resolve([MailExchange(0, host)], host, port: port, completion)
  }

  private func choose(_ records: [[UInt8]], _ domain: String, _ completion: @escaping (Route) -> Void) {
    var random = SystemRandomNumberGenerator()
    switch MailRoute.choose(records.compactMap(MailExchange.init(rdata:)), ownNames: ownNames, using: &random) {
    case .hosts(let hosts): resolve(hosts, domain, port: port, completion)
    case .refusesMail:
      completion(
        .failed(DeliveryStatus(EnhancedStatusCode(.permanent, 1, 10), "the domain \(domain) takes no mail (null MX)")))
    case .loopsBack: completion(.failed(Self.loopsBack(domain)))
    case .unusable:
      completion(.failed(DeliveryStatus(.unableToRoute, "no MX record of \(domain) names a host")))
    }
  }

  private final class Pending {
    var count = 0
    var addresses: [String: [SocketAddress]] = [:]
    var failure: String?
  }

  private func resolve(
    _ hosts: [MailExchange], _ domain: String, port: UInt16, _ completion: @escaping (Route) -> Void
  ) {
    let pending = Pending()
    let hosts = Array(hosts.prefix(Self.hostsMax))
    var types: [Resolver.RecordType] = []
    switch protocols {
    case .any: types = [.address6, .address]
    case .ipv4: types = [.address]
    case .ipv6: types = [.address6]
    }
    pending.count = hosts.count * types.count
    for host in hosts {
      for type in types {
        resolver.look(up: host.host, type) { [weak self] answer in
          switch answer {
          case .records(let records):
            let addresses = records.compactMap { SocketAddress(octets: $0, port: port) }
            // IPv6 first, whichever answer comes first.
            let known = pending.addresses[host.host, default: []]
            pending.addresses[host.host] = type == .address6 ? addresses + known : known + addresses
          case .noData, .noSuchName: break
          case .failed(let reason): pending.failure = reason
          }
          pending.count -= 1
          if pending.count == 0, let self { completion(self.route(hosts, domain, pending)) }
        }
      }
    }
  }

  private func route(_ hosts: [MailExchange], _ domain: String, _ pending: Pending) -> Route {
    let ownPreference = hosts.first { host in
      pending.addresses[host.host, default: []].contains { ownNames.contains($0.ip) }
    }?.preference
    let isOwnName = hosts.count == 1 && ownNames.contains(hosts[0].host)
    switch MailRoute.without(hosts, from: isOwnName ? hosts[0].preference : ownPreference) {
    case .hosts(let hosts):
      let targets = hosts.flatMap { host in
        pending.addresses[host.host, default: []].map { Target(host: host.host, address: $0) }
      }
      if !targets.isEmpty { return .targets(Array(targets.prefix(Self.targetsMax))) }
      if let failure = pending.failure { return .deferred(Self.lookupFailed(domain, failure)) }
      return .failed(DeliveryStatus(.unableToRoute, "no mail host of \(domain) has an address"))
    case .loopsBack: return .failed(Self.loopsBack(domain))
    case .refusesMail, .unusable:
      return .failed(DeliveryStatus(.unableToRoute, "no mail host of \(domain) has an address"))
    }
  }

  private static func loopsBack(_ domain: String) -> DeliveryStatus {
    DeliveryStatus(.routingLoop, "mail for \(domain) loops back to this gateway")
  }

  private static func lookupFailed(_ domain: String, _ reason: String) -> DeliveryStatus {
    DeliveryStatus(EnhancedStatusCode(.persistentTransient, 4, 3), "name service failed for \(domain): \(reason)")
  }
}

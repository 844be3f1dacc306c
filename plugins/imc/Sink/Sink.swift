// imc.sink: mail goes out by SMTP. One stage thread, one event loop, all connections on it.
//
// A job is cut into transactions: one for each destination, and more where a destination has more recipients than
// recipients_per_transaction. The job is finished when every recipient has its answer.

internal import AddressCheck
internal import MailModel
internal import Platform
internal import SMTP
internal import StageKit

final class Sink: Stage {
  static let declaration = StageDeclaration(
    name: "sink", kind: .sink, summary: "Sends mail by SMTP, to a next hop or by MX.",
    settings: SinkSettings.declaration)

  let context: StageContext
  let settings: SinkSettings
  let buffer = ReadBuffer()
  /// Nil when connections are never encrypted.
  private(set) var clientTLS: TLSContext?
  private(set) var isStopping = false
  private var resolver: Resolver?
  private var routes: RouteFinder?
  private var destinations: [Destination.Key: Destination] = [:]
  private var deliveries: [ObjectIdentifier: Delivery] = [:]

  init(context: StageContext, config: ConfigNode) throws(StageFailure) {
    self.context = context
    settings = try SinkSettings(context: context, config: config)
  }

  func start() throws(StageFailure) {
    do throws(TLSError) {
      switch settings.tls {
      case .off: break
      case .opportunistic, .required: clientTLS = try TLSContext.client(trusting: .anybody)
      case .verify: clientTLS = try TLSContext.client(trusting: .authorities(file: settings.authoritiesFile))
      }
    } catch {
      throw .failed("TLS: \(error)")
    }
    // A next hop that is an address needs no names.
    if settings.nextHop == nil || settings.nextHop?.address == nil {
      let resolver = try Resolver(context, servers: settings.servers)
      try resolver.start()
      self.resolver = resolver
      routes = RouteFinder(
        resolver, port: settings.port, protocols: settings.protocols, ownNames: settings.ownNames)
    }
    tick()
  }

  func submit(_ job: Job) {
    let delivery = Delivery(job, envelope: job.envelope) { [weak self] in
      self?.deliveries[ObjectIdentifier($0)] = nil
    }
    deliveries[ObjectIdentifier(delivery)] = delivery
    guard !isStopping else {
      job.finish()
      deliveries[ObjectIdentifier(delivery)] = nil
      return
    }
    var groups: [Destination.Key: [Int]] = [:]
    var order: [Destination.Key] = []
    for (index, recipient) in delivery.envelope.recipients.enumerated() {
      switch destination(of: recipient.address) {
      case .success(let key):
        if groups[key] == nil { order.append(key) }
        groups[key, default: []].append(index)
      case .failure(let refusal): delivery.answer(index, .failed(refusal.status))
      }
    }
    for key in order {
      let recipients = groups[key] ?? []
      for start in stride(from: 0, to: recipients.count, by: settings.recipientsPerTransaction) {
        let end = min(start + settings.recipientsPerTransaction, recipients.count)
        destination(key).submit(Transaction(delivery, recipients: Array(recipients[start..<end])))
      }
    }
  }

  func cancel(_ job: Job) {
    guard let delivery = deliveries.values.first(where: { $0.job === job }) else { return }
    delivery.isCancelled = true
    for destination in Array(destinations.values) { destination.cancel(delivery) }
  }

  func stop() {
    isStopping = true
    for destination in Array(destinations.values) { destination.stop() }
  }

  private struct Refusal: Error {
    let status: DeliveryStatus
  }

  private func destination(of address: Address) -> Result<Destination.Key, Refusal> {
    guard address.kind == .smtp else {
      return .failure(Refusal(status: DeliveryStatus(.badDestinationSyntax, "not an SMTP address")))
    }
    if let nextHop = settings.nextHop { return .success(.nextHop(nextHop)) }
    do throws(AddressError) {
      let parsed = try SMTPAddress.parse(address.text, allowUTF8: true)
      switch parsed.literal {
      case .ipv4(let octets), .ipv6(let octets):
        guard let address = SocketAddress(octets: octets, port: settings.port) else { break }
        if settings.ownNames.contains(address.ip) {
          return .failure(Refusal(status: DeliveryStatus(.routingLoop, "mail for \(address.ip) loops back")))
        }
        return .success(.literal(address))
      case .general: break
      case nil:
        guard parsed.domain.utf8.contains(where: { $0 >= 0x80 }) else {
          return .success(.domain(parsed.domain.lowercased()))
        }
        do throws(InternationalDomain.Failure) {
          return .success(.domain(try InternationalDomain.toASCII(parsed.domain)))
        } catch {
          return .failure(Refusal(status: DeliveryStatus(.badDestinationSystem, "not a domain: \(error.text)")))
        }
      }
      return .failure(Refusal(status: DeliveryStatus(.unableToRoute, "no way to this kind of address literal")))
    } catch {
      return .failure(Refusal(status: DeliveryStatus(error.code, error.text)))
    }
  }

  private func destination(_ key: Destination.Key) -> Destination {
    if let known = destinations[key] { return known }
    let destination = Destination(self, key)
    destinations[key] = destination
    return destination
  }

  /// Finds the addresses of a destination.
  func find(_ key: Destination.Key, _ completion: @escaping (Route) -> Void) {
    switch key {
    case .literal(let address): completion(.targets([Target(host: address.ip, address: address)]))
    case .nextHop(let endpoint):
      if let address = endpoint.address {
        completion(.targets([Target(host: endpoint.host, address: address)]))
      } else {
        routes?.find(host: endpoint.host, port: endpoint.port, completion)
      }
    case .domain(let domain): routes?.find(domain: domain, completion)
    }
  }

  private func tick() {
    let now = context.monotonicNanoseconds
    resolver?.tick(now)
    for (key, destination) in destinations {
      destination.tick(now)
      if destination.isForgettable { destinations[key] = nil }
    }
    context.gauge("destinations", Int64(destinations.count))
    context.gauge("connections.open", Int64(destinations.values.reduce(0) { $0 + $1.connectionCount }))
    _ = context.timer(after: 1) { [weak self] in self?.tick() }
  }
}

internal import MailModel
internal import Platform
internal import SMTP
internal import StageKit

/// What `imc.sink` is set to; plugins/imc/README.md lists the same.
struct SinkSettings {
  enum TLSMode: String, CaseIterable {
    case off
    case opportunistic
    case required
    case verify
  }

  /// Nil: by MX.
  var nextHop: Endpoint?
  var port: UInt16 = 25
  var servers: [String] = []
  var protocols = RouteFinder.Protocols.any
  var ownNames: Set<String> = []
  var helloName: String
  var tls = TLSMode.opportunistic
  var authoritiesFile: String?
  /// The name to verify, when it is not the host's.
  var verifiedName: String?
  var connectionsMax = 20
  var connectionsAtStart = 5
  var messagesPerConnection = 100
  var recipientsPerTransaction = 100
  var waitingPerDestination = 500
  var idleSeconds = 2.0
  var connectSeconds = 30.0
  /// Timeouts, and what else is the same for every server.
  var session: SMTPClientSettings

  static let declaration: [Setting] = [
    Setting("next_hop", .endpoint, "Where everything goes; without it, to the MX hosts of each recipient's domain."),
    Setting("port", .integer(1...65535), default: "25", "Port of MX hosts."),
    Setting(
      "resolver",
      .record([
        Setting(
          "servers", .list(.string),
          "Recursive name servers, ADDRESS or ADDRESS@PORT; without them, those of resolv.conf.")
      ]), "How names are looked up."),
    Setting("protocols", .choice(["any", "ipv4", "ipv6"]), default: "any", "Which addresses are tried."),
    Setting("own_names", .list(.string), "Names and addresses that are this gateway, to which it never connects."),
    Setting("helo", .string, "The name in EHLO; without it, the node's."),
    Setting(
      "tls",
      .record([
        Setting(
          "mode", .choice(TLSMode.allCases.map(\.rawValue)), default: "opportunistic",
          "Whether connections are encrypted, and whether the peer's certificate is verified."),
        Setting("ca", .path, "Authorities for verify, PEM; without it, the system's."),
        Setting("name", .string, "The name for verify; without it, the host's."),
      ]), "Encryption by STARTTLS."),
    Setting("connections_per_destination", .integer(1...1000), default: "20", "Connections at once to a destination."),
    Setting("messages_per_connection", .integer(1...1_000_000), default: "100", "After which a connection is closed."),
    Setting("recipients_per_transaction", .integer(1...10_000), default: "100", "More go in a further transaction."),
    Setting(
      "waiting_per_destination", .integer(1...1_000_000), default: "500",
      "Transactions that wait for one MX destination; more are deferred."),
    Setting("idle_close", .duration, default: "2s", "After which an unused connection is closed."),
    Setting(
      "timeouts",
      .record([
        Setting("connect", .duration, default: "30s", "For a connection to be made."),
        Setting("greeting", .duration, default: "5m", "For the greeting."),
        Setting("command", .duration, default: "5m", "For the answer to a command."),
        Setting("content", .duration, default: "3m", "For a part of content to be taken."),
        Setting("final", .duration, default: "10m", "For the answer to a content."),
      ]), "How long a server may take."),
  ]

  init(context: StageContext, config: ConfigNode) throws(StageFailure) {
    let name = config["helo"].text ?? context.nodeName
    helloName = name.isEmpty ? "localhost" : name
    session = SMTPClientSettings(helloName: helloName, host: "")
    var isGood = true
    if let text = config["next_hop"].text {
      nextHop = Endpoint(text, defaultPort: 25)
      if nextHop == nil || nextHop?.port == 0 {
        context.complain(.error, at: config["next_hop"], "\"\(text)\" is no host and port")
        isGood = false
      }
    }
    for element in config["resolver"]["servers"].elements {
      let text = element.text ?? ""
      let parts = text.split(separator: "@", omittingEmptySubsequences: false)
      let port = parts.count == 2 ? UInt16(parts[1]) : 53
      if parts.count <= 2, let port, SocketAddress(String(parts.first ?? ""), port: port) != nil {
        servers.append(text)
      } else {
        context.complain(.error, at: element, "\"\(text)\" is no ADDRESS or ADDRESS@PORT")
        isGood = false
      }
    }
    if let text = config["tls"]["mode"].text, let mode = TLSMode(rawValue: text) { tls = mode }
    authoritiesFile = config["tls"]["ca"].text
    verifiedName = config["tls"]["name"].text
    if tls != .verify, authoritiesFile != nil {
      context.complain(.warning, at: config["tls"]["ca"], "nothing is verified unless mode is verify")
    }
    guard isGood else { throw .configuration }

    ownNames = Set(config["own_names"].elements.compactMap { $0.text?.lowercased() })
    ownNames.insert(helloName.lowercased())
    if !context.nodeName.isEmpty { ownNames.insert(context.nodeName.lowercased()) }
    if let number = config["port"].integer { port = UInt16(clamping: number) }
    switch config["protocols"].text {
    case "ipv4": protocols = .ipv4
    case "ipv6": protocols = .ipv6
    default: protocols = .any  // a text, of which the host allows three
    }
    func count(_ key: String, _ fallback: Int) -> Int { config[key].integer.map { Int(clamping: $0) } ?? fallback }
    connectionsMax = count("connections_per_destination", connectionsMax)
    connectionsAtStart = min(connectionsAtStart, connectionsMax)
    messagesPerConnection = count("messages_per_connection", messagesPerConnection)
    recipientsPerTransaction = count("recipients_per_transaction", recipientsPerTransaction)
    waitingPerDestination = count("waiting_per_destination", waitingPerDestination)
    idleSeconds = config["idle_close"].real ?? idleSeconds
    let timeouts = config["timeouts"]
    connectSeconds = timeouts["connect"].real ?? connectSeconds
    if let seconds = timeouts["greeting"].real { session.greetingTimeoutSeconds = seconds }
    if let seconds = timeouts["command"].real {
      session.commandTimeoutSeconds = seconds
      session.dataTimeoutSeconds = min(session.dataTimeoutSeconds, seconds)
    }
    if let seconds = timeouts["content"].real { session.contentTimeoutSeconds = seconds }
    if let seconds = timeouts["final"].real { session.finalTimeoutSeconds = seconds }
  }
}

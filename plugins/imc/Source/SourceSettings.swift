internal import MailModel
internal import Platform
internal import SMTP
internal import StageKit

/// What `imc.source` is set to; plugins/imc/README.md lists the same.
struct SourceSettings {
  var listen: [SocketAddress] = []
  var session: SMTPServerSettings
  var sessionsMax = 1000
  var sessionsPerClientMax = 50
  var certificateFile: String?
  var keyFile: String?
  var stopSeconds = 3.0

  static let declaration: [Setting] = [
    Setting("listen", .list(.endpoint), required: true, "Addresses to listen on; port 0 lets the kernel choose."),
    Setting("hostname", .string, "The name in greetings and trace; without it, the node's."),
    Setting("sessions_max", .integer(1...100_000), default: "1000", "Connections at once."),
    Setting("sessions_per_client", .integer(1...100_000), default: "50", "Connections at once from one address."),
    Setting(
      "tls",
      .record([
        Setting("certificate", .path, required: true, "Certificate chain, own first, PEM."),
        Setting("key", .path, required: true, "Private key without a pass phrase, PEM."),
        Setting("required", .boolean, default: "false", "Refuse MAIL before STARTTLS."),
      ]), "Offers STARTTLS."),
    Setting(
      "timeouts",
      .record([
        Setting("command", .duration, default: "5m", "For a command to come whole."),
        Setting("content", .duration, default: "3m", "For the next part of content, at 500 octets a second."),
        Setting("stress", .duration, default: "10s", "Instead of both while the host is short of room."),
      ]), "How long a client may take."),
    Setting("recipients_max", .integer(1...1_000_000), "Recipients of one message; without it, the host's limit."),
    Setting("size_max", .size, "Octets of one content; without it, the host's limit."),
    Setting("header_max", .size, default: "100KiB", "Octets of one header section."),
    Setting(
      "reject_invalid_addresses", .boolean, default: "true",
      "Refuse addresses that are not well formed; false leaves them to a stage."),
    Setting(
      "bare_line_ends", .choice(["refuse", "normalise"]), default: "refuse",
      "What is done with a CR or LF alone, and with NUL, in content."),
    Setting("hops_max", .integer(1...1000), default: "50", "Received fields that a message may carry."),
  ]

  init(context: StageContext, config: ConfigNode) throws(StageFailure) {
    let hostName = config["hostname"].text ?? context.nodeName
    session = SMTPServerSettings(hostName: hostName.isEmpty ? "localhost" : hostName)
    var isGood = true
    for element in config["listen"].elements {
      let text = element.text ?? ""
      let endpoint = Endpoint(text)
      if let address = endpoint?.address {
        listen.append(address)
      } else if let endpoint, endpoint.host == "localhost",
        let address = SocketAddress("127.0.0.1", port: endpoint.port)
      {
        listen.append(address)
      } else {
        context.complain(.error, at: element, "\"\(text)\" is no address and port; names are not looked up here")
        isGood = false
      }
    }
    if listen.isEmpty, isGood {
      context.complain(.error, at: config["listen"], "no address to listen on")
      isGood = false
    }
    let sizeMax = config["size_max"]
    session.contentOctetsMax = Int(clamping: context.contentOctetsMax)
    if let octets = sizeMax.integer {
      if octets < 1 || UInt64(octets) > context.contentOctetsMax {
        context.complain(.error, at: sizeMax, "the host takes at most \(context.contentOctetsMax) octets")
        isGood = false
      }
      session.contentOctetsMax = Int(clamping: octets)
    }
    let recipientsMax = config["recipients_max"]
    session.recipientsMax = context.recipientsMax
    if let count = recipientsMax.integer {
      if count > Int64(context.recipientsMax) {
        context.complain(.error, at: recipientsMax, "the host takes at most \(context.recipientsMax) recipients")
        isGood = false
      }
      session.recipientsMax = Int(clamping: count)
    }
    guard isGood else { throw .configuration }

    if let count = config["sessions_max"].integer { sessionsMax = Int(clamping: count) }
    if let count = config["sessions_per_client"].integer { sessionsPerClientMax = Int(clamping: count) }
    if let octets = config["header_max"].integer { session.headerOctetsMax = Int(clamping: octets) }
    if let count = config["hops_max"].integer { session.hopsMax = Int(clamping: count) }
    if let seconds = config["timeouts"]["command"].real { session.commandTimeoutSeconds = seconds }
    if let seconds = config["timeouts"]["content"].real { session.contentTimeoutSeconds = seconds }
    if let seconds = config["timeouts"]["stress"].real { session.stressTimeoutSeconds = seconds }
    session.rejectInvalidAddresses = config["reject_invalid_addresses"].boolean ?? true
    session.badOctets = config["bare_line_ends"].text == "normalise" ? .replaceBySpace : .refuse
    let tls = config["tls"]
    certificateFile = tls["certificate"].text
    keyFile = tls["key"].text
    if certificateFile != nil { session.tls = tls["required"].boolean == true ? .required : .offered }
  }
}

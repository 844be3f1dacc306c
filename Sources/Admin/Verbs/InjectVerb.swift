internal import CPlatform
internal import Glibc
internal import JSONText
internal import MailModel
internal import Pipeline

extension Verb {
  private static let place = Option(
    "at", .text("STAGE"), isRequired: true, "The stage that gets it; a source's id, or STAGE:PORT, for what comes out.")
  private static let from = Option(
    "from", .text("ADDRESS"), isRequired: true, "The sender; '' for none, about which nobody is told.")
  private static let to = Option("to", .text("ADDRESS"), isRequired: true, isRepeatable: true, "A recipient.")
  private static let asIs = Option("as-is", .flag, "Leave line ends as they are; else each becomes CR LF.")

  static let inject = Verb(
    name: "inject", summary: "puts a message into the running host by hand",
    text: """
      FILE holds the content, header and body; - is standard input. At most 64 MiB. An address is Internet mail unless it
      begins with its kind: x400:/C=GB/A= /P=ORG/S=SMITH/ or msmail:NET/PO/BOX.
      """,
    operands: [Operand(name: "FILE")], options: [place, from, to, asIs, .json, .config],
    examples: [
      ("interchange inject hello.eml --at imc_in --from a@example.com --to b@example.net", "As if a source had it."),
      (
        "printf 'Subject: test\\n\\nhello\\n' | interchange inject - --at route --from '' --to b@example.net",
        "By pipe."
      ),
    ]
  ) { arguments, console in
    var content: [UInt8]
    switch InputFile.read(arguments.operands[0], octetsMax: GatewayControl.injectedOctetsMax) {
    case .success(let octets): content = octets
    case .failure(let failure):
      console.error(failure.text)
      return failure.exit
    }
    if !arguments.has(asIs) { content = LineEnds.canonical(content) }
    let sender = arguments.text(from) ?? ""
    var envelope = Envelope(
      reversePath: sender.isEmpty || sender == "<>" ? nil : TypedAddress.read(sender),
      recipients: arguments.texts(to).map { Recipient(TypedAddress.read($0)) })
    let addresses = [envelope.reversePath].compactMap { $0 } + envelope.recipients.map(\.address)
    envelope.smtputf8 = addresses.contains { !$0.text.utf8.allSatisfy { $0 < 0x80 } }
    envelope.bodyType = content.allSatisfy { $0 < 0x80 } ? .sevenBit : .eightBitMIME
    for (index, address) in addresses.enumerated() {
      let role: Address.Role = envelope.reversePath != nil && index == 0 ? .originator : .recipient
      if let error = address.validate(role: role, smtputf8: envelope.smtputf8) {
        console.error("<\(Shown.text(address.text))>: \(error.text)")
        return .usage
      }
    }
    var writer = WireWriter()
    writer.write(envelope)
    return HostConnection.with(arguments, console) { (client) throws(AdminFailure) in
      try client.ask(
        .inject, [("at", .string(arguments.text(place) ?? ""))], envelope: writer.octets, content: content
      ) { row in
        console.line(arguments.has(.json) ? row.text : RowText.shown(row, "id"))
      }
      return .done
    }
  }
}

/// `KIND:TEXT`, or Internet mail.
enum TypedAddress {
  static func read(_ text: String) -> Address {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    if parts.count == 2, let kind = AddressKind(word: String(parts[0])) { return Address(kind, String(parts[1])) }
    return .smtp(text)
  }
}

enum LineEnds {
  /// Each CR LF, CR or LF as CR LF (RFC 5322 §2.1).
  static func canonical(_ octets: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(octets.count + octets.count / 32)
    var last: UInt8 = 0
    for octet in octets {
      switch octet {
      case 0x0D: result += [0x0D, 0x0A]
      case 0x0A: if last != 0x0D { result += [0x0D, 0x0A] }
      default: result.append(octet)
      }
      last = octet
    }
    return result
  }
}

enum InputFile {
  /// A file's octets, or those of standard input for `-`.
  static func read(_ path: String, octetsMax: Int) -> Result<[UInt8], AdminFailure> {
    let descriptor = path == "-" ? STDIN_FILENO : cplatform_open(path, O_RDONLY | O_CLOEXEC, 0)
    guard descriptor >= 0 else {
      return .failure(AdminFailure("\(Shown.text(path)): \(String(cString: strerror(errno)))"))
    }
    defer { if path != "-" { close(descriptor) } }
    var octets: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 64 * 1024)
    while true {
      let count = Glibc.read(descriptor, &piece, piece.count)
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else {
        return .failure(AdminFailure("\(Shown.text(path)): \(String(cString: strerror(errno)))"))
      }
      guard count > 0 else { return .success(octets) }
      guard octets.count + count <= octetsMax else {
        return .failure(AdminFailure("\(Shown.text(path)) is larger than \(Amount.octets(octetsMax))"))
      }
      octets += piece[..<count]
    }
  }
}

public import MailModel

/// The trace of one hop. RFC 5321 §4.4.
public struct ReceivedField: Hashable, Sendable {
  /// What the client called itself; untrusted.
  public var helloName: String?
  /// The name found for its address by DNS, if any.
  public var clientName: String?
  /// Its IP address in text, without brackets; nil when the message came by other means.
  public var clientAddress: String?
  /// This host.
  public var hostName: String
  /// `ESMTPS` and the like: ``SMTPServerSession``'s `protocolName`, or another word of the IANA registry.
  public var protocolName: String
  /// The queue or transaction identifier.
  public var identifier: String
  /// Only when the message has one recipient: more would tell them of each other.
  public var recipient: String?
  public var date: WallTime
  /// Under SMTPUTF8, so that the recipient may stand in UTF-8 (RFC 6531 §3.7.3). Otherwise such a one is left out.
  public var allowsUTF8: Bool

  public init(
    helloName: String?, clientName: String? = nil, clientAddress: String?, hostName: String, protocolName: String,
    identifier: String, recipient: String? = nil, date: WallTime, allowsUTF8: Bool = false
  ) {
    self.helloName = helloName
    self.clientName = clientName
    self.clientAddress = clientAddress
    self.hostName = hostName
    self.protocolName = protocolName
    self.identifier = identifier
    self.recipient = recipient
    self.date = date
    self.allowsUTF8 = allowsUTF8
  }

  /// The field with its CRLF, folded; whatever the client sent, it is one field of printable characters, and neither a
  /// comment nor the `;` before the date can be forged.
  public func render() -> [UInt8] {
    var value = "from \(Self.word(helloName ?? clientName))"
    if let clientAddress {
      let literal =
        clientAddress.utf8.contains(0x3A) ? "[IPv6:\(Self.word(clientAddress))]" : "[\(Self.word(clientAddress))]"
      value += clientName.map { " (\(Self.word($0)) \(literal))" } ?? " (\(literal))"
    }
    value += " by \(Self.word(hostName)) with \(Self.word(protocolName)) id \(Self.word(identifier))"
    if let recipient, isPlain(recipient) { value += " for <\(recipient)>" }
    value += "; \(InternetDate.format(date))"
    return HeaderText.field("Received", value, allowUTF8: allowsUTF8, octetsMax: 4_096)
  }

  /// Characters of domains and address literals; what else there is becomes `?`.
  private static func word(_ text: String?) -> String {
    guard let text, !text.isEmpty else { return "unknown" }
    var octets: [UInt8] = []
    for octet in text.utf8.prefix(255) {
      switch octet {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x3A, 0x5B, 0x5D, 0x5F: octets.append(octet)
      default: octets.append(0x3F)
      }
    }
    return String(decoding: octets, as: UTF8.self)
  }

  private func isPlain(_ mailbox: String) -> Bool {
    !mailbox.isEmpty && mailbox.utf8.count <= 256
      && mailbox.unicodeScalars.allSatisfy { scalar in
        switch scalar {
        case "<", ">", "(", ")", ";", ",", "\"", "\\", " ": false
        case "!"..."~": true
        default: allowsUTF8 && scalar.value >= 0xA0
        }
      }
  }
}

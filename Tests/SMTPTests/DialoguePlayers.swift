import MailModel
import Testing

@testable import SMTP

struct ServerPlayer: DialoguePlayer {
  var transcript = Transcript("S")
  private var session: SMTPServerSession
  private var content: [UInt8] = []
  private var contentCount = 0
  private let asksForVerdict: Bool

  init(_ dialogue: Dialogue) {
    var settings = SMTPServerSettings.test
    asksForVerdict = dialogue.settings["verdict"] == "ask"
    for (name, value) in dialogue.settings {
      let number = Int(value) ?? 0
      switch name {
      case "tls": settings.tls = value == "required" ? .required : .offered
      case "badOctets": settings.badOctets = .replaceBySpace
      case "rejectInvalidAddresses": settings.rejectInvalidAddresses = value == "true"
      case "asksAboutRecipients": settings.asksAboutRecipients = true
      case "requiresHello": settings.requiresHello = value == "true"
      case "contentOctetsMax": settings.contentOctetsMax = number
      case "headerOctetsMax": settings.headerOctetsMax = number
      case "hopsMax": settings.hopsMax = number
      case "recipientsMax": settings.recipientsMax = number
      case "commandLineOctetsMax": settings.commandLineOctetsMax = number
      case "hardErrorsMax": settings.hardErrorsMax = number
      case "junkCommandsMax": settings.junkCommandsMax = number
      case "verdict": break
      default: Issue.record("unknown setting \(name)")
      }
    }
    session = SMTPServerSession(settings: settings, clientAddress: "192.0.2.7")
  }

  mutating func begin() { perform(session.start()) }

  mutating func input(_ kind: String, _ octets: [UInt8]) {
    switch kind {
    case "octets": perform(session.receive(octets))
    case "T": perform(session.tlsEstablished())
    case "F": perform(session.tlsFailed())
    case "L": perform(session.connectionClosed())
    case "W": perform(session.timeout())
    case "Z": perform(session.shutDown())
    case "V":
      perform(
        reply(octets).map { session.contentRefused($0) } ?? session.contentAccepted(identifier: "Q\(contentCount)"))
    case "K": session.setCongestion(reply(octets))
    case "P": perform(session.recipientChecked(reply(octets)))
    default: Issue.record("unknown input \(kind)")
    }
  }

  private func reply(_ octets: [UInt8]) -> Reply? {
    let words = String(decoding: octets, as: UTF8.self).split(separator: " ", maxSplits: 2).map(String.init)
    guard words.count == 3, let code = Int(words[0]) else { return nil }
    return Reply(code, EnhancedStatusCode(words[1]), words[2])
  }

  private mutating func perform(_ actions: [SMTPServerAction]) {
    for action in actions {
      switch action {
      case .send(let octets): transcript.send(octets)
      case .startTLS: transcript.note("T!:")
      case .checkRecipient(let recipient): transcript.note("P!: \(recipient.address)")
      case .beginContent(let envelope, let declared):
        content = []
        transcript.note("E: \(Self.words(envelope, declared).joined(separator: " "))")
      case .content(let octets): content += octets
      case .endContent:
        contentCount += 1
        transcript.note(content.isEmpty ? ">:" : ">: \(escape(content))")
        if !asksForVerdict { perform(session.contentAccepted(identifier: "Q\(contentCount)")) }
      case .abandonContent: transcript.note("A:")
      case .close: transcript.note("X:")
      }
    }
  }

  private static func words(_ envelope: Envelope, _ declared: Int?) -> [String] {
    var words = ["<\(escape((envelope.reversePath?.text ?? "").utf8))>"]
    if let declared { words.append("size=\(declared)") }
    if envelope.bodyType == .eightBitMIME { words.append("8bit") }
    if envelope.smtputf8 { words.append("utf8") }
    if let id = envelope.envelopeID { words.append("envid=\(id)") }
    if let wanted = envelope.returnContent { words.append(wanted == .full ? "ret=full" : "ret=hdrs") }
    for recipient in envelope.recipients {
      words.append("<\(escape(recipient.address.text.utf8))>")
      if let notify = recipient.notify { words.append("notify=\(notify.words)") }
      if let original = recipient.originalRecipient {
        words.append("orcpt=\(original.type);\(escape(original.text.utf8))")
      }
    }
    words.append(envelope.attribute("client.protocol") ?? "?")
    return words
  }
}

struct ClientPlayer: DialoguePlayer {
  var transcript = Transcript("C")
  private var session: SMTPClientSession
  private var content: [UInt8] = []

  init(_ dialogue: Dialogue) {
    var settings = SMTPClientSettings(helloName: "c.example", host: "mx.example.com")
    settings.tls = .off
    for (name, value) in dialogue.settings {
      switch name {
      case "tls": settings.tls = value == "required" ? .required : .opportunistic
      case "assumesEightBit": settings.assumesEightBit = true
      case "commandsAheadMax": settings.commandsAheadMax = Int(value) ?? 0
      case "pipelines": settings.pipelines = value == "true"
      default: Issue.record("unknown setting \(name)")
      }
    }
    session = SMTPClientSession(settings: settings)
  }

  mutating func begin() {}

  mutating func input(_ kind: String, _ octets: [UInt8]) {
    switch kind {
    case "octets": perform(session.receive(octets))
    case "B": content = octets
    case "M": perform(session.start(Self.message(String(decoding: octets, as: UTF8.self))))
    case "T": perform(session.tlsEstablished())
    case "F": perform(session.tlsFailed("bad certificate"))
    case "L": perform(session.connectionClosed())
    case "W": perform(session.timeout())
    case "Q": perform(session.quit())
    default: Issue.record("unknown input \(kind)")
    }
  }

  /// `sender recipient … key=value …`; `<>` is the null reverse-path.
  private static func message(_ text: String) -> OutgoingMessage {
    var words = text.split(separator: " ").map(String.init)
    let sender = words.removeFirst()
    var message = OutgoingMessage(envelope: Envelope(reversePath: sender == "<>" ? nil : .smtp(sender), recipients: []))
    for word in words {
      let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
      switch parts[0] {
      case "size": message.contentOctets = Int(parts[1])
      case "8bit": message.hasEightBitOctets = true
      case "utf8": message.needsUTF8 = true
      case "binary": message.envelope.bodyType = .binaryMIME
      case "longest": message.longestLineOctets = Int(parts[1]) ?? 0
      case "envid": message.envelope.envelopeID = parts[1]
      case "ret": message.envelope.returnContent = parts[1] == "full" ? .full : .headers
      case "notify":
        message.envelope.recipients[message.envelope.recipients.count - 1].notify =
          parts[1] == "never" ? .never : [.success, .failure]
      case "orcpt":
        message.envelope.recipients[message.envelope.recipients.count - 1].originalRecipient =
          OriginalRecipient(type: "rfc822", text: parts[1])
      default: message.envelope.recipients.append(Recipient(.smtp(String(decoding: unescape(word), as: UTF8.self))))
      }
    }
    return message
  }

  private mutating func perform(_ actions: [SMTPClientAction]) {
    for action in actions {
      switch action {
      case .send(let octets): transcript.send(octets)
      case .startTLS: transcript.note("T!:")
      case .sendContent:
        for start in stride(from: 0, to: content.count, by: 7) {
          transcript.send(session.encodeContent(content[start..<min(start + 7, content.count)]))
        }
        perform(session.finishContent())
      case .abandonContent: transcript.note("A:")
      case .recipientResult(let result): transcript.note(Self.line(result))
      case .messageDone: transcript.note("D:")
      case .readyForNext: transcript.note("N:")
      case .close: transcript.note("X:")
      }
    }
  }

  private static func line(_ result: RecipientResult) -> String {
    var words = ["R:", "\(result.index)"]
    switch result.answer {
    case .settled(let settlement, let status): words += ["\(settlement)", "\(status.code)"]
    case .deferred(let status, let hint):
      words += ["deferred", "\(status.code)"]
      if hint == 0 { words.append("now") }
    case .failed(let status): words += ["failed", "\(status.code)"]
    case .forward, .held, .dead: words.append("unexpected")
    }
    if result.dsnPassedOn { words.append("dsn") }
    if result.concernsHost { words.append("host") }
    return words.joined(separator: " ")
  }
}

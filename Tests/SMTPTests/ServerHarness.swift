import MailModel

@testable import SMTP

/// An owner of a server session that keeps what it is told, and takes every content by itself.
struct ServerHarness {
  var session: SMTPServerSession
  var sent: [UInt8] = []
  var contents: [[UInt8]] = []
  var envelopes: [Envelope] = []
  var facts: [ContentFacts] = []
  var abandoned = 0
  var startedTLS = 0
  var isClosed = false
  /// What to say to a whole content; nil leaves it to the test.
  var verdict: Verdict? = .accept
  private var current: [UInt8]?

  enum Verdict {
    case accept
    case refuse(Reply)
  }

  init(_ settings: SMTPServerSettings = .test, isEncrypted: Bool = false) {
    session = SMTPServerSession(settings: settings, clientAddress: "192.0.2.7", isEncrypted: isEncrypted)
  }

  var isInContent: Bool { current != nil }

  /// The owner refused a content itself, so that no end of it will be said.
  mutating func forgetContent() { current = nil }

  mutating func start() { perform(session.start()) }

  mutating func receive(_ octets: [UInt8]) { perform(session.receive(octets)) }

  mutating func receive(_ text: String) { receive(Array(text.utf8)) }

  mutating func takeSent() -> String {
    defer { sent = [] }
    return String(decoding: sent, as: UTF8.self)
  }

  mutating func perform(_ actions: [SMTPServerAction]) {
    for action in actions {
      precondition(!isClosed, "an action after close: \(action)")
      switch action {
      case .send(let octets): sent += octets
      case .startTLS:
        startedTLS += 1
      case .checkRecipient: break
      case .beginContent(let envelope, _):
        precondition(current == nil, "content begins twice")
        precondition(!envelope.recipients.isEmpty, "content for nobody")
        envelopes.append(envelope)
        current = []
      case .content(let octets):
        precondition(current != nil && !octets.isEmpty, "content outside of a content")
        current?.append(contentsOf: octets)
      case .endContent(let seen):
        contents.append(current ?? [])
        facts.append(seen)
        precondition(seen.octets == current?.count, "facts differ from the content")
        current = nil
        switch verdict {
        case .accept: perform(session.contentAccepted(identifier: "Q\(contents.count)"))
        case .refuse(let reply): perform(session.contentRefused(reply))
        case nil: break
        }
      case .abandonContent:
        precondition(current != nil, "nothing to abandon")
        current = nil
        abandoned += 1
      case .close: isClosed = true
      }
    }
  }
}

extension SMTPServerSettings {
  static var test: SMTPServerSettings { SMTPServerSettings(hostName: "gw.example.com") }
}

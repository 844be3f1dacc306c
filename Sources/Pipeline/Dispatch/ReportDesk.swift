import MailModel
import Reports
import Spool

/// Turns what became of recipients into a report in the form in which the originator arrived. Today that is a DSN for
/// Internet mail; an originator of another kind gets one too, at its address, until its connector brings its own form.
struct ReportDesk {
  let node: String
  /// The first octets of a message's content.
  let contentHead: (QueuedMessage, Int) -> [UInt8]

  func make(
    _ message: QueuedMessage, _ entries: [ReportEntry], _ id: QueueID, _ now: Now
  ) -> (envelope: Envelope, content: [UInt8])? {
    let stored = message.stored
    let outcome = DSN.make(
      about: ReportedMessage(
        envelope: stored.envelope, acceptedAt: stored.acceptedAt, generation: stored.generation,
        contentOctets: stored.contentOctets, node: node, queueID: stored.id.description),
      recipients: entries.map {
        ReportedRecipient(
          index: $0.recipient, disposition: $0.disposition, status: $0.status, lastAttemptAt: now.wall)
      },
      contentHead: contentHead(message, Limits.returnedContentOctetsMax), messageID: "\(id)@\(node)", now: now.wall)
    switch outcome {
    case .report(let dsn): return (dsn.envelope, dsn.content)
    case .nobodyToTell: return nil
    }
  }
}

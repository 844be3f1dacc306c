import MailModel

/// Why recipients come to the dead-letter stage, as attributes that the stage writes down for people: `dead.code`,
/// `dead.text`, `dead.stage` and `dead.remote` of each recipient, and `dead.history` of the envelope, which is lines of
/// milliseconds since 1970, a space, and what happened.
enum DeadLetterAttributes {
  static func add(to envelope: inout Envelope, _ item: WorkItem) {
    var attributes: [Attribute] = []
    if let because = item.because {
      attributes.append(Attribute("dead.code", because.code.description))
      attributes.append(Attribute("dead.text", because.text))
      if let remote = because.remote { attributes.append(Attribute("dead.remote", "\(remote.host): \(remote.text)")) }
    }
    if let from = item.from { attributes.append(Attribute("dead.stage", from)) }
    for index in envelope.recipients.indices { envelope.recipients[index].attributes += attributes }
    let lines = item.message.events.map { "\($0.at.millisecondsSinceEpoch) \(line($0))" }
    envelope.attributes.append(Attribute("dead.history", lines.joined(separator: "\n")))
  }

  private static func line(_ event: HistoryEvent) -> String {
    var line = event.kind.rawValue
    if let stage = event.stage { line += " at \(stage)" }
    line += ": " + event.recipients.joined(separator: ", ")
    if event.recipientCount > event.recipients.count { line += " and \(event.recipientCount - event.recipients.count) more" }
    if let status = event.status { line += "; \(status.code) \(status.text)" }
    if let remote = event.status?.remote { line += " (\(remote.host): \(remote.text))" }
    return LogText.neutral(line)
  }
}

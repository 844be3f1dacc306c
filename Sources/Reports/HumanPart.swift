internal import InternetMessage
internal import MailModel

/// The part for people: plain words, every address to the letter.
struct HumanPart {
  let header: [String]
  let octets: [UInt8]

  /// The worst that there is to tell.
  static func subject(of recipients: [ReportedRecipient]) -> String {
    if recipients.contains(where: { $0.disposition == .failed }) { return "Undelivered Mail Returned to Sender" }
    if recipients.contains(where: { $0.disposition == .delayed }) { return "Delayed Mail (still being retried)" }
    return "Successful Mail Delivery Report"
  }

  init(
    about message: ReportedMessage, recipients: [ReportedRecipient], returned: ReturnedContent.Kind, statusCount: Int,
    utf8: Bool
  ) {
    var lines = ReportLines(utf8: utf8)
    lines.raw("This is the mail system at host \(ReportText.token(message.node)).")
    var room = ReportLimits.humanRecipientsMax
    for disposition in [Disposition.failed, .delayed, .delivered, .relayed, .expanded] {
      let group = recipients.filter { $0.disposition == disposition }
      guard !group.isEmpty else { continue }
      lines.raw("")
      lines.paragraph(Self.sentence(disposition))
      if disposition == .delayed, let until = group.compactMap(\.willRetryUntil).max() {
        lines.paragraph("Delivery will be tried until \(InternetDate.format(until)).")
      }
      lines.raw("")
      var named = 0
      for reported in group {
        guard room > 0, named == 0 || lines.octets.count <= ReportLimits.humanOctetsMax else { break }
        Self.write(reported, of: message, to: &lines)
        named += 1
        room -= 1
      }
      if named < group.count {
        lines.raw(named == 0 ? "\(group.count) recipients." : "... and \(group.count - named) more recipients.")
      }
    }
    lines.raw("")
    if statusCount < recipients.count {
      lines.paragraph(
        "There are \(recipients.count) recipients to report. The part that follows lists the first \(statusCount) of"
          + " them and leaves out \(recipients.count - statusCount).")
    }
    switch returned {
    case .full: lines.raw("Your message is attached.")
    case .headers: lines.raw("The header of your message is attached.")
    case .headersCut: lines.raw("The beginning of the header of your message is attached.")
    }
    octets = lines.octets
    header =
      utf8
      ? ["Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit"]
      : ["Content-Type: text/plain; charset=us-ascii"]
  }

  private static func sentence(_ disposition: Disposition) -> String {
    switch disposition {
    case .failed: "Your message could not be delivered to the following recipients. No further attempt will be made."
    case .delayed:
      "Your message could not be delivered to the following recipients yet. This is a warning only: you do not need to"
        + " send it again."
    case .delivered: "Your message was delivered to the following recipients."
    case .relayed:
      "Your message was passed on to a system that may not report delivery, for the following recipients."
    case .expanded: "Your message was delivered to the following lists, which pass it on to their members."
    }
  }

  private static func write(_ reported: ReportedRecipient, of message: ReportedMessage, to lines: inout ReportLines) {
    let address = reported.finalRecipient ?? message.envelope.recipients[reported.index].address
    let text = ReportText.escaped(address.text, .exact, utf8: lines.utf8)
    lines.paragraph(address.kind == .smtp ? "<\(text)>" : text.isEmpty ? "(empty address)" : text)
    let reason = ReportText.escaped(ReportText.cut(reported.status.text), .prose, utf8: lines.utf8)
    lines.folded("    ", "\(reported.status.code) \(reason)", indent: "    ")
    if let remote = reported.status.remote {
      let host = ReportText.escaped(ReportText.cut(remote.host), .prose, utf8: lines.utf8)
      let reply = ReportText.escaped(ReportText.cut(remote.text), .prose, utf8: lines.utf8)
      lines.folded("    ", "\(host) said: \(reply)", indent: "    ")
    }
  }
}

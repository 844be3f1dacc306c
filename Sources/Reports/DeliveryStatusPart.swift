internal import InternetMessage
internal import MailModel

/// The part for programs: message/delivery-status, RFC 3464 §2.
struct DeliveryStatusPart {
  let header: [String]
  let octets: [UInt8]
  let leftOutCount: Int

  init(about message: ReportedMessage, recipients: [ReportedRecipient], utf8: Bool) {
    var groups = ReportLines(utf8: utf8)
    var listed = 0
    for recipient in recipients {
      var group = ReportLines(utf8: utf8)
      Self.write(recipient, of: message, to: &group)
      guard listed == 0 || groups.octets.count + group.octets.count <= ReportLimits.statusOctetsMax else { break }
      groups.raw("")
      groups.append(group.octets)
      listed += 1
    }
    leftOutCount = recipients.count - listed

    var lines = ReportLines(utf8: utf8)
    if let envelopeID = message.envelope.envelopeID {
      lines.field("Original-Envelope-Id", ReportText.escaped(ReportText.cut(envelopeID), .exact, utf8: utf8))
    }
    lines.field("Reporting-MTA", "dns; \(ReportText.token(message.node))")
    lines.field("Arrival-Date", InternetDate.format(message.acceptedAt))
    lines.field("X-Interchange-Queue-ID", ReportText.token(message.queueID))
    if leftOutCount > 0 { lines.field("X-Interchange-Recipients-Left-Out", "\(leftOutCount)") }
    lines.append(groups.octets)
    octets = lines.octets
    header =
      utf8
      ? ["Content-Type: message/global-delivery-status", "Content-Transfer-Encoding: 8bit"]
      : ["Content-Type: message/delivery-status"]
  }

  /// The fields of RFC 3464 §2.3 for one recipient.
  private static func write(
    _ reported: ReportedRecipient, of message: ReportedMessage, to lines: inout ReportLines
  ) {
    let recipient = message.envelope.recipients[reported.index]
    let utf8 = lines.utf8
    if let original = recipient.originalRecipient {
      lines.field("Original-Recipient", ReportText.typed(original.type, original.text, utf8: utf8))
    }
    let final = reported.finalRecipient ?? recipient.address
    lines.field("Final-Recipient", ReportText.typed(final.kind.reportType, final.text, utf8: utf8))
    lines.field("Action", reported.disposition.word)
    lines.field("Status", reported.status.code.description)
    if let remote = reported.status.remote {
      let type = ReportText.token(remote.type)
      let nameType = type.lowercased() == "x400" ? "x400" : "dns"
      let host = ReportText.escaped(ReportText.cut(remote.host), .prose, utf8: utf8)
      lines.field("Remote-MTA", "\(nameType); \(host)")
      let text = ReportText.escaped(ReportText.cut(remote.text), .prose, utf8: utf8)
      lines.field("Diagnostic-Code", "\(type); \(text)")
    } else if !reported.status.text.isEmpty {
      let text = ReportText.escaped(ReportText.cut(reported.status.text), .prose, utf8: utf8)
      lines.field("Diagnostic-Code", "x-interchange; \(text)")
    }
    if let last = reported.lastAttemptAt { lines.field("Last-Attempt-Date", InternetDate.format(last)) }
    if reported.disposition == .delayed, let until = reported.willRetryUntil {
      lines.field("Will-Retry-Until", InternetDate.format(until))
    }
  }
}

internal import InternetMessage
public import MailModel

/// A delivery status notification: one message to the originator about some recipients of one message.
///
/// Made from dispositions alone, in one place. RFC 3461 §5 and §6 (when), RFC 3464 and RFC 6522 (form), RFC 6533 (when
/// the originator's address is not ASCII).
///
/// Invariants:
/// 1. It is made whatever the recipients' addresses, the texts and the content hold, however long they are; nothing is
///    parsed but the reverse-path, which must be an address of its kind.
/// 2. Every text that came from elsewhere is escaped to printable characters and folded (``ReportText``): no line is
///    longer than 998 octets and none starts a field or a part that this file did not write.
/// 3. Its size is bounded by ``ReportLimits``; what is left out is counted in it.
/// 4. Its own reverse-path is null, and none is made for a null reverse-path or about another report.
public struct DSN: Sendable {
  /// The null reverse-path, and the original reverse-path as the one recipient, `NOTIFY=NEVER`.
  public var envelope: Envelope
  /// A MIME message, lines ended by CRLF.
  public var content: [UInt8]
  /// The recipients told about, in the order given, including those left out of the text for want of room.
  public var recipientIndices: [Int]
  /// How many of them the delivery-status part does not list.
  public var leftOutCount: Int

  public enum Outcome: Sendable {
    case report(DSN)
    case nobodyToTell(Reason)
  }

  /// Why nobody may be told.
  public enum Reason: Hashable, Sendable {
    /// RFC 5321 §4.5.5; MS Mail's form of it is a sender `…/POSTMASTER` (failure modes A9, E1).
    case nullReversePath
    /// The reverse-path is not an address of its kind, so that no connector could send a report there; the content is
    /// better kept whole for an operator (failure modes A31, C22).
    case unusableReversePath
    /// The message is itself generated.
    case aboutAReport
    /// No recipient's NOTIFY asks for what there is to tell (RFC 3461 §4.1).
    case notRequested

    public var text: String {
      switch self {
      case .nullReversePath: "the message has a null reverse-path"
      case .unusableReversePath: "the originator's address is not valid"
      case .aboutAReport: "the message is itself a report"
      case .notRequested: "the originator asked not to be told"
      }
    }
  }

  /// Makes the report about `recipients`, or says why there is none. Which recipients go together is the caller's choice.
  ///
  /// - Parameters:
  ///   - recipients: Those without a reason to tell are passed over, by the rules of
  ///     ``ReportedRecipient/isToBeReported(notify:)``.
  ///   - contentHead: The first octets of the original content; all of it, or at least
  ///     ``Limits/returnedContentOctetsMax`` of it.
  ///   - messageID: The new Message-ID without angle brackets.
  public static func make(
    about message: ReportedMessage, recipients: [ReportedRecipient], contentHead: [UInt8], messageID: String,
    now: WallTime
  ) -> Outcome {
    guard let reversePath = message.envelope.reversePath, !isNull(reversePath) else {
      return .nobodyToTell(.nullReversePath)
    }
    guard reversePath.kind == .other || reversePath.validate(role: .originator, smtputf8: true) == nil else {
      return .nobodyToTell(.unusableReversePath)
    }
    guard message.generation == 0 else { return .nobodyToTell(.aboutAReport) }
    let told = recipients.filter { reported in
      precondition(message.envelope.recipients.indices.contains(reported.index), "no such recipient")
      return reported.isToBeReported(notify: message.envelope.recipients[reported.index].notify)
    }
    guard !told.isEmpty else { return .nobodyToTell(.notRequested) }

    let utf8 = !reversePath.text.utf8.allSatisfy { $0 < 0x80 }
    let returned = ReturnedContent(
      of: message, head: contentHead, failed: told.contains { $0.disposition == .failed }, utf8: utf8)
    let status = DeliveryStatusPart(about: message, recipients: told, utf8: utf8)
    let human = HumanPart(
      about: message, recipients: told, returned: returned.kind, statusCount: told.count - status.leftOutCount,
      utf8: utf8)
    let content = assemble(
      human: human, status: status, returned: returned, about: message, reversePath: reversePath,
      subject: HumanPart.subject(of: told), messageID: messageID, now: now, utf8: utf8)
    let isEightBit = !content.allSatisfy { $0 < 0x80 }
    let envelope = Envelope(
      reversePath: nil, recipients: [Recipient(reversePath, notify: .never)],
      bodyType: isEightBit ? .eightBitMIME : .sevenBit, smtputf8: utf8)
    return .report(
      DSN(
        envelope: envelope, content: content, recipientIndices: told.map(\.index), leftOutCount: status.leftOutCount))
  }

  private static func isNull(_ reversePath: Address) -> Bool {
    switch reversePath.kind {
    case .smtp, .x400, .other:
      return reversePath.text.isEmpty
    case .msmail:
      let mailbox = reversePath.text.split(separator: "/").last ?? ""
      return mailbox.isEmpty || mailbox.uppercased() == "POSTMASTER"
    }
  }

  private static func assemble(
    human: HumanPart, status: DeliveryStatusPart, returned: ReturnedContent, about message: ReportedMessage,
    reversePath: Address, subject: String, messageID: String, now: WallTime, utf8: Bool
  ) -> [UInt8] {
    let stem = "=_report-" + ReportText.token(message.queueID) + "-"
    let boundary = stem + String(nextNumber(after: stem, in: [human.octets, status.octets, returned.octets])) + "="
    let node = ReportText.token(message.node)
    var lines = ReportLines(utf8: utf8)
    lines.field("Date", InternetDate.format(now))
    lines.field("From", "Mail Delivery System <MAILER-DAEMON@\(node)>")
    lines.field("To", to(reversePath, utf8: utf8))
    lines.field("Subject", subject)
    lines.field("Message-ID", "<\(ReportText.messageID(messageID))>")
    lines.field("Auto-Submitted", "auto-replied")
    lines.field("MIME-Version", "1.0")
    lines.raw("Content-Type: multipart/report; report-type=delivery-status;")
    lines.raw(" boundary=\"\(boundary)\"")
    lines.raw("")
    lines.raw("This is a MIME-encapsulated delivery report.")
    for (header, octets) in [
      (human.header, human.octets), (status.header, status.octets), (returned.header, returned.octets),
    ] {
      lines.raw("")
      lines.raw("--\(boundary)")
      for field in header { lines.raw(field) }
      lines.raw("")
      lines.append(octets)
    }
    lines.raw("")
    lines.raw("--\(boundary)--")
    return lines.octets
  }

  /// A mailbox where the reverse-path is one, otherwise an empty group that names it: always good syntax.
  private static func to(_ reversePath: Address, utf8: Bool) -> String {
    if reversePath.kind == .smtp, let mailbox = try? SMTPAddress.parse(reversePath.text, allowUTF8: utf8) {
      // The parse error does not matter: the other form of `To:` needs no syntax.
      return mailbox.description
    }
    let name = ReportText.quoted(reversePath.text, utf8: utf8)
    return name.utf8.count <= 900 ? "\(name):;" : "undisclosed-recipients:;"
  }

  /// One more than the highest number behind `stem` in any of the parts, so that the boundary occurs in none.
  static func nextNumber(after stem: String, in parts: [[UInt8]]) -> UInt64 {
    let stem = Array(stem.utf8)
    var next: UInt64 = 0
    for octets in parts {
      var index = 0
      while octets.count - index >= stem.count {
        guard octets[index] == stem[0], octets[index..<(index + stem.count)].elementsEqual(stem) else {
          index += 1
          continue
        }
        var number: UInt64 = 0
        var digits = 0
        index += stem.count
        while index < octets.count, (0x30...0x39).contains(octets[index]) {
          digits += 1
          if digits <= 18 { number = number * 10 + UInt64(octets[index] - 0x30) }
          index += 1
        }
        // A longer number cannot be ours.
        if digits <= 18 { next = max(next, number + 1) }
      }
    }
    return next
  }
}

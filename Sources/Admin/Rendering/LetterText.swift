internal import DeadLetterStore
internal import JSONText
internal import MailModel
internal import Pipeline

/// Dead letters as rows of docs/cli.md, and for people.
enum LetterRow {
  /// - Parameter letter: Nil when its files are damaged.
  static func json(_ summary: DeadLetterStore.Summary, _ letter: DeadLetter?) -> JSONValue {
    row([
      ("id", .string(summary.id.description)), ("stored_at", summary.storedAt.map { JSONValue($0) }),
      ("octets", JSONValue(octets: summary.octets)), ("damaged", letter == nil ? .boolean(true) : nil),
      ("stage", letter.map { .string($0.stage) }),
      ("sender", letter.map { .string($0.envelope.reversePath?.text ?? "") }),
      ("recipient", letter?.entries.first.map { .string($0.recipient.address.text) }),
      ("recipients", letter.map { .integer($0.entries.count) }),
      ("code", letter?.entries.first.map { .string($0.status.code.description) }),
      ("reason", letter?.entries.first.map { .string($0.status.text) }),
    ])
  }

  static func json(_ id: LetterID, _ letter: DeadLetter) -> [JSONValue] {
    let head = row([
      ("id", .string(id.description)), ("queue_id", .string(letter.queueID.description)),
      ("accepted_at", JSONValue(letter.acceptedAt)), ("stored_at", JSONValue(letter.storedAt)),
      ("stage", .string(letter.stage)), ("octets", JSONValue(octets: letter.contentOctets)),
      ("sender", .string(letter.envelope.reversePath?.text ?? "")),
      ("attributes", attributesJSON(letter.envelope.attributes)), ("recipients", .integer(letter.entries.count)),
    ])
    let entries = letter.entries.map { entry in
      row([
        ("id", .string(id.description)), ("recipient", .string(entry.recipient.address.text)),
        ("kind", .string(entry.recipient.address.kind.word)), ("code", .string(entry.status.code.description)),
        ("reason", .string(entry.status.text)), ("remote_host", entry.status.remote.map { .string($0.host) }),
        ("remote_text", entry.status.remote.map { .string($0.text) }),
      ])
    }
    let history = letter.history.map { event in
      row([("id", .string(id.description)), ("time", JSONValue(event.at)), ("text", .string(event.text))])
    }
    return [head] + entries + history
  }

  private static let widths = [17, 6, 10, 14]
  static let head = Columns.line(["ID", "AGE", "SIZE", "STAGE", "FROM -> TO"], widths, right: [1, 2])

  static func text(_ row: JSONValue, now: WallTime) -> String {
    let more = (row["recipients"]?.integer ?? 1) - 1
    let stage = RowText.shown(row, "stage")
    var cells = [
      RowText.shown(row, "id"), RowText.age(row, "stored_at", now), Amount.octets(row["octets"]?.integer ?? 0),
      stage.isEmpty ? "-" : stage,
    ]
    guard row["damaged"] == nil else { return Columns.line(cells + ["(damaged)"], widths, right: [1, 2]) }
    cells.append(
      "<\(RowText.shown(row, "sender", octetsMax: 320))> -> <\(RowText.shown(row, "recipient", octetsMax: 320))>"
        + (more > 0 ? " and \(more) more" : ""))
    return Columns.line(cells, widths, right: [1, 2])
      + "                   \(RowText.shown(row, "code")) \(RowText.shown(row, "reason"))\n"
  }

  static func text(_ id: LetterID, _ letter: DeadLetter) -> String {
    var text = "\(id)\n"
    func line(_ name: String, _ value: String) {
      text += Columns.hanging(name, Shown.text(value), indent: 2, width: 8)
    }
    line("message", letter.queueID.description)
    line("accepted", TimestampText.make(letter.acceptedAt))
    line("stored", TimestampText.make(letter.storedAt))
    if !letter.stage.isEmpty { line("stage", letter.stage) }
    line("sender", "<\(letter.envelope.reversePath?.text ?? "")>")
    line("content", Amount.octets(Int(clamping: letter.contentOctets)))
    for entry in letter.entries {
      text += "  <\(Shown.text(entry.recipient.address.text))>\n"
      let remote = entry.status.remote.map { " (\($0.host): \($0.text))" } ?? ""
      text += "      \(Shown.text("\(entry.status.code) \(entry.status.text)\(remote)"))\n"
    }
    for event in letter.history { text += "  \(TimestampText.make(event.at))  \(Shown.text(event.text))\n" }
    return text
  }
}

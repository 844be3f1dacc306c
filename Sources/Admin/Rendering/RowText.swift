internal import JSONText
internal import MailModel
internal import Pipeline

/// Rows of the admin socket as people read them. Whatever came from a message or a peer is neutralised here.
enum RowText {
  /// The width of each column of a queue listing; the last has none.
  private static let queueWidths = [13, 6, 10, 8, 14, 5, 7]
  static let queueHead = Columns.line(
    ["ID", "AGE", "SIZE", "STATE", "STAGE", "TRIES", "NEXT", "FROM -> TO"], queueWidths, right: [1, 2, 5])

  static func shown(_ row: JSONValue, _ name: String, octetsMax: Int = 1024) -> String {
    Shown.text(row[name]?.string ?? "", octetsMax: octetsMax)
  }

  static func age(_ row: JSONValue, _ name: String, _ now: WallTime) -> String {
    guard let time = row[name]?.integer else { return "-" }
    return Amount.age(seconds: (Int(now.millisecondsSinceEpoch) &- time) / 1000)
  }

  private static func wait(_ row: JSONValue, _ now: WallTime) -> String {
    guard let time = row["next_try_at"]?.integer else { return "-" }
    return "in " + Amount.age(seconds: (time &- Int(now.millisecondsSinceEpoch)) / 1000)
  }

  /// One line, and below it why it waits.
  static func queueRow(_ row: JSONValue, now: WallTime) -> String {
    let more = (row["recipients"]?.integer ?? 1) - 1
    let cells = [
      shown(row, "id"), age(row, "accepted_at", now), Amount.octets(row["octets"]?.integer ?? 0), shown(row, "state"),
      row["stage"] == nil ? "-" : shown(row, "stage"), String(row["attempts"]?.integer ?? 0), wait(row, now),
      "<\(shown(row, "sender", octetsMax: 320))> -> <\(shown(row, "recipient", octetsMax: 320))>"
        + (more > 0 ? " and \(more) more" : ""),
    ]
    let reason = row["reason"] == nil ? "" : String(repeating: " ", count: 15) + shown(row, "reason") + "\n"
    return Columns.line(cells, queueWidths, right: [1, 2, 5]) + reason
  }

  /// The head of `queue show`, or one of its recipients.
  static func messageRow(_ row: JSONValue, now: WallTime) -> String {
    if row["index"] != nil { return recipientRow(row, now: now) }
    var text = "\(shown(row, "id"))\n"
    func line(_ name: String, _ value: String) { text += Columns.hanging(name, value, indent: 2, width: 10) }
    line("accepted", "\(time(row["accepted_at"])) (\(age(row, "accepted_at", now)) ago) from \(shown(row, "origin"))")
    if row["parent"] != nil { line("made from", shown(row, "parent")) }
    line("sender", "<\(shown(row, "sender"))>")
    line("content", "\(Amount.octets(row["octets"]?.integer ?? 0)), \(shown(row, "body"))")
    if row["envelope_id"] != nil { line("envelope", shown(row, "envelope_id")) }
    for attribute in row["attributes"]?.array ?? [] {
      line("attribute", "\(shown(attribute, "name")) = \(shown(attribute, "value"))")
    }
    line("recipients", "\(row["recipients"]?.integer ?? 0), of whom \(row["live"]?.integer ?? 0) are not done")
    return text
  }

  private static func recipientRow(_ row: JSONValue, now: WallTime) -> String {
    var facts = shown(row, "state")
    if row["stage"] != nil { facts += " at \(shown(row, "stage"))" }
    if let attempts = row["attempts"]?.integer, attempts > 0 { facts += ", \(Amount.count(attempts, "attempt"))" }
    if row["next_try_at"] != nil { facts += ", next \(wait(row, now))" }
    let reason = row["reason"] == nil ? "" : "      \(shown(row, "reason"))\n"
    return "  <\(shown(row, "recipient"))>: \(facts)\n\(reason)"
  }

  static func time(_ value: JSONValue?) -> String {
    guard let milliseconds = value?.integer else { return "-" }
    return TimestampText.make(WallTime(millisecondsSinceEpoch: Int64(milliseconds)))
  }

  /// A line of a trace.
  static func event(_ row: JSONValue, now: WallTime) -> String {
    let isNow = row["event"]?.string == "now"
    var text = isNow ? Columns.padded("now", 24) : time(row["time"])
    text += "  \(shown(row, "id"))  "
    if isNow {
      return text + recipientRow(row, now: now).trimmed
    }
    text += Columns.padded(shown(row, "event"), 11)
    if row["stage"] != nil { text += " \(shown(row, "stage"))" }
    let recipients = (row["recipients"]?.array ?? []).compactMap(\.string)
    if !recipients.isEmpty {
      let named = recipients.prefix(3).map { "<\(Shown.text($0, octetsMax: 320))>" }.joined(separator: " ")
      let more = recipients.count - min(3, recipients.count) + (row["more"]?.integer ?? 0)
      text += " \(named)" + (more > 0 ? " and \(more) more" : "")
    }
    if row["successor"] != nil { text += " -> \(shown(row, "successor"))" }
    if row["code"] != nil || row["text"] != nil {
      text += ": " + [shown(row, "code"), shown(row, "text")].filter { !$0.isEmpty }.joined(separator: " ")
    }
    if row["remote_host"] != nil { text += " (\(shown(row, "remote_host")): \(shown(row, "remote_text")))" }
    return text + "\n"
  }

  static func ledger(_ row: JSONValue) -> String {
    func number(_ name: String) -> Int { row[name]?.integer ?? 0 }
    func line(_ name: String, _ value: Int) -> String {
      "  " + Columns.padded(name, 22) + Columns.padded(String(value), 12, .right) + "\n"
    }
    let entered = ["recovered", "accepted", "generated"]
    let ended = ["delivered", "relayed", "transferred", "expanded", "failed", "dead", "moved", "deleted"]
    let live = ["queued", "deferred", "held"]
    func block(_ title: String, _ names: [String]) -> String {
      let shownNames = names.filter { number($0) != 0 }
      return line(title, names.reduce(0) { $0 + number($1) })
        + shownNames.map { line("  \($0)", number($0)) }.joined()
    }
    var text = "recipients since the start of the host\n"
    text += block("came in", entered) + block("ended", ended) + block("live", live)
    text += line("difference", number("difference"))
    for holder in row["holders"]?.array ?? [] {
      text +=
        "  \(shown(holder, "stage")) holds \(Amount.count(holder["jobs"]?.integer ?? 0, "message")), "
        + "the oldest for \(Amount.age(seconds: holder["oldest_seconds"]?.integer ?? 0))\n"
    }
    return text
  }

  static func status(_ row: JSONValue) -> String {
    func number(_ name: String) -> Int { row[name]?.integer ?? 0 }
    var text =
      "interchange \(shown(row, "version")), \(shown(row, "node")), process \(number("pid")), up "
      + Amount.age(seconds: number("uptime_seconds")) + (row["stopping"]?.boolean == true ? ", stopping" : "") + "\n"
    text +=
      "  \(Amount.count(number("messages"), "message")) with \(Amount.count(number("recipients"), "recipient")); last "
      + "work \(Amount.age(seconds: number("seconds_since_work"))) ago\n"
    let room = row["spool_room_octets"]?.integer.map { "\(Amount.octets(max(0, $0))) left" } ?? "room not known yet"
    text +=
      "  spool \(shown(row, "spool_path")): \(Amount.count(number("spool_segments"), "segment")), "
      + "\(Amount.octets(number("spool_octets"))), \(room)\n\n"
    let stages = row["stages"]?.array ?? []
    text += Columns.table(
      ["STAGE", "ROLE", "PHASE", "JOBS", "WAITING", "RESTARTS", ""],
      stages.map { stage in
        [
          shown(stage, "stage"), shown(stage, "role"), shown(stage, "phase"), String(stage["open_jobs"]?.integer ?? 0),
          String(stage["waiting"]?.integer ?? 0), String(stage["restarts"]?.integer ?? 0), shown(stage, "complaint"),
        ]
      }, right: [3, 4, 5])
    let metrics = row["metrics"]?.members ?? []
    if !metrics.isEmpty {
      text +=
        "\n"
        + Columns.table(
          ["METRIC", "VALUE"], metrics.map { [Shown.text($0.0), String($0.1.integer ?? 0)] }, right: [1])
    }
    return text
  }

  /// As Postfix's qshape(1): a row a destination, a column an age.
  static func shape(_ rows: [JSONValue]) -> String {
    guard let total = rows.last, let minutes = total["age_minutes"]?.array else { return "" }
    let numbers = minutes.compactMap(\.integer)
    func cells(_ name: String, _ destination: String, _ row: JSONValue) -> [String] {
      [name, destination, String(row["recipients"]?.integer ?? 0)]
        + (row["by_age"]?.array ?? []).map { String($0.integer ?? 0) }
    }
    let head = ["STAGE", "DESTINATION", "T"] + numbers.map(String.init) + ["\(numbers.last ?? 0)+"]
    let body =
      [cells("TOTAL", "", total)]
      + rows.dropLast().map { row in
        cells(shown(row, "stage"), row["destination"]?.string == "" ? "-" : shown(row, "destination"), row)
      }
    return Columns.table(head, body, right: Set(2..<head.count))
  }
}

internal import JSONText
internal import MailModel
internal import Pipeline
internal import Platform

/// Options that choose recipients of the queue.
enum QueueSelection {
  static let stage = Option("stage", .text("ID"), "Only what is at this stage.")
  static let state = Option(
    "state", .choice(["queued", "active", "deferred", "held", "settling"]), "Only what is in this state.")
  static let sender = Option("sender", .text("TEXT"), "Only from senders with this in the address; '' for no sender.")
  static let recipient = Option("recipient", .text("TEXT"), "Only to recipients with this in the address.")
  static let destination = Option("destination", .text("DOMAIN"), "Only to this destination.")
  static let olderThan = Option("older-than", .duration, "Only what was accepted longer ago.")
  static let options = [stage, state, sender, recipient, destination, olderThan]

  /// As members of a request.
  static func members(_ arguments: Arguments) -> [(String, JSONValue)] {
    var members: [(String, JSONValue)] = []
    for (option, name) in [
      (stage, "stage"), (state, "state"), (sender, "sender"), (recipient, "recipient"), (destination, "destination"),
    ] {
      if let text = arguments.text(option) { members.append((name, .string(text))) }
    }
    if let seconds = arguments.seconds(olderThan) { members.append(("older_than_seconds", .integer(Int(seconds)))) }
    return members
  }
}

extension Verb {
  private static let after = Option("after", .text("ID"), "Begin behind this message: where another listing ended.")

  static let queueList = Verb(
    name: "queue list", summary: "lists what waits, oldest first",
    text: """
      A line for the recipients of one message that stand at the same stage in the same state, and below it why they wait.
      Reading the queue holds up nothing in it, however long it is.
      """,
    options: QueueSelection.options + [after, .limit, .json, .config],
    examples: [
      ("interchange queue list --state deferred --destination example.net", "Why mail to example.net waits."),
      ("interchange queue list --older-than 1h --json | jq -r .id", "The messages themselves, for a script."),
    ]
  ) { arguments, console in
    var members = QueueSelection.members(arguments)
    if let id = arguments.text(after) { members.append(("after", .string(id))) }
    if let limit = arguments.whole(.limit) { members.append(("limit", .integer(limit))) }
    let now = WallTime.now()
    var count = 0
    let exit = HostConnection.rows(arguments, console, .queueList, members) { row in
      count += 1
      return (count == 1 ? RowText.queueHead : "") + RowText.queueRow(row, now: now)
    }
    if exit == .done, count == 0, !arguments.has(.json) { console.line("nothing waits") }
    return exit
  }
}

internal import JSONText

extension Verb {
  static let queueHold = order(
    "hold", .queueHold, "keeps waiting and deferred recipients until they are released", [QueueOrder.reason],
    [
      ("interchange queue hold 0CKZ3V7PW0000 --reason 'asked sender'", "One message."),
      ("interchange queue hold --all --destination example.net --dry-run", "What would be kept."),
    ])

  static let queueRelease = order(
    "release", .queueRelease, "lets held recipients go on", [],
    [("interchange queue release --all --stage imc_out", "Everything that is held at a stage.")])

  static let queueRetry = order(
    "retry", .queueRetry, "tries deferred recipients now", [],
    [("interchange queue retry --all --destination example.net", "Once the other side works again.")])

  static let queueDelete = order(
    "delete", .queueDelete, "removes waiting, deferred and held recipients; nobody is told", [QueueOrder.reason],
    [
      ("interchange queue delete --all --sender spam@example.com --dry-run", "What would be removed."),
      ("interchange queue delete 0CKZ3V7PW0000", "One message."),
    ])

  private static func order(
    _ word: String, _ verb: AdminVerb, _ summary: String, _ options: [Option],
    _ examples: [(command: String, effect: String)]
  ) -> Verb {
    Verb(
      name: "queue \(word)", summary: summary,
      text: """
        Names messages by their identifiers, or with --all every message that the other options choose. What is in a
        stage's hands at that moment is not touched, and counted as busy. The answer comes when the change is durable.
        """,
      operands: [Operand(name: "ID", count: .any)],
      options: [QueueOrder.all] + QueueSelection.options + options + [.dryRun, .json, .config], examples: examples
    ) { arguments, console in QueueOrder.run(verb, arguments, console) }
  }
}

/// What the verbs that change the queue have in common.
enum QueueOrder {
  static let all = Option("all", .flag, "Every message that the other options choose.")
  static let reason = Option("reason", .text("TEXT"), "Why, for the message's history.")
  /// Identifiers in one request, so that its line stays short.
  private static let identifiersPerRequest = 500

  static func run(_ verb: AdminVerb, _ arguments: Arguments, _ console: Console) -> ExitCode {
    guard arguments.has(all) != !arguments.operands.isEmpty else {
      console.error("\(verb.rawValue) needs identifiers or --all, and not both")
      return .usage
    }
    var members = QueueSelection.members(arguments)
    if let text = arguments.text(reason) { members.append(("reason", .string(text))) }
    let isDryRun = arguments.has(.dryRun)
    if isDryRun { members.append(("dry_run", .boolean(true))) }
    var requests: [[(String, JSONValue)]] = []
    if arguments.has(all) {
      requests = [members + [("all", .boolean(true))]]
    } else {
      var rest = arguments.operands[...]
      while !rest.isEmpty {
        requests.append(members + [("ids", .array(rest.prefix(identifiersPerRequest).map(JSONValue.string)))])
        rest = rest.dropFirst(identifiersPerRequest)
      }
    }
    var tally = Tally()
    let exit = HostConnection.with(arguments, console) { (client) throws(AdminFailure) in
      for request in requests {
        try client.ask(verb, request) { row in
          tally.add(row)
          if arguments.has(.json) {
            console.line(row.text)
          } else if row["found"]?.boolean == false {
            console.error("\(RowText.shown(row, "id")) is not in the queue")
          } else if tally.messages % 100 == 0 {
            console.progress("\(tally.messages) messages")
          }
        }
      }
      return tally.missing > 0 ? .failed : .done
    }
    console.endProgress()
    if !arguments.has(.json), exit == .done || exit == .failed { console.line(tally.text(isDryRun: isDryRun)) }
    return exit
  }

  struct Tally {
    var messages = 0
    var recipients = 0
    var busy = 0
    var missing = 0

    mutating func add(_ row: JSONValue) {
      if row["found"]?.boolean == false { missing += 1 }
      let affected = row["affected"]?.integer ?? 0
      if affected > 0 { messages += 1 }
      recipients += affected
      busy += row["busy"]?.integer ?? 0
    }

    func text(isDryRun: Bool) -> String {
      let changed = "\(Amount.count(recipients, "recipient")) of \(Amount.count(messages, "message"))"
      let rest = busy > 0 ? "; \(Amount.count(busy, "recipient")) busy in a stage's hands" : ""
      return (isDryRun ? "would change " : "changed ") + changed + rest
    }
  }
}

internal import JSONText

extension Verb {
  static let queueShape = Verb(
    name: "queue shape", summary: "counts what waits by age and destination",
    text: """
      A row for each stage and destination, largest first; columns count recipients that were accepted less than so many
      minutes ago. Many old ones in one row: that destination is in trouble. Old ones in every row: this gateway is.
      """,
    options: QueueSelection.options + [.limit, .json, .config],
    examples: [("interchange queue shape --state deferred", "Where mail piles up.")]
  ) { arguments, console in
    var rows: [JSONValue] = []
    let exit = HostConnection.with(arguments, console) { (client) throws(AdminFailure) in
      try client.ask(.queueShape, QueueSelection.members(arguments)) { rows.append($0) }
      return .done
    }
    guard exit == .done else { return exit }
    let limit = arguments.whole(.limit) ?? 1_000_000
    if rows.count > limit, let total = rows.last { rows = Array(rows.prefix(limit)) + [total] }
    if arguments.has(.json) {
      for row in rows { console.line(row.text) }
    } else {
      console.output(RowText.shape(rows))
    }
    return .done
  }
}

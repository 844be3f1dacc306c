internal import JSONText

extension Verb {
  static let health = Verb(
    name: "health", summary: "says whether mail moves; exit code 0 when it does",
    text: """
      Well means: every stage is up and has no complaint, the spool has room, and what is neither deferred nor held has
      moved within the last minute. That the process lives is not enough.
      """,
    options: [.json, .config],
    examples: [("interchange health || page-somebody", "0 well, 1 not, 69 not running, 75 busy.")]
  ) { arguments, console in
    var isHealthy = false
    let exit = HostConnection.with(arguments, console) { (client) throws(AdminFailure) in
      try client.ask(.health) { row in
        isHealthy = row["healthy"]?.boolean == true
        let problems = (row["problems"]?.array ?? []).compactMap(\.string)
        let text = isHealthy ? "well\n" : problems.map { Shown.text($0) + "\n" }.joined()
        console.output(arguments.has(.json) ? row.text + "\n" : text)
      }
      return .done
    }
    guard exit == .done else { return exit }
    return isHealthy ? .done : .failed
  }
}

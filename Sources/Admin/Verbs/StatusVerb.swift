extension Verb {
  static let status = Verb(
    name: "status", summary: "tells how the running host is: stages, queue, spool, metrics", options: [.json, .config],
    examples: [("interchange status", "Which stages are up, and what they have to do.")]
  ) { arguments, console in HostConnection.rows(arguments, console, .status) { RowText.status($0) } }
}

internal import JSONText
internal import MailModel
internal import Pipeline
internal import PipelineConfig
internal import Platform

extension Verb {
  static let trace = Verb(
    name: "trace", summary: "tells everything that happened to a message, recipient by recipient",
    text: """
      From the spool's history, and from the queue of a running host for what is not done yet (event "now"). Goes on into
      the messages that were made from it, the reports about it, and the message that it was made from. Works without a
      running host, too.
      """,
    operands: [Operand(name: "ID")], options: [.json, .config],
    examples: [("interchange trace 0CKZ3V7PW0000", "The number stands in the log and in the reply to the peer.")]
  ) { arguments, console in
    guard let file = PipelinePath.read(arguments, console) else { return .configuration }
    guard let id = QueueID(arguments.operands[0]) else {
      console.error("'\(Shown.text(arguments.operands[0]))' is not an identifier: 13 letters and digits")
      return .usage
    }
    var events: [JSONValue] = []
    var trouble: String?
    do throws(AdminFailure) {
      try AdminClient(path: file.admin.socket).ask(.trace, [("ids", .array([.string(id.description)]))]) {
        events.append($0)
      }
    } catch {
      guard error.exit == .hostNotRunning else {
        console.error(error.text)
        return error.exit
      }
      var collector = TraceCollector(spoolPath: file.spool.path)
      collector.collect(id) { _ in nil }
      events = collector.events
      trouble = collector.trouble
    }
    guard !events.isEmpty else {
      console.error(trouble ?? "nothing is known of \(id)")
      return .failed
    }
    let now = WallTime.now()
    for event in events { console.output(arguments.has(.json) ? event.text + "\n" : RowText.event(event, now: now)) }
    return .done
  }
}

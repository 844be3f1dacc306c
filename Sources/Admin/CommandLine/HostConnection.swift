internal import JSONText
internal import PipelineConfig

/// What verbs that need the running host have in common.
enum HostConnection {
  /// Finds the socket by the pipeline file, connects and runs `body`; complaints are written.
  static func with(
    _ arguments: Arguments, _ console: Console, _ body: (AdminClient) throws(AdminFailure) -> ExitCode
  ) -> ExitCode {
    guard let file = PipelinePath.read(arguments, console) else { return .configuration }
    do throws(AdminFailure) {
      return try body(try AdminClient(path: file.admin.socket))
    } catch {
      console.error(error.text)
      return error.exit
    }
  }

  /// Asks for rows and writes each: as it is with `--json`, else as `text` renders it.
  static func rows(
    _ arguments: Arguments, _ console: Console, _ verb: AdminVerb, _ members: [(String, JSONValue)] = [],
    _ text: (JSONValue) -> String
  ) -> ExitCode {
    with(arguments, console) { (client) throws(AdminFailure) in
      try client.ask(verb, members) { row in
        console.output(arguments.has(.json) ? row.text + "\n" : text(row))
      }
      return .done
    }
  }
}

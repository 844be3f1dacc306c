/// `interchange`, given its words.
public enum CommandLineInterface {
  /// In the order of the overview.
  static let verbs: [Verb] = [
    .run, .check, .schema, .graph,
    .stageList, .stageShow, .stageCheck, .stageNew,
    .queueList, .queueShow, .queueHold, .queueRelease, .queueRetry, .queueDelete, .queueShape,
    .deadList, .deadShow, .deadRequeue, .deadExport, .deadDrop,
    .spoolVerify, .spoolDump,
    .trace, .ledger, .inject, .status, .health,
    .version, .help,
  ]

  /// - Parameter words: Without the program's name.
  public static func run(_ words: [String], console: Console = .standard) -> ExitCode {
    var words = words
    if let first = words.first, first == "--help" || first == "-h" { words[0] = "help" }
    if words.first == "--version" { words[0] = "version" }
    do throws(UsageError) {
      let command = try CommandLineParser.parse(words, verbs: verbs)
      if command.wantsHelp {
        console.output(HelpText.verb(command.verb))
        return .done
      }
      return command.verb.run(command.arguments, console)
    } catch {
      console.error(error.text)
      if let hint = error.hint { console.complain("  \(hint)\n") }
      return .usage
    }
  }
}

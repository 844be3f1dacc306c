internal import JSONText
internal import StageHost

extension Verb {
  private static let settings = Option(
    "settings", .text("STAGE=FILE"), isRepeatable: true, "What stands under config: of a stage, for its checks; YAML.")

  static let stageCheck = Verb(
    name: "stage check", summary: "examines a module, each check in a process of its own",
    text: """
      Loading, level, layout, names, settings, exports; then of each stage: that it starts and stops, answers, gives
      back what it is asked for. A stage that needs settings is examined when they are given. Exit code 1 when a check
      failed.
      """,
    operands: [Operand(name: "FILE.so")], options: [settings, .json],
    examples: [
      ("interchange stage check ./libdisclaimer.so", "Before it is wired."),
      ("interchange stage check ./libmine.so --settings sink=sink.yaml", "With settings for its stage sink."),
    ]
  ) { arguments, console in
    Backtraces.turnOffInChildren()
    var configurations: [String: String] = [:]
    for text in arguments.texts(settings) {
      let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
      guard parts.count == 2 else {
        console.error("--settings '\(Shown.text(text))' is not STAGE=FILE")
        return .usage
      }
      switch InputFile.read(parts[1], octetsMax: 1 << 20) {
      case .success(let octets): configurations[parts[0]] = String(decoding: octets, as: UTF8.self)
      case .failure(let failure):
        console.error(failure.text)
        return failure.exit
      }
    }
    let report = StageConformance.check(arguments.operands[0], configurations: configurations) { check in
      guard arguments.has(.json) else {
        console.line(Shown.text(check.description))
        return
      }
      console.line(
        row([
          ("check", .string(check.kind.rawValue)), ("stage", check.stage.map(JSONValue.string)),
          ("outcome", .string(check.outcome.word)), ("reason", check.reason.isEmpty ? nil : .string(check.reason)),
        ]).text)
    }
    return report.isPassed ? .done : .failed
  }
}

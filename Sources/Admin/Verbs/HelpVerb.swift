extension Verb {
  static let help = Verb(
    name: "help", summary: "tells how to use a verb",
    operands: [Operand(name: "VERB", count: .any)],
    examples: [
      ("interchange help queue list", "The options of one verb, with examples."),
      ("interchange help queue", "The verbs of a group."),
    ]
  ) { arguments, console in
    let verbs = CommandLineInterface.verbs
    let name = arguments.operands.joined(separator: " ")
    if name.isEmpty {
      console.output(HelpText.overview(verbs))
      return .done
    }
    if let verb = verbs.first(where: { $0.name == name }) {
      console.output(HelpText.verb(verb))
      return .done
    }
    let group = verbs.filter { $0.name.hasPrefix("\(name) ") }
    guard group.isEmpty else {
      console.output(HelpText.group(name, group))
      return .done
    }
    return CommandLineInterface.run(arguments.operands, console: console)
  }

  static let version = Verb(name: "version", summary: "says which version this is") { _, console in
    console.line("interchange \(Version.text)")
    return .done
  }
}

public enum Version {
  public static let text = "0.1.0"
}

/// What `interchange help` says, made from the verbs themselves. Lines of at most 100 columns.
enum HelpText {
  static let columnsMax = 100

  static func overview(_ verbs: [Verb]) -> String {
    var text = """
      interchange joins Internet mail, X.400 and Microsoft Mail into one pipeline, wired in one file.

      usage: interchange VERB [OPTION…] [OPERAND…]

      """
    let width = verbs.map(\.name.count).max() ?? 0
    var group: Substring = ""
    for verb in verbs {
      let first = verb.name.prefix { $0 != " " }
      let isGrouped = verbs.count(where: { $0.name.hasPrefix("\(first) ") }) > 1
      let next = isGrouped ? first : ""
      if next != group || text.hasSuffix("…]\n") { text += "\n" }
      group = next
      text += Columns.hanging(verb.name, verb.summary, indent: 2, width: width)
    }
    text += """

      interchange help VERB tells more of one and shows examples. Every verb that reads takes --json.

      exit codes:

      """
    for code in ExitCode.allCases { text += Columns.hanging("\(code.rawValue)", code.meaning, indent: 2, width: 2) }
    return text
  }

  static func verb(_ verb: Verb) -> String {
    var text = "\(verb.summary)\n\n" + Columns.hanging("usage:", verb.usage, indent: 0, width: 6)
    for paragraph in paragraphs(verb.text) { text += "\n" + Columns.hanging("", paragraph, indent: 0, width: 0) }
    let options = verb.allOptions
    let width = options.map(\.synopsis.count).max() ?? 0
    text += "\noptions:\n"
    for option in options {
      let summary = option.summary + (option.isRepeatable ? " May be repeated." : "")
      text += Columns.hanging(option.synopsis, summary, indent: 2, width: min(width, 40))
    }
    if !verb.examples.isEmpty {
      text += "\nexamples:\n"
      for example in verb.examples {
        text += "  \(example.command)\n"
        text += Columns.hanging("", example.effect, indent: 6, width: 0)
      }
    }
    return text
  }

  /// Runs of lines between empty ones, each as one line.
  private static func paragraphs(_ text: String) -> [String] {
    text.split(separator: "\n", omittingEmptySubsequences: false).split(separator: "").map { $0.joined(separator: " ") }
  }

  /// The verbs of a group, for `help queue`.
  static func group(_ name: String, _ verbs: [Verb]) -> String {
    let width = verbs.map(\.name.count).max() ?? 0
    return "usage: interchange \(name) VERB\n\n"
      + verbs.map { Columns.hanging($0.name, $0.summary, indent: 2, width: width) }.joined()
  }
}

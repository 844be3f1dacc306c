internal import PipelineConfig

/// Why the words of a command line make no sense.
struct UsageError: Error, Equatable {
  var text: String
  var hint: String?
}

/// Words to a verb and its arguments. Options may stand before, between and behind operands; `--` ends them; `-` is an
/// operand. A value follows as the next word, after `=`, or right behind a letter (`-cFILE`).
enum CommandLineParser {
  struct Command: Sendable {
    var verb: Verb
    var arguments: Arguments
    /// `--help` was among the options; nothing else was checked.
    var wantsHelp: Bool
  }

  static func parse(_ words: [String], verbs: [Verb]) throws(UsageError) -> Command {
    let (verb, following) = try findVerb(words, verbs)
    var arguments = Arguments()
    var rest = following
    var optionsEnded = false
    while let word = rest.popFirst() {
      if optionsEnded || word == "-" || !word.hasPrefix("-") {
        arguments.operands.append(word)
      } else if word == "--" {
        optionsEnded = true
      } else {
        try readOption(word, &rest, verb, &arguments)
      }
    }
    if arguments.has(.help) { return Command(verb: verb, arguments: arguments, wantsHelp: true) }
    try check(arguments, verb)
    return Command(verb: verb, arguments: arguments, wantsHelp: false)
  }

  private static func findVerb(_ words: [String], _ verbs: [Verb]) throws(UsageError) -> (Verb, ArraySlice<String>) {
    guard let first = words.first else { throw UsageError(text: "no verb", hint: "interchange help lists them") }
    if words.count > 1, let verb = verbs.first(where: { $0.name == "\(first) \(words[1])" }) {
      return (verb, words.dropFirst(2))
    }
    if let verb = verbs.first(where: { $0.name == first }) { return (verb, words.dropFirst()) }
    let seconds = verbs.filter { $0.name.hasPrefix("\(first) ") }.map { String($0.name.dropFirst(first.count + 1)) }
    if !seconds.isEmpty {
      guard words.count > 1, !words[1].hasPrefix("-") else {
        throw UsageError(text: "\(first) what?", hint: "one of: " + seconds.joined(separator: ", "))
      }
      throw UsageError(
        text: "\(first) has no verb \(shown(words[1]))",
        hint: suggestionHint(for: words[1], among: seconds))
    }
    let names = verbs.map(\.name)
    let typed = words.prefix(2).joined(separator: " ")
    var firsts: [String] = []
    for name in names {
      let first = String(name.prefix { $0 != " " })
      if !firsts.contains(first) { firsts.append(first) }
    }
    let hint = suggestionHint(for: first, among: firsts) ?? suggestionHint(for: typed, among: names)
    throw UsageError(text: "there is no verb \(shown(first))", hint: hint ?? "interchange help lists them")
  }

  private static func readOption(
    _ word: String, _ rest: inout ArraySlice<String>, _ verb: Verb, _ arguments: inout Arguments
  ) throws(UsageError) {
    let option: Option
    var attached: String?
    if word.hasPrefix("--") {
      let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = parts.first.map(String.init) ?? ""
      attached = parts.count > 1 ? String(parts[1]) : nil
      guard let known = verb.allOptions.first(where: { $0.name == name }) else {
        throw UsageError(
          text: "\(verb.name) has no option \(shown("--" + name))",
          hint: suggestionHint(for: name, among: verb.allOptions.map(\.name)))
      }
      option = known
    } else {
      let letter = word.dropFirst().first
      guard let known = verb.allOptions.first(where: { $0.letter == letter }) else {
        throw UsageError(
          text: "\(verb.name) has no option \(shown(word))", hint: "interchange help \(verb.name) lists them")
      }
      option = known
      if word.count > 2 { attached = String(word.dropFirst(2)) }
    }
    guard option.value != .flag else {
      guard attached == nil else { throw UsageError(text: "--\(option.name) takes no value") }
      arguments.values.append((option, .flag))
      return
    }
    guard let text = attached ?? rest.popFirst() else {
      throw UsageError(text: "--\(option.name) needs a value", hint: option.synopsis.trimmed)
    }
    if arguments.has(option) && !option.isRepeatable { throw UsageError(text: "--\(option.name) stands twice") }
    arguments.values.append((option, try value(text, of: option)))
  }

  private static func value(_ text: String, of option: Option) throws(UsageError) -> Arguments.Value {
    switch option.value {
    case .flag: return .flag
    case .text: return .text(text)
    case .whole(_, let range):
      guard let number = Int(text), range.contains(number) else {
        throw UsageError(
          text: "--\(option.name) \(shown(text)) is not a whole number from \(range.lowerBound) to \(range.upperBound)")
      }
      return .whole(number)
    case .duration:
      let (seconds, complaint, hint) = DurationText.seconds(text)
      guard let seconds else { throw UsageError(text: "--\(option.name) \(shown(text)) \(complaint)", hint: hint) }
      return .seconds(seconds)
    case .choice(let words):
      guard words.contains(text) else {
        throw UsageError(
          text: "--\(option.name) cannot be \(shown(text))", hint: "one of: " + words.joined(separator: ", "))
      }
      return .text(text)
    }
  }

  private static func check(_ arguments: Arguments, _ verb: Verb) throws(UsageError) {
    for option in verb.options where option.isRequired && !arguments.has(option) {
      throw UsageError(text: "\(verb.name) needs \(option.synopsis.trimmed)", hint: verb.usage)
    }
    var least = 0
    var most = 0
    for operand in verb.operands {
      switch operand.count {
      case .one: (least, most) = (least + 1, most + 1)
      case .optional: most += 1
      case .oneOrMore: (least, most) = (least + 1, operandsMax)
      case .any: most = operandsMax
      }
    }
    if arguments.operands.count < least {
      let names = verb.operands.dropFirst(arguments.operands.count).map(\.name)
      throw UsageError(text: "\(verb.name) needs \(names.first ?? "more")", hint: verb.usage)
    }
    if arguments.operands.count > most {
      throw UsageError(text: "\(verb.name) has no place for \(shown(arguments.operands[most]))", hint: verb.usage)
    }
  }

  private static let operandsMax = 100_000

  private static func shown(_ text: String) -> String { "'\(Shown.text(text, octetsMax: 80))'" }
}

extension String {
  var trimmed: String { String(drop { $0 == " " }) }
}

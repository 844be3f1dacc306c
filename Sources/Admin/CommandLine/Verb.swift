/// What `interchange` can do: one value a verb, each in a file of its own under Verbs/. Parsing, help and the list of
/// verbs all come from these values.
struct Verb: Sendable {
  /// Words that follow the options' names, in order.
  struct Operand: Sendable {
    enum Count: Sendable { case one, optional, oneOrMore, any }
    var name: String
    var count: Count = .one
  }

  /// One or two words, as typed.
  var name: String
  /// One line without a full stop.
  var summary: String
  /// What else to know; paragraphs with an empty line between them, which help breaks anew.
  var text = ""
  var operands: [Operand] = []
  var options: [Option] = []
  /// What to type, and what comes of it.
  var examples: [(command: String, effect: String)] = []
  var run: @Sendable (Arguments, Console) -> ExitCode

  var allOptions: [Option] { options + [.help] }

  /// `interchange queue show [--json] ID`.
  var usage: String {
    var parts = ["interchange \(name)"]
    for option in options {
      let placeholder = option.value.placeholder.map { " \($0)" } ?? ""
      let written = option.letter.map { "-\($0)\(placeholder)" } ?? "--\(option.name)\(placeholder)"
      parts.append((option.isRequired ? written : "[\(written)]") + (option.isRepeatable ? "…" : ""))
    }
    for operand in operands {
      switch operand.count {
      case .one: parts.append(operand.name)
      case .optional: parts.append("[\(operand.name)]")
      case .oneOrMore: parts.append("\(operand.name)…")
      case .any: parts.append("[\(operand.name)…]")
      }
    }
    return parts.joined(separator: " ")
  }
}

/// What was typed after a verb, checked against its options.
struct Arguments: Sendable {
  enum Value: Sendable, Equatable {
    case flag
    case text(String)
    case whole(Int)
    case seconds(Double)
  }

  var operands: [String] = []
  var values: [(option: Option, value: Value)] = []

  func has(_ option: Option) -> Bool { values.contains { $0.option == option } }

  /// Of a text or a choice.
  func text(_ option: Option) -> String? { texts(option).last }

  func texts(_ option: Option) -> [String] {
    values.compactMap { entry in
      if entry.option == option, case .text(let text) = entry.value { text } else { nil }
    }
  }

  func whole(_ option: Option) -> Int? {
    for entry in values.reversed() where entry.option == option {
      if case .whole(let number) = entry.value { return number }
    }
    return nil
  }

  func seconds(_ option: Option) -> Double? {
    for entry in values.reversed() where entry.option == option {
      if case .seconds(let seconds) = entry.value { return seconds }
    }
    return nil
  }
}

/// An option of the command line: what help says of it, and what its value may be.
struct Option: Sendable, Hashable {
  enum Value: Sendable, Hashable {
    /// Present or not.
    case flag
    case text(String)
    case whole(String, ClosedRange<Int>)
    /// `90s`, `1h30m`, `2d`.
    case duration
    case choice([String])

    /// What stands for the value in help; nil for a flag.
    var placeholder: String? {
      switch self {
      case .flag: nil
      case .text(let word), .whole(let word, _): word
      case .duration: "TIME"
      case .choice(let words): words.joined(separator: "|")
      }
    }
  }

  var name: String
  var letter: Character?
  var value: Value
  var summary: String
  var isRequired = false
  /// May stand more than once, each adding a value.
  var isRepeatable = false

  init(
    _ name: String, letter: Character? = nil, _ value: Value, isRequired: Bool = false,
    isRepeatable: Bool = false, _ summary: String
  ) {
    self.name = name
    self.letter = letter
    self.value = value
    self.isRequired = isRequired
    self.isRepeatable = isRepeatable
    self.summary = summary
  }

  /// `-c, --config FILE`.
  var synopsis: String {
    let placeholder = value.placeholder.map { " \($0)" } ?? ""
    return (letter.map { "-\($0), " } ?? "    ") + "--\(name)\(placeholder)"
  }
}

// Options that several verbs have.
extension Option {
  static let config = Option(
    "config", letter: "c", .text("FILE"),
    "The pipeline file; else ./pipeline.yaml, else /etc/interchange/pipeline.yaml.")
  static let json = Option("json", .flag, "One JSON object a line, see docs/cli.md.")
  static let dryRun = Option("dry-run", letter: "n", .flag, "Say what would be done, and do nothing.")
  static let help = Option("help", letter: "h", .flag, "This text.")
  static let limit = Option("limit", .whole("N", 1...1_000_000), "Show at most so many rows.")
}

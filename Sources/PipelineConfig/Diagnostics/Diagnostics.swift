/// Every complaint about a configuration, and the text of the files they are about.
///
/// Nothing stops at the first: the stages of reading add what they find and go on with what is left. At most
/// ``ConfigLimits/diagnosticsMax`` are kept; further ones are counted.
public struct Diagnostics: Sendable {
  private var kept: [Diagnostic] = []
  private var sources: [String: SourceText] = [:]
  public private(set) var omittedCount = 0
  private var errorSeen = false

  public init() {}

  public var hasErrors: Bool { errorSeen }
  public var isEmpty: Bool { kept.isEmpty }
  /// Further complaints are only counted, so that their hints need not be made.
  var isFull: Bool { kept.count >= ConfigLimits.diagnosticsMax }

  /// Whether an error is about a part of the file from one place up to another (nil: the end).
  func hasErrors(from start: ConfigMark, to end: ConfigMark?) -> Bool {
    errorSeen
      && kept.contains { diagnostic in
        diagnostic.severity == .error && diagnostic.mark.file == start.file && diagnostic.mark >= start
          && (end.map { diagnostic.mark < $0 } ?? true)
      }
  }

  /// In the order of the files.
  public var all: [Diagnostic] {
    kept.enumerated().sorted { left, right in
      left.element.mark != right.element.mark ? left.element.mark < right.element.mark : left.offset < right.offset
    }.map(\.element)
  }

  public mutating func add(source: SourceText, file: String) { sources[file] = source }

  /// Adds a complaint; the same one twice is kept once.
  public mutating func add(_ diagnostic: Diagnostic) {
    if diagnostic.severity == .error { errorSeen = true }
    guard kept.count < ConfigLimits.diagnosticsMax else {
      omittedCount += 1
      return
    }
    if !kept.contains(diagnostic) { kept.append(diagnostic) }
  }

  public mutating func error(_ text: String, at mark: ConfigMark, hint: String? = nil) {
    add(Diagnostic(.error, text, at: mark, hint: hint))
  }

  public mutating func warning(_ text: String, at mark: ConfigMark, hint: String? = nil) {
    add(Diagnostic(.warning, text, at: mark, hint: hint))
  }

  /// Adds all that another collection holds.
  public mutating func merge(_ other: Diagnostics) {
    sources.merge(other.sources) { mine, _ in mine }
    for diagnostic in other.kept { add(diagnostic) }
    omittedCount += other.omittedCount
    if other.errorSeen { errorSeen = true }
  }

  /// For people: each as `file:line:col: error: text`, the line of the file, a caret under the place, and the hint.
  public func render() -> String {
    var text = all.map(render).joined()
    if omittedCount > 0 { text += "and \(omittedCount) more\n" }
    return text
  }

  /// One JSON object a line, see ``Diagnostic/json``.
  public func renderJSON() -> String { all.map { $0.json + "\n" }.joined() }

  private func render(_ diagnostic: Diagnostic) -> String {
    let mark = diagnostic.mark
    var text = "\(mark): \(diagnostic.severity.word): \(printable(diagnostic.text))\n"
    if mark.line >= 1, let source = sources[mark.file], mark.line <= source.lineCount {
      let (shown, caretColumn) = Self.excerpt(of: source.line(mark.line), column: mark.column)
      let number = String(mark.line)
      let padding = String(repeating: " ", count: number.count)
      text += "  \(number) | \(shown)\n  \(padding) | \(String(repeating: " ", count: caretColumn))^\n"
    }
    if let hint = diagnostic.hint { text += "  hint: \(printable(hint))\n" }
    return text
  }

  /// The line with one column for each character, cut around the caret when it is long; the caret's zero-based column.
  private static func excerpt(of line: String, column: Int) -> (text: String, caretColumn: Int) {
    let width = ConfigLimits.shownLineCharactersMax
    let scalars = Array(line.unicodeScalars)
    let caret = min(max(column - 1, 0), scalars.count)
    let start = caret <= width * 2 / 3 ? 0 : caret - width / 2
    let end = min(start + width, scalars.count)
    var text = String.UnicodeScalarView()
    text.append(contentsOf: scalars[start..<end])
    let prefix = start > 0 ? "…" : ""
    return (prefix + printable(String(text)) + (end < scalars.count ? "…" : ""), caret - start + prefix.count)
  }
}

/// Control characters as U+FFFD, tabs as a space: text from a file or a peer must not steer a terminal.
func printable(_ text: String) -> String {
  var scalars = String.UnicodeScalarView()
  for scalar in text.unicodeScalars {
    switch scalar.value {
    case 0x09: scalars.append(" ")
    case 0..<0x20, 0x7F..<0xA0, 0x200B...0x200F, 0x2028...0x202E, 0x2066...0x2069: scalars.append("\u{FFFD}")
    default: scalars.append(scalar)
    }
  }
  return String(scalars)
}

/// A name or value from the file, in quotes, cut to what fits a line.
func quoted(_ text: String) -> String {
  text.unicodeScalars.count <= 60 ? "'\(printable(text))'" : "'\(printable(String(text.prefix(60))))…'"
}

internal import JSONText

/// One complaint about a configuration, and where.
public struct Diagnostic: Hashable, Sendable {
  public enum Severity: UInt8, Sendable {
    case error = 1
    case warning = 2

    public var word: String {
      switch self {
      case .error: "error"
      case .warning: "warning"
      }
    }
  }

  public var severity: Severity
  public var mark: ConfigMark
  /// What is wrong, in one line, without a full stop. Never holds a secret.
  public var text: String
  /// What to do about it, when that is known.
  public var hint: String?

  public init(_ severity: Severity, _ text: String, at mark: ConfigMark, hint: String? = nil) {
    self.severity = severity
    self.mark = mark
    self.text = text
    self.hint = hint
  }

  /// One JSON object in one line: `severity`, `file`, `line`, `column`, `text` and, when known, `hint`.
  public var json: String {
    var members: [(String, JSONValue)] = [
      ("severity", .string(severity.word)), ("file", .string(mark.file)), ("line", .integer(mark.line)),
      ("column", .integer(mark.column)), ("text", .string(text)),
    ]
    if let hint { members.append(("hint", .string(hint))) }
    return JSONValue.object(members).text
  }
}

/// Where in a file something is written. Lines and columns count from 1; a column is a count of characters (Unicode
/// scalars), as an editor shows them.
public struct ConfigMark: Hashable, Sendable {
  public var file: String
  public var line: Int
  public var column: Int

  public init(file: String, line: Int, column: Int) {
    self.file = file
    self.line = line
    self.column = column
  }

  /// A place that is no file: a default, or a value made by a program.
  public static let nowhere = ConfigMark(file: "", line: 0, column: 0)
}

extension ConfigMark: Comparable {
  public static func < (left: ConfigMark, right: ConfigMark) -> Bool {
    if left.file != right.file { return left.file < right.file }
    return left.line != right.line ? left.line < right.line : left.column < right.column
  }
}

extension ConfigMark: CustomStringConvertible {
  public var description: String { file.isEmpty ? "-" : line == 0 ? file : "\(file):\(line):\(column)" }
}

internal import Pipeline

/// Text from elsewhere, made fit for a terminal.
enum Shown {
  static func text(_ text: String, octetsMax: Int = 1024) -> String { LogText.neutral(text, octetsMax: octetsMax) }
}

/// Text in columns, by characters.
enum Columns {
  enum Side: Sendable { case left, right }

  /// Rows under a head, each column as wide as its widest cell, the last one as it is.
  static func table(_ head: [String], _ rows: [[String]], right: Set<Int> = []) -> String {
    var widths = head.map(\.count)
    for row in rows {
      for (column, cell) in row.enumerated() where column < widths.count {
        widths[column] = max(widths[column], cell.count)
      }
    }
    return ([head] + rows).map { line($0, widths, right: right) }.joined()
  }

  /// One line of a table whose widths are known.
  static func line(_ cells: [String], _ widths: [Int], right: Set<Int> = []) -> String {
    var text = ""
    for (column, cell) in cells.enumerated() {
      if column > 0 { text += "  " }
      text += padded(cell, column < widths.count ? widths[column] : 0, right.contains(column) ? .right : .left)
    }
    while text.last == " " { text.removeLast() }
    return text + "\n"
  }

  static func padded(_ text: String, _ width: Int, _ side: Side = .left) -> String {
    let padding = String(repeating: " ", count: max(0, width - text.count))
    switch side {
    case .left: return text + padding
    case .right: return padding + text
    }
  }

  /// A name, and beside it a text that is broken between words and stays in its own column.
  static func hanging(_ name: String, _ text: String, indent: Int, width: Int) -> String {
    let start = indent + (width > 0 ? width + 2 : 0)
    let room = max(20, HelpText.columnsMax - start)
    var lines: [String] = [""]
    for word in text.split(separator: " ") {
      let last = lines[lines.count - 1]
      if last.isEmpty {
        lines[lines.count - 1] = String(word)
      } else if last.count + 1 + word.count <= room {
        lines[lines.count - 1] += " \(word)"
      } else {
        lines.append(String(word))
      }
    }
    var result = ""
    let margin = String(repeating: " ", count: start)
    var head = String(repeating: " ", count: indent) + padded(name, start - indent)
    if name.count + 1 > start - indent && !name.isEmpty {
      result = head + "\n"
      head = margin
    }
    for (index, line) in lines.enumerated() { result += (index == 0 ? head : margin) + line + "\n" }
    return result
  }
}

/// Numbers for people.
enum Amount {
  /// `17s`, `12m`, `3h05m`, `2d04h`.
  static func age(seconds: Int) -> String {
    let seconds = max(0, seconds)
    func padded(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
    switch seconds {
    case ..<120: return "\(seconds)s"
    case ..<7200: return "\(seconds / 60)m"
    case ..<172_800: return "\(seconds / 3600)h\(padded(seconds / 60 % 60))m"
    default: return "\(seconds / 86_400)d\(padded(seconds / 3600 % 24))h"
    }
  }

  /// `512 B`, `14.2 KiB`, `3.0 GiB`.
  static func octets(_ octets: Int) -> String {
    guard octets >= 1024 else { return "\(octets) B" }
    var tenths = octets / 1024 * 10 + octets % 1024 * 10 / 1024
    for unit in ["KiB", "MiB", "GiB"] {
      if tenths < 10_240 { return "\(tenths / 10).\(tenths % 10) \(unit)" }
      tenths /= 1024
    }
    return "\(tenths / 10).\(tenths % 10) TiB"
  }

  /// `1 message`, `2 messages`.
  static func count(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }
}

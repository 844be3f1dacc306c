import Foundation

/// The sized and frozen structs, the enumerations and the tables of a header, found by reading its text, so that what is
/// added to the header is in the snapshots without anybody's thinking of it.
struct HeaderSurvey {
  struct Struct: Equatable {
    var name: String
    var fields: [String]
  }

  var structs: [Struct] = []
  /// Names of enumeration types.
  var enumerations: [String] = []
  /// Names of enumeration constants.
  var constants: [String] = []

  init(_ text: String) {
    var rest = Self.withoutComments(text)[...]
    while let start = rest.firstRange(of: /(?:typedef )?(struct|enum) (ix_\w+) \{/) {
      let match = rest[start].firstMatch(of: /(struct|enum) (ix_\w+)/)
      let body = rest[start.upperBound...].prefix { $0 != "}" }
      rest = body.endIndex < rest.endIndex ? rest[body.endIndex...] : ""
      guard let match else { continue }
      if match.1 == "enum" {
        enumerations.append(String(match.2))
        constants += body.split(separator: ",").compactMap { $0.firstMatch(of: /IX_\w+/).map { String($0.0) } }
      } else {
        structs.append(Struct(name: String(match.2), fields: body.split(separator: ";").compactMap(Self.field)))
      }
    }
  }

  /// `(*name)(…)` for a function, otherwise the last word.
  private static func field(_ declaration: Substring) -> String? {
    if let function = declaration.firstMatch(of: /\(\*(\w+)\)/) { return String(function.1) }
    return declaration.matches(of: /\w+/).last.map { String($0.0) }
  }

  private static func withoutComments(_ text: String) -> String {
    text.replacing(/\/\*(?:[^*]|\*(?!\/))*\*\//, with: " ")
  }

  /// A C program that prints each struct, field and constant with its size, offset or value.
  var layoutProgram: String {
    var lines = ["#include <interchange/interchange.h>", "#include <stdio.h>", "int main(void) {"]
    for entry in structs {
      let pointer = entry.name == "ix_host" ? "struct ix_host" : entry.name
      lines.append(
        "  printf(\"\(entry.name): size %zu, aligned to %zu\\n\", sizeof(\(pointer)), _Alignof(\(pointer)));")
      for field in entry.fields {
        lines.append(
          "  printf(\"  %3zu %3zu \(field)\\n\", offsetof(\(pointer), \(field)), sizeof((\(pointer) *)0)->\(field));"
            .replacing("sizeof((\(pointer) *)0)->\(field)", with: "sizeof(((\(pointer) *)0)->\(field))"))
      }
    }
    for constant in constants { lines.append("  printf(\"\(constant) = %lld\\n\", (long long)\(constant));") }
    return (lines + ["  return 0;", "}", ""]).joined(separator: "\n")
  }

  /// C text of a library with a variable of every type, for abidiff(1), which sees only what something exported uses.
  var probe: String {
    var lines = ["#include <interchange/interchange.h>"]
    for entry in structs { lines.append("struct \(entry.name) probe_\(entry.name);") }
    for name in enumerations { lines.append("enum \(name) probe_\(name);") }
    return (lines + [""]).joined(separator: "\n")
  }
}

import CInterchange
import Foundation
import Testing

@Suite struct `The header of the stage ABI` {
  let shop: Workshop
  init() throws { shop = try Workshop() }

  /// A translation unit that uses the macros too.
  static let user = """
    #include <interchange/interchange.h>
    int used(const ix_stage_class *c);
    int used(const ix_stage_class *c) { return IX_HAS(c, get_extension) && c->kind == IX_FILTER; }

    """

  @Test(arguments: [
    ("cc", "c99"), ("cc", "c11"), ("cc", "c17"), ("c++", "c++17"), ("clang", "c99"), ("clang", "c11"),
    ("clang++", "c++17"),
  ])
  func `compiles alone without a warning`(_ compiler: String, _ standard: String) throws {
    let source = try shop.write(standard.hasPrefix("c++") ? "user.cpp" : "user.c", Self.user)
    _ = try shop.require(
      compiler,
      [
        "-std=\(standard)", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-I", Workshop.include,
        source,
      ])
  }

  /// To take a change over, see ``Workshop/updatesSnapshots``. From level 1 on only lines may be added, at the end of a
  /// struct or of an enumeration, or as new ones.
  @Test func `has the layout of the snapshot`() throws {
    let survey = HeaderSurvey(try String(contentsOfFile: Workshop.header, encoding: .utf8))
    #expect(survey.structs.count > 15 && survey.constants.count > 50 && survey.enumerations.count > 10)
    let source = try shop.write("layout.c", survey.layoutProgram)
    _ = try shop.require("cc", ["-std=c11", "-I", Workshop.include, "-o", "\(shop.directory)/layout", source])
    let found = try shop.require("\(shop.directory)/layout", [])
    let path = "\(Workshop.golden)/layout-level0.txt"
    if Workshop.updatesSnapshots {
      let head = """
        # interchange.h, level 0, on 64-bit machines: each struct with its fields (offset, size, name), each constant.
        # Made by: UPDATE_SNAPSHOTS=1 swift test --filter ABITests

        """
      try (head + found).write(toFile: path, atomically: true, encoding: .utf8)
    }
    let text = try String(contentsOfFile: path, encoding: .utf8)
    let wanted = text.split(separator: "\n").filter { !$0.hasPrefix("#") }
    let lines = found.split(separator: "\n")
    for (line, other) in zip(lines, wanted) where line != other {
      Issue.record("found '\(line)' where the snapshot has '\(other)'")
    }
    #expect(lines.count == wanted.count, "found:\n\(found)")
  }

  @Test func `is seen by Swift as by C`() throws {
    #expect(MemoryLayout<ix_module>.size == 88)
    #expect(MemoryLayout<ix_stage_class>.offset(of: \.create) == 88)
    #expect(MemoryLayout<ix_answer>.offset(of: \.retry_after) == 96)
    #expect(IX_LEVEL == 0)
  }
}

import Foundation
import PipelineConfig
import StageHost
import Testing

@Suite struct `The example modules` {
  let shop: Workshop
  init() throws { shop = try Workshop() }

  /// The symbols that a library exports.
  func exports(_ library: String) throws -> [Substring] {
    try shop.require("nm", ["-D", "--defined-only", "--extern-only", library]).split(separator: "\n")
      .compactMap { $0.split(separator: " ").last }
  }

  /// Built by `swift build`; SwiftPM leaves out libraries that no test links when only a test is built.
  static let swiftExample = "\(Workshop.products)/libexample-swift.so"

  @Test func `the Swift one exports one symbol`() throws {
    try #require(FileManager.default.fileExists(atPath: Self.swiftExample), "run swift build first")
    #expect(try exports(Self.swiftExample) == ["ix_module_v1"])
  }

  @Test func `the Swift one describes itself`() throws {
    let description = try ModuleLoader.load(Self.swiftExample).description
    #expect(description.name == "size")
    let stage = try #require(description.stage(named: "sorter"))
    #expect(stage.kind == .filter && stage.ports == ["small", "large"])
    #expect(
      stage.settings == [
        SettingDeclaration("limit", .size(), default: "1MiB", summary: "The largest content that is small.")
      ])
  }

  @Test func `the C one builds with the line of its README and exports one symbol`() throws {
    let readme = try String(contentsOfFile: "\(Workshop.root)/plugins/examples/c/README.md", encoding: .utf8)
    let line = try #require(readme.split(separator: "\n").first { $0.hasPrefix("cc ") })
    let arguments = line.split(separator: " ").dropFirst().map { word in
      word == "include" || word.hasSuffix(".c") ? "\(Workshop.root)/\(word)" : String(word)
    }
    #expect(try shop.require("cc", ["-Wall", "-Wextra", "-Wpedantic", "-Werror"] + arguments) == "")
    let library = "\(shop.directory)/libkeyword.so"
    #expect(try exports(library) == ["ix_module_v1"])
    let description = try ModuleLoader.load(library).description
    #expect(description.name == "keyword")
    #expect(description.stage(named: "filter")?.settings.map(\.name) == ["words", "header"])
  }
}

@Suite struct `The modules that come with the host` {
  @Test(
    arguments: [
      ("libexample-swift.so", [:]), ("libaddress-validator.so", [:]), ("libdead-letter.so", ["letter": "path: dead"]),
    ] as [(String, [String: String])])
  func `pass the examination that others must pass`(_ file: String, _ configurations: [String: String]) {
    let report = StageConformance.check(
      "\(Workshop.products)/\(file)", configurations: configurations,
      executable: "\(Workshop.products)/interchange")
    #expect(report.checks.filter { $0.outcome != .passed || !$0.reason.isEmpty }.map(\.description) == [])
    #expect(report.module != nil)
  }
}

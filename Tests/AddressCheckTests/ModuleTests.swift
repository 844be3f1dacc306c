import Foundation
import PipelineConfig
import StageHost
import Testing

/// The modules as the host sees them; built by `swift build`.
@Suite struct ModuleTests {
  private func load(_ name: String) throws -> ModuleDescription {
    let path = "\(ModuleSearch.executableDirectory())/\(name)"
    try #require(FileManager.default.fileExists(atPath: path), "run swift build first")
    return try ModuleLoader.load(path).description
  }

  @Test func `address-validator offers a filter with two ports and no settings`() throws {
    let description = try load("libaddress-validator.so")
    #expect(description.name == "address")
    let stage = try #require(description.stage(named: "validator"))
    #expect(stage.kind == .filter && stage.ports == ["valid", "invalid"] && stage.settings.isEmpty)
  }

  @Test func `dead-letter offers a sink`() throws {
    let description = try load("libdead-letter.so")
    #expect(description.name == "dead")
    let stage = try #require(description.stage(named: "letter"))
    #expect(stage.kind == .sink && stage.ports.isEmpty)
    #expect(stage.settings.map(\.name) == ["path", "keep", "quota", "max_letters"])
  }
}

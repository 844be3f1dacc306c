import CInterchange
import PipelineConfig
import Testing

@testable import StageHost

@Suite struct `Loading a module` {
  let fixture: ModuleFixture
  init() throws { fixture = try ModuleFixture() }

  func refusal(_ definitions: String...) throws -> ModuleRefusal? {
    let path = try fixture.build("bad.so", defining: definitions)
    do throws(ModuleError) {
      _ = try ModuleLoader.load(path)
      return nil
    } catch {
      #expect(error.path == path)
      return error.reason
    }
  }

  @Test func `its description becomes plain values`() throws {
    let path = try fixture.build("good.so")
    let module = try ModuleLoader.load(path)
    let description = module.description
    #expect(description.name == "good")
    #expect(description.version == "1.2")
    #expect(description.summary == "For tests.")
    #expect(description.path == path)
    let stage = try #require(description.stage(named: "filter"))
    #expect(description.stages.count == 1)
    #expect(stage.kind == .filter)
    #expect(stage.summary == "Lets all pass.")
    #expect(stage.ports == ["out", "other"])
    #expect(
      stage.settings == [
        SettingDeclaration("limit", .size(octets: 1...1_000_000_000), default: "10MiB", summary: "Largest content."),
        SettingDeclaration("colour", .choice(["red", "green"]), default: "red"),
        SettingDeclaration("words", .list(of: .string)), SettingDeclaration("key", .string, isSecret: true),
      ])
    #expect(module.stageClass(named: "filter")?.pointee.port_count == 2)
    #expect(module.stageClass(named: "nobody") == nil)
  }

  @Test func `loading twice gives the same tables`() throws {
    let path = try fixture.build("good.so")
    let first = try ModuleLoader.load(path)
    let second = try ModuleLoader.load(path)
    #expect(first.stageClass(named: "filter") == second.stageClass(named: "filter"))
  }

  @Test func `another level is refused, and both numbers are named`() throws {
    let refusal = try #require(try refusal("LEVEL=7"))
    #expect(refusal == .wrongLevel(module: 7, host: 0))
    #expect("\(refusal)" == "is built for level 7 of the stage interface; this host speaks level 0")
  }

  @Test func `the loader's own words say what does not bind`() throws {
    #expect(try refusal("UNDEFINED") == .loader("undefined symbol: nobody_defines_this"))
  }

  @Test func `a library that is no module is told so`() throws {
    #expect(try refusal("NO_SYMBOL") == .missingSymbol("ix_module_v1"))
  }

  @Test func `a module may not be without a description`() throws {
    #expect(try refusal("NULL_MODULE") == .noDescription)
  }

  @Test(
    arguments: [
      ("SMALL_MODULE", .layout, "ix_module says it has 24 octets; \(MemoryLayout<ix_module>.size) are needed"),
      ("NULL_STAGES", .layout, "stages: 1 of them, but no array"),
      ("MANY_STAGES", .layout, "stages: 18446744073709551615 of them; at most 64"),
      (
        "SMALL_STRIDE", .layout,
        "stages: a stride of \(MemoryLayout<ix_stage_class>.size - 8) octets; \(MemoryLayout<ix_stage_class>.size) are needed"
      ),
      ("NO_SUBMIT", .stage, "stage 'filter' is a filter without submit"),
      ("BAD_KIND", .setting, "stage 'filter': setting 'odd' is of the unknown kind 77"),
      ("MODULE_NAME=\"9 lives\"", .text, "the module's name is '9 lives'; letters, digits, _ and - may stand there"),
      ("MODULE_NAME=\"\\xff\"", .text, "the module's name is not UTF-8"),
    ] as [(String, ModulePart, String)])
  func `a wrong description is refused with its place`(_ definition: String, _ part: ModulePart, _ text: String) throws
  {
    #expect(try refusal(definition, "NDEBUG") == .malformed(part, text))
  }
}

@Suite struct `Finding a module` {
  @Test func `a bare name is beside the host or among the installed`() throws {
    let beside = try ModuleFixture()
    let installed = try ModuleFixture()
    try installed.write("b.so", [])
    try installed.write("a.so", [])
    try beside.write("a.so", [])
    let search = ModuleSearch(
      pipelineDirectory: "/etc/x", hostDirectory: beside.directory, installedDirectory: installed.directory)
    #expect(try search.path(of: "a.so") == beside.path("a.so"))
    #expect(try search.path(of: "b.so") == installed.path("b.so"))
    #expect(throws: ModuleError(path: "c.so", .notFound(directories: [beside.directory, installed.directory]))) {
      try search.path(of: "c.so")
    }
  }

  @Test func `a name with a slash is a path from the pipeline file on`() throws {
    let search = ModuleSearch(pipelineDirectory: "/etc/x", hostDirectory: "/h", installedDirectory: "/i")
    #expect(try search.path(of: "./a.so") == "/etc/x/./a.so")
    #expect(try search.path(of: "/opt/a.so") == "/opt/a.so")
  }

  @Test(arguments: ["", ".", "..", "a\0b"]) func `no name`(_ name: String) {
    let search = ModuleSearch(pipelineDirectory: "/etc/x", hostDirectory: "/h", installedDirectory: "/i")
    #expect(throws: ModuleError(path: "'\(name)'", .badName)) { try search.path(of: name) }
  }
}

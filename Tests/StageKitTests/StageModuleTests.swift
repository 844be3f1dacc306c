import CInterchange
import MailModel
import Testing

@testable import StageKit

private final class Sample: Stage {
  static let declaration = StageDeclaration(
    name: "filter", kind: .filter, summary: "Näme ✓", ports: ["good", "bad"],
    settings: [
      Setting("word", .string, required: true, "A word."), Setting("limit", .size, default: "1MiB", "A size."),
      Setting("key", .string, secret: true, "A key."), Setting("level", .integer(1...9), "A level."),
      Setting("mode", .choice(["off", "on"]), "A mode."), Setting("hosts", .list(.endpoint), "Hosts."),
      Setting("tls", .record([Setting("certificate", .path, required: true, "A file.")]), "TLS."),
    ])

  init(context: StageContext, config: ConfigNode) throws(StageFailure) {}
}

private final class Origin: Stage {
  static let declaration = StageDeclaration(name: "source", kind: .source, summary: "", ports: ["out"])
  init(context: StageContext, config: ConfigNode) throws(StageFailure) {}
}

@Suite struct StageModuleTests {
  private let module = StageModule(name: "sample", version: "1.2", summary: "S.", stages: [Sample.self, Origin.self])

  @Test func `a module describes itself at this level, with the sizes of its structs`() {
    let description = module.description.pointee
    #expect(description.size == MemoryLayout<ix_module>.size)
    #expect(description.level == CInterchange.IX_LEVEL)
    #expect(String(description.name) == "sample" && String(description.version) == "1.2")
    #expect(description.stage_count == 2 && description.stage_stride == MemoryLayout<ix_stage_class>.stride)
  }

  @Test func `a stage's ports and texts are told as they were declared`() {
    let stage = module.description.pointee.stages[0]
    #expect(String(stage.name) == "filter" && String(stage.summary) == "Näme ✓")
    #expect(stage.kind == IX_FILTER.rawValue)
    #expect((0..<stage.port_count).map { String(stage.ports[$0]) } == ["good", "bad"])
  }

  @Test func `a source takes no jobs, and every other function is there`() {
    let source = module.description.pointee.stages[1]
    #expect(source.submit == nil)
    let filter = module.description.pointee.stages[0]
    #expect(filter.submit != nil && filter.create != nil && filter.start != nil && filter.stop != nil)
    #expect(filter.destroy != nil && filter.get_extension != nil)
  }

  @Test func `settings keep kind, default, flags, bounds, choices and members`() throws {
    let stage = module.description.pointee.stages[0]
    let settings = (0..<stage.setting_count).map { stage.settings[$0] }
    let named = Dictionary(uniqueKeysWithValues: settings.map { (String($0.name) ?? "", $0) })
    #expect(named["word"]?.flags == IX_SETTING_REQUIRED.rawValue)
    #expect(named["key"]?.flags == IX_SETTING_SECRET.rawValue)
    #expect(named["limit"].map { String($0.default_text) } == "1MiB")
    #expect(named["word"].map { $0.default_text.octets == nil } == true)
    #expect(named["level"]?.minimum == 1 && named["level"]?.maximum == 9)
    let mode = try #require(named["mode"])
    #expect((0..<mode.choice_count).map { String(mode.choices[$0]) } == ["off", "on"])
    let hosts = try #require(named["hosts"])
    #expect(hosts.kind == IX_SETTING_LIST.rawValue && hosts.children[0].kind == IX_SETTING_ENDPOINT.rawValue)
    let tls = try #require(named["tls"])
    #expect(tls.child_count == 1 && String(tls.children[0].name) == "certificate")
  }

  @Test func `text is lent whole, and absent text stays absent`() {
    #expect("añb\0c".lend { String($0) } == "añb\0c")
    #expect("".lend { String($0) } == "")
    #expect(String?.none.lend { String($0) } == nil)
  }
}

internal import JSONText
internal import Pipeline
internal import PipelineConfig
internal import StageHost

extension Verb {
  static let stageShow = Verb(
    name: "stage show", summary: "tells about one stage: its ports, and its settings with their defaults",
    operands: [Operand(name: "NAME")], options: [.config, .json],
    examples: [
      ("interchange stage show imc.sink", "A stage as `use:` names it."),
      ("interchange stage show imc_out", "The stage that the pipeline calls so, with what is configured."),
    ]
  ) { arguments, console in
    guard let pipeline = PipelinePath.load(arguments, console) else { return .configuration }
    let name = arguments.operands[0]
    let catalog = StageCatalog(pipeline)
    let node = pipeline.graph.node(name)
    let use = node.map(\.entry.use.text) ?? name
    guard let row = catalog.rows.first(where: { $0.use == use }) else {
      console.error("no stage is called '\(Shown.text(name))'")
      let names = catalog.rows.map(\.use) + pipeline.graph.nodes.map(\.id)
      if let hint = suggestionHint(for: name, among: names) { console.complain("  \(hint)\n") }
      return .failed
    }
    let settings =
      catalog.declarations.first { $0.use == use }?.settings ?? BuiltinStage(rawValue: use)?.settings ?? []
    let page = StagePage(row: row, settings: settings, node: node, module: row.module.flatMap { pipeline.modules[$0] })
    console.output(arguments.has(.json) ? page.json() : page.text())
    return .done
  }
}

extension StageUse {
  var text: String {
    switch self {
    case .builtin(let builtin): builtin.rawValue
    case .module(let module, let stage): "\(module).\(stage)"
    }
  }
}

/// What is known of one stage.
struct StagePage {
  var row: StageCatalog.Row
  var settings: [SettingDeclaration]
  /// Where the pipeline uses it, when it was asked for by that name.
  var node: GraphNode?
  var module: ModuleDescription?

  func text() -> String {
    var text = "\(Shown.text(row.use)): \(Shown.text(row.summary))\n\n"
    func line(_ name: String, _ value: String) { text += Columns.hanging(name, value, indent: 2, width: 8) }
    line("kind", row.kind)
    if let module {
      line("module", Shown.text("\(module.name) \(module.version), \(module.path)"))
    }
    if let node {
      line("stage", node.id)
      if let isolation = node.isolation { line("runs as", isolation.rawValue) }
    } else if !row.usedBy.isEmpty {
      line("used by", row.usedBy.joined(separator: ", "))
    }
    line("ports", row.ports.isEmpty ? "none" : Shown.text(row.ports.joined(separator: ", ")))
    text += settings.isEmpty ? "\nno settings\n" : "\nsettings:\n"
    text += describe(settings, indent: 2)
    return text
  }

  private func describe(_ settings: [SettingDeclaration], indent: Int) -> String {
    var text = ""
    let width = min(24, settings.map(\.name.count).max() ?? 0)
    for setting in settings {
      var facts = [setting.type.word]
      if setting.isRequired { facts.append("required") }
      if let defaultText = setting.defaultText { facts.append("default \(defaultText)") }
      if setting.isSecret { facts.append("secret") }
      let about = setting.summary + (setting.summary.isEmpty ? "" : " ") + "(" + facts.joined(separator: "; ") + ")"
      text += Columns.hanging(Shown.text(setting.name), Shown.text(about), indent: indent, width: width)
      text += describe(setting.type.innerSettings, indent: indent + 4)
    }
    return text
  }

  func json() -> String {
    JSONValue.object([
      ("stage", .string(row.use)), ("kind", .string(row.kind)), ("ports", .array(row.ports.map(JSONValue.string))),
      ("used_by", .array(row.usedBy.map(JSONValue.string))), ("module", row.module.map(JSONValue.string) ?? .null),
      ("file", module.map { .string($0.path) } ?? .null), ("version", module.map { .string($0.version) } ?? .null),
      ("summary", .string(row.summary)), ("settings", .object(settings.map { ($0.name, $0.schema) })),
    ]).text + "\n"
  }
}

extension SettingType {
  /// The settings of records within this type.
  fileprivate var innerSettings: [SettingDeclaration] {
    switch self {
    case .record(let settings): settings
    case .list(let element, _), .mapping(let element): element.innerSettings
    case .either(let types): types.flatMap(\.innerSettings)
    case .string, .identifier, .integer, .boolean, .size, .duration, .percent, .choice, .endpoint, .path, .any: []
    }
  }
}

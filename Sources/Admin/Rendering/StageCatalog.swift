internal import JSONText
internal import Pipeline
internal import PipelineConfig
internal import StageHost

/// The stages that a pipeline may use: those of its modules and the host's own.
struct StageCatalog {
  var declarations: [StageDeclaration]
  private let pipeline: LoadedPipeline

  init(_ pipeline: LoadedPipeline) {
    self.pipeline = pipeline
    var declarations: [StageDeclaration] = []
    for entry in pipeline.file.modules {
      for stage in pipeline.modules[entry.name]?.stages ?? [] {
        declarations.append(
          stage.declaration(in: entry.name))
      }
    }
    self.declarations = declarations
  }

  struct Row {
    var use: String
    var kind: String
    var ports: [String]
    var usedBy: [String]
    var module: String?
    var summary: String
  }

  var rows: [Row] {
    let builtins = BuiltinStage.allCases.map { builtin in
      Row(
        use: builtin.rawValue, kind: "built in", ports: builtin == .reports ? ["to"] : [],
        usedBy: ids { $0 == .builtin(builtin) }, module: nil, summary: builtin.summary)
    }
    return builtins
      + declarations.map { stage in
        Row(
          use: stage.use, kind: stage.kind.word, ports: stage.ports,
          usedBy: ids { $0 == .module(stage.module, stage: stage.name) }, module: stage.module, summary: stage.summary)
      }
  }

  private func ids(_ matches: (StageUse) -> Bool) -> [String] {
    pipeline.file.stages.filter { matches($0.use) }.map(\.id)
  }

  func text() -> String {
    Columns.table(
      ["STAGE", "KIND", "PORTS", "USED BY", "SUMMARY"],
      rows.map { row in
        [
          Shown.text(row.use), row.kind, Shown.text(row.ports.isEmpty ? "-" : row.ports.joined(separator: ",")),
          row.usedBy.isEmpty ? "-" : row.usedBy.joined(separator: ","), Shown.text(row.summary),
        ]
      })
  }

  func json() -> String {
    rows.map { row in
      JSONValue.object([
        ("stage", .string(row.use)), ("kind", .string(row.kind)), ("ports", .array(row.ports.map(JSONValue.string))),
        ("used_by", .array(row.usedBy.map(JSONValue.string))), ("module", row.module.map(JSONValue.string) ?? .null),
        ("summary", .string(row.summary)),
      ]).text + "\n"
    }.joined()
  }
}

internal import Pipeline
internal import PipelineConfig

extension Verb {
  static let schema = Verb(
    name: "schema", summary: "prints the JSON Schema of pipeline.yaml, for editors",
    text: """
      The schema holds the settings and ports of every stage that the file's modules offer. Where the file is wrong, that
      of the file format alone is printed, and the complaints with it.
      """,
    options: [.config],
    examples: [
      ("interchange schema > pipeline.schema.json", "Then begin pipeline.yaml with the line below."),
      ("# yaml-language-server: $schema=pipeline.schema.json", "An editor completes and checks while you type."),
    ]
  ) { arguments, console in
    let pipeline = PipelinePath.load(arguments, console)
    let stages = pipeline.map { StageCatalog($0).declarations } ?? []
    console.line(PipelineSchema.text(stages: stages))
    return pipeline == nil ? .configuration : .done
  }
}

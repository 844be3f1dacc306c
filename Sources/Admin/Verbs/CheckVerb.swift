internal import Pipeline
internal import PipelineConfig

extension Verb {
  static let check = Verb(
    name: "check", summary: "checks the pipeline file, its modules and its wiring, and starts nothing",
    text: """
      Every complaint says file, line and column and shows the place; all are shown, not only the first. Modules are looked
      at and stages are asked about their settings in child processes. With --json, each complaint is one object:
      severity, file, line, column, text, hint.
      """,
    options: [.config, .json],
    examples: [
      ("interchange check", "Checks ./pipeline.yaml."),
      ("interchange check -c /etc/interchange/pipeline.yaml && systemctl reload interchange", "Before a reload."),
    ]
  ) { arguments, console in
    let (pipeline, diagnostics) = PipelinePath.check(arguments)
    if arguments.has(.json) {
      console.output(diagnostics.renderJSON())
    } else {
      console.complain(diagnostics.render())
      if let pipeline {
        console.line(
          "\(pipeline.file.path): \(Amount.count(pipeline.graph.nodes.count, "stage")), "
            + "\(Amount.count(pipeline.modules.count, "module")), wiring proved")
      }
    }
    return pipeline == nil ? .configuration : .done
  }
}

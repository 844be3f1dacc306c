internal import Glibc
internal import Pipeline
internal import PipelineConfig
internal import Platform

extension Verb {
  private static let format = Option(
    "format", .choice(["dot", "mermaid", "svg"]), "What to draw in; dot unless said otherwise. svg needs Graphviz.")

  static let graph = Verb(
    name: "graph", summary: "draws the pipeline",
    text: """
      Wires that somebody wrote are solid; dashed ones are implied: what fails goes to reports, and what cannot be
      reported to dead. With --json, one object a line: nodes with node, use, role and isolation, then edges with from,
      to, port and implicit.
      """,
    options: [.config, format, .json],
    examples: [
      ("interchange graph --format svg > pipeline.svg", "A picture."),
      ("interchange graph --format mermaid", "For a page in Markdown."),
    ]
  ) { arguments, console in
    guard let pipeline = PipelinePath.load(arguments, console) else { return .configuration }
    if arguments.has(.json) {
      console.output(pipeline.graph.renderJSON())
      return .done
    }
    let dot = pipeline.graph.dot(title: pipeline.file.node)
    switch arguments.text(format) {
    case "mermaid": console.output(pipeline.graph.mermaid())
    case "svg": return draw(dot, console)
    case nil, .some: console.output(dot)
    }
    return .done
  }

  private static func draw(_ dot: String, _ console: Console) -> ExitCode {
    switch Graphviz.svg(dot) {
    case .drawn(let picture):
      console.output(picture)
      return .done
    case .failed(let reason):
      console.error(reason)
      return .failed
    }
  }
}

extension Verb {
  static let stageList = Verb(
    name: "stage list", summary: "lists the stages that the pipeline's modules offer",
    options: [.config, .json],
    examples: [("interchange stage list", "Name, kind, ports and use of each, and the host's own.")]
  ) { arguments, console in
    guard let pipeline = PipelinePath.load(arguments, console) else { return .configuration }
    let catalog = StageCatalog(pipeline)
    console.output(arguments.has(.json) ? catalog.json() : catalog.text())
    return .done
  }
}

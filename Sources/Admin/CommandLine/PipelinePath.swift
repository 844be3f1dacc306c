internal import Glibc
internal import Pipeline
internal import PipelineConfig

/// Finding and loading the pipeline file that a command line means.
enum PipelinePath {
  static let defaults = ["pipeline.yaml", "/etc/interchange/pipeline.yaml"]

  /// What `--config` names, else the first of ``defaults`` that exists, else the first of them, so that the complaint
  /// names it.
  static func chosen(_ arguments: Arguments) -> String {
    arguments.text(.config) ?? defaults.first { access($0, F_OK) == 0 } ?? defaults[0]
  }

  /// The file with its modules looked at; nil when it is wrong, and all complaints are written.
  static func load(_ arguments: Arguments, _ console: Console) -> LoadedPipeline? {
    let (pipeline, diagnostics) = loadAll(arguments)
    if pipeline == nil { console.complain(diagnostics.render()) }
    return pipeline
  }

  /// The file with its modules looked at and its stages asked; nil when any of it is wrong.
  static func check(_ arguments: Arguments) -> (pipeline: LoadedPipeline?, diagnostics: Diagnostics) {
    var (pipeline, diagnostics) = loadAll(arguments)
    if let loaded = pipeline {
      diagnostics.merge(loaded.checkStages())
      if diagnostics.hasErrors { pipeline = nil }
    }
    return (pipeline, diagnostics)
  }

  private static func loadAll(_ arguments: Arguments) -> (pipeline: LoadedPipeline?, diagnostics: Diagnostics) {
    Backtraces.turnOffInChildren()
    return LoadedPipeline.load(
      path: chosen(arguments), environment: environment, secretsDirectory: environment["CREDENTIALS_DIRECTORY"])
  }

  /// The file alone, no module looked at: enough to know where the admin socket is.
  static func read(_ arguments: Arguments, _ console: Console) -> PipelineFile? {
    let (file, diagnostics) = PipelineFile.load(
      path: chosen(arguments), environment: environment, secretsDirectory: environment["CREDENTIALS_DIRECTORY"])
    if file == nil { console.complain(diagnostics.render()) }
    return file
  }

  static var environment: [String: String] {
    var environment: [String: String] = [:]
    var entry = environ
    while let text = entry.pointee {
      if let pair = String(validatingCString: text), let equals = pair.firstIndex(of: "=") {
        environment[String(pair[..<equals])] = String(pair[pair.index(after: equals)...])
      }
      entry += 1
    }
    return environment
  }
}

public import PipelineConfig
public import StageHost

/// A pipeline file with everything it names looked at: the modules described by a child process, the wiring proved.
/// No foreign code has run in this process.
public struct LoadedPipeline: Sendable {
  public var file: PipelineFile
  public var graph: PipelineGraph
  /// By the module's name in the file.
  public var modules: [String: ModuleDescription]

  /// Loads and proves; nil when the diagnostics hold an error.
  ///
  /// - Parameter executable: What answers for `interchange probe`.
  public static func load(
    path: String, environment: [String: String], secretsDirectory: String?, executable: String = "/proc/self/exe",
    search: ModuleSearch? = nil
  ) -> (pipeline: LoadedPipeline?, diagnostics: Diagnostics) {
    var (file, diagnostics) = PipelineFile.load(
      path: path, environment: environment, secretsDirectory: secretsDirectory)
    guard let file else { return (nil, diagnostics) }
    let search = search ?? ModuleSearch(pipelineDirectory: directory(of: path))
    var modules: [String: ModuleDescription] = [:]
    var unavailable: Set<String> = []
    var declarations: [StageDeclaration] = []
    for entry in file.modules {
      switch describe(entry, search, executable) {
      case .success(let module):
        modules[entry.name] = module
        declarations += module.stages.map { $0.declaration(in: entry.name) }
      case .failure(let error):
        unavailable.insert(entry.name)
        diagnostics.error("module \(entry.name) cannot be loaded: \(error)", at: entry.fileMark)
      }
    }
    guard
      let graph = PipelineGraph.build(
        file, declarations: declarations, unavailableModules: unavailable, diagnostics: &diagnostics)
    else { return (nil, diagnostics) }
    return (LoadedPipeline(file: file, graph: graph, modules: modules), diagnostics)
  }

  private static func describe(
    _ entry: ModuleEntry, _ search: ModuleSearch, _ executable: String
  ) -> Result<ModuleDescription, ModuleError> {
    do throws(ModuleError) {
      return ModuleProbe.describe(try search.path(of: entry.file), executable: executable)
    } catch { return .failure(error) }
  }

  /// The directory of a pipeline file, from which relative paths in it count.
  public static func directory(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}

internal import Glibc

/// Where a module's file is looked for.
public struct ModuleSearch: Hashable, Sendable {
  /// The directory of the running executable, where `make build` leaves the modules.
  public var hostDirectory: String
  /// The installed module directory.
  public var installedDirectory: String
  /// The directory of the pipeline file.
  public var pipelineDirectory: String

  public init(
    pipelineDirectory: String, hostDirectory: String = Self.executableDirectory(),
    installedDirectory: String = "/usr/lib/interchange"
  ) {
    self.pipelineDirectory = pipelineDirectory
    self.hostDirectory = hostDirectory
    self.installedDirectory = installedDirectory
  }

  /// The path of what pipeline.yaml names under `file:`. A bare name is looked for beside the host, then among the
  /// installed modules; a name with a slash is a path, a relative one below the pipeline file's directory. Only that
  /// the bare name exists is checked; the rest is ``ModuleFile``'s.
  ///
  /// - Throws: ``ModuleRefusal/notFound(directories:)``, ``ModuleRefusal/badName``.
  public func path(of file: String) throws(ModuleError) -> String {
    guard !file.isEmpty, file != ".", file != "..", !file.utf8.contains(0) else {
      throw ModuleError(path: "'\(file)'", .badName)
    }
    if file.hasPrefix("/") { return file }
    if file.contains("/") { return "\(pipelineDirectory)/\(file)" }
    let directories = [hostDirectory, installedDirectory]
    for directory in directories {
      let path = "\(directory)/\(file)"
      var status = stat()
      if lstat(path, &status) == 0 { return path }
    }
    throw ModuleError(path: file, .notFound(directories: directories))
  }

  /// The directory of the running executable; "." when /proc does not say.
  public static func executableDirectory() -> String {
    guard let path = realPath("/proc/self/exe"), let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}

internal import Glibc
internal import MailModel
internal import PipelineConfig
internal import Platform

/// Examines a module: `interchange stage check FILE.so`.
///
/// What the file and the description promise is found out by one child that loads the module; every check that calls the
/// stage has a child of its own (``StageExamination``), so that a crash fails that check and says so. Nothing of the module
/// is ever loaded here.
///
/// Stages are examined with the configuration given for them, else with their defaults; sinks are handed recipients in
/// `.invalid` (RFC 2606 §2) only, and paths are relative to a directory that is gone afterwards.
public enum StageConformance {
  /// How long a check may take. A stage that waits for a network is asked to give its job back before
  /// (``StageExamination``).
  public static let deadlineSeconds = 20.0

  /// - Parameters:
  ///   - configurations: What would stand under `config:`, in YAML, by the name of the stage.
  ///   - executable: One that calls ``ModuleProbe/childMain(arguments:)`` for the verb `probe`.
  ///   - progress: Called after each check.
  public static func check(
    _ path: String, configurations: [String: String] = [:], executable: String = "/proc/self/exe",
    deadlineSeconds: Double = Self.deadlineSeconds, progress: (StageCheckResult) -> Void = { _ in }
  ) -> StageCheckReport {
    var report = StageCheckReport(path: path, module: nil, checks: [])
    func add(_ kind: StageCheckKind, _ stage: String?, _ outcome: StageCheckResult.Outcome, _ reason: String = "") {
      let check = StageCheckResult(kind: kind, stage: stage, outcome: outcome, reason: reason)
      report.checks.append(check)
      progress(check)
    }
    let module: ModuleDescription
    switch ModuleProbe.describe(path, executable: executable) {
    case .success(let description):
      module = description
      report.module = module
      for kind in [StageCheckKind.loads, .level, .layout, .names, .stages] { add(kind, nil, .passed) }
    case .failure(let error):
      addDescriptionChecks(failing: error.reason, add: { add($0, nil, $1, $2) })
      return report
    }
    let faults = module.stages.flatMap { stage in defaultFaults(of: stage).map { "stage '\(stage.name)': \($0)" } }
    add(.settings, nil, faults.isEmpty ? .passed : .failed, faults.joined(separator: "; "))
    addExports(path, add: { add(.exports, nil, $0, $1) })
    for stage in module.stages {
      let text = configurations[stage.name]
      let config: ConfigValue
      switch configuration(of: stage, text: text) {
      case .success(let value): config = value
      case .failure(let trouble):
        for kind in StageCheckKind.ofStage {
          add(kind, stage.name, text == nil ? .skipped : .failed, trouble.line)
        }
        continue
      }
      for kind in StageCheckKind.ofStage {
        if kind.needsJob && stage.kind == .source {
          add(kind, stage.name, .skipped, "a source takes no messages")
          continue
        }
        let (outcome, reason) = examine(
          kind, of: stage, in: module.path, config: config, executable: executable, deadlineSeconds: deadlineSeconds)
        add(kind, stage.name, outcome, reason)
      }
    }
    return report
  }

  /// The description's checks in their order: passed up to the one that the refusal is about, skipped after it.
  private static func addDescriptionChecks(
    failing refusal: ModuleRefusal, add: (StageCheckKind, StageCheckResult.Outcome, String) -> Void
  ) {
    let order: [StageCheckKind] = [.loads, .level, .layout, .names, .stages, .settings]
    let failed: StageCheckKind
    switch refusal {
    case .wrongLevel: failed = .level
    case .malformed(.layout, _), .crashed(_, during: .describing): failed = .layout
    case .malformed(.text, _): failed = .names
    case .malformed(.stage, _): failed = .stages
    case .malformed(.setting, _): failed = .settings
    case .badName, .notFound, .system, .symbolicLink, .notRegularFile, .foreignOwner, .writableByOthers,
      .foreignDirectory, .directoryWritableByOthers, .mountedNoExec, .empty, .notELF, .wrongClass, .wrongByteOrder,
      .wrongMachine, .notSharedObject, .truncated, .loader, .missingSymbol, .noDescription, .crashed, .hung, .exited,
      .garbled:
      failed = .loads
    }
    // The description is read stage by stage, so a later check may not have been reached: only loading and level are
    // known to be good.
    for kind in order {
      if kind == failed {
        add(kind, .failed, refusal.description)
      } else if kind == .loads || (kind == .level && failed != .loads) {
        add(kind, .passed, "")
      } else {
        add(kind, .skipped, "the description could not be read")
      }
    }
  }

  private static func addExports(_ path: String, add: (StageCheckResult.Outcome, String) -> Void) {
    do throws(ModuleError) {
      guard let symbols = try ModuleFile.exportedSymbols(path) else {
        return add(.skipped, "the file has no section headers to find its symbols by")
      }
      let others = symbols.filter { $0 != moduleSymbol }
      if others.isEmpty { return add(.passed, "") }
      let shown = others.prefix(3).joined(separator: ", ") + (others.count > 3 ? " and \(others.count - 3) more" : "")
      add(.warned, "exports \(shown) besides \(moduleSymbol): they can collide with another module's")
    } catch { add(.failed, error.reason.description) }
  }

  // MARK: Configuration

  private struct Trouble: Error {
    var line: String
  }

  /// Defaults that do not fit their own declaration. Required settings are another matter.
  private static func defaultFaults(of stage: StageDescription) -> [String] {
    var diagnostics = Diagnostics()
    let declarations = stage.settings.filter { !$0.isRequired }
    _ = SettingValidator.validate(nil, against: declarations, owner: .nowhere, diagnostics: &diagnostics)
    return diagnostics.all.filter { $0.severity == .error }.map(\.text)
  }

  private static func configuration(of stage: StageDescription, text: String?) -> Result<ConfigValue, Trouble> {
    var diagnostics = Diagnostics()
    let document = text.flatMap { ConfigDocument.parse($0, file: "config", diagnostics: &diagnostics) }
    let config = SettingValidator.validate(
      document?.root, against: stage.settings, owner: .nowhere, diagnostics: &diagnostics)
    guard diagnostics.hasErrors else { return .success(config) }
    let lines = diagnostics.all.filter { $0.severity == .error }.map(\.text).joined(separator: "; ")
    return .failure(
      Trouble(line: text == nil ? "needs a configuration: \(lines)" : "the configuration is wrong: \(lines)"))
  }

  // MARK: Children

  private static func examine(
    _ kind: StageCheckKind, of stage: StageDescription, in path: String, config: ConfigValue, executable: String,
    deadlineSeconds: Double
  ) -> (StageCheckResult.Outcome, String) {
    guard let directory = ScratchDirectory() else {
      return (.failed, "no scratch directory: \(SystemError.last("mkdtemp"))")
    }
    defer { directory.remove() }
    let configPath = "\(directory.path)/config"
    do throws(ModuleRefusal) {
      try directory.write(config.encoded(), to: configPath)
      var reader = WireReader(
        try ModuleProbe.answer(
          executable, ["--check", kind.rawValue, stage.name, directory.path, path], path: path,
          deadlineSeconds: deadlineSeconds))
      do throws(WireCodingError) {
        guard let outcome = StageCheckResult.Outcome(rawValue: try reader.read(UInt8.self)) else {
          throw WireCodingError.invalid("outcome")
        }
        return (outcome, try reader.readString())
      } catch { throw .garbled }
    } catch { return (.failed, error.description) }
  }
}

/// A directory below /tmp, for one child.
struct ScratchDirectory {
  let path: String

  init?() {
    let template = strdup("/tmp/interchange-check-XXXXXX")
    defer { free(template) }
    guard let template, mkdtemp(template) != nil, let path = String(validatingCString: template) else { return nil }
    self.path = path
  }

  func write(_ octets: [UInt8], to path: String) throws(ModuleRefusal) {
    let number = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard number >= 0 else { throw .system(.last("open")) }
    let file = FileDescriptor(owning: number)
    guard Glibc.write(file.rawValue, octets, octets.count) == octets.count else { throw .system(.last("write")) }
  }

  /// Removes it with all that a stage left in it; what cannot be removed stays.
  func remove() { Self.remove(path, depth: 0) }

  private static func remove(_ path: String, depth: Int) {
    var status = stat()
    guard lstat(path, &status) == 0 else { return }
    guard status.st_mode & S_IFMT == S_IFDIR, depth < 32 else {
      unlink(path)
      return
    }
    for name in directoryEntries(path) { remove("\(path)/\(name)", depth: depth + 1) }
    rmdir(path)
  }
}

/// The names in a directory but for "." and "..".
func directoryEntries(_ path: String) -> [String] {
  guard let directory = opendir(path) else { return [] }
  defer { closedir(directory) }
  var names: [String] = []
  while let entry = readdir(directory) {
    let name = withUnsafeBytes(of: &entry.pointee.d_name) { octets in
      String(decoding: octets.prefix { $0 != 0 }, as: UTF8.self)
    }
    if name != "." && name != ".." { names.append(name) }
  }
  return names
}

public import CInterchange

/// A module in this process, with what its description says and the tables behind it.
public struct LoadedModule: @unchecked Sendable {
  // SAFETY: the tables never change and live as long as the process (interchange.h, WHAT A MODULE EXPORTS).
  public let description: ModuleDescription
  private let stageClasses: [UnsafePointer<ix_stage_class>]

  init(_ description: ModuleDescription, _ stageClasses: [UnsafePointer<ix_stage_class>]) {
    self.description = description
    self.stageClasses = stageClasses
  }

  /// The table of a stage, by the name in `use: MODULE.NAME`.
  public func stageClass(named name: String) -> UnsafePointer<ix_stage_class>? {
    description.stages.firstIndex { $0.name == name }.map { stageClasses[$0] }
  }
}

/// Loads modules into this process, for good.
///
/// What cannot be found out without running the module's code, such as a constructor that crashes or hangs, is found out
/// here at the cost of the process: ask ``ModuleProbe`` first, in the host.
public enum ModuleLoader {
  /// Loads a file and reads its description. Loading the same file again gives the same module.
  ///
  /// - Parameter path: Absolute, or relative to the working directory; ``ModuleSearch/path(of:)`` makes it of a name.
  /// - Throws: One line that names the file and the reason. A library that was loaded before the reason was found stays.
  /// - Thread: main, while no instance exists (interchange.h, THREADS).
  public static func load(_ path: String) throws(ModuleError) -> LoadedModule {
    let file = try ModuleFile.check(path)
    return try load(file) { _ in }
  }

  /// - Parameter progress: Called before each step, so that a child can tell how far it came.
  static func load(_ file: ModuleFile, progress: (ModuleProbeStep) -> Void) throws(ModuleError) -> LoadedModule {
    do throws(ModuleRefusal) {
      progress(.loading)
      let library = try ModuleLibrary(file.path)
      guard let symbol = library.symbol(moduleSymbol) else { throw .missingSymbol(moduleSymbol) }
      // SAFETY: a module that exports this name promises this type (interchange.h, ix_module_function).
      let function = unsafeBitCast(symbol, to: EntryFunction.self)
      progress(.entering)
      guard let module = function(UInt32(IX_LEVEL)) else { throw .noDescription }
      progress(.describing)
      return try ModuleReader(path: file.path).read(module)
    } catch { throw ModuleError(path: file.path, error) }
  }

  private typealias EntryFunction = @convention(c) (UInt32) -> UnsafePointer<ix_module>?
}

/// The one symbol that a module exports.
let moduleSymbol = "ix_module_v1"

internal import Glibc
internal import MailModel
internal import Platform

/// Finds out what a module is without letting it into this process.
///
/// A constructor that crashes or hangs, a file that ends in the middle of its code, a description that points nowhere:
/// each kills only the child (``ModuleChild``), and becomes a line that says what happened and where.
public enum ModuleProbe {
  /// How long a module may take from exec to its description.
  public static let deadlineSeconds = 2.0

  /// Loads a module in a child and tells its description.
  ///
  /// - Parameters:
  ///   - path: Absolute, or relative to the working directory.
  ///   - executable: One that calls ``childMain(arguments:)`` for the verb `probe`; this one, unless a test says else.
  public static func describe(
    _ path: String, executable: String = "/proc/self/exe", deadlineSeconds: Double = Self.deadlineSeconds
  ) -> Result<ModuleDescription, ModuleError> {
    do throws(ModuleError) {
      let file = try ModuleFile.check(path)
      do throws(ModuleRefusal) {
        var reader = WireReader(
          try answer(executable, [file.path], path: file.path, deadlineSeconds: deadlineSeconds))
        do throws(WireCodingError) {
          let description = try reader.readModuleDescription()
          try reader.finish()
          return .success(description)
        } catch { throw .garbled }
      } catch { throw ModuleError(path: path, error) }
    } catch { return .failure(error) }
  }

  /// The answer of a child, or the reason that there is none.
  static func answer(
    _ executable: String, _ arguments: [String], path: String, deadlineSeconds: Double
  ) throws(ModuleRefusal) -> [UInt8] {
    let (ending, step) = try run(executable, arguments, deadlineSeconds: deadlineSeconds)
    switch ending {
    case .answered(.answer, let octets): return octets
    case .answered(_, let octets):
      var reader = WireReader(octets)
      let refusal: ModuleRefusal
      do throws(WireCodingError) { refusal = try reader.readModuleRefusal() } catch { throw .garbled }
      throw refusal
    case .exited(let status): throw .exited(status: status, during: step)
    case .crashed(let signal): throw .crashed(signal: signal, during: step)
    case .hung: throw .hung(seconds: deadlineSeconds, during: step)
    case .garbled: throw .garbled
    }
  }

  private static func run(
    _ executable: String, _ arguments: [String], deadlineSeconds: Double
  ) throws(ModuleRefusal) -> (ending: ModuleChild.Ending, step: ModuleProbeStep) {
    do throws(SystemError) {
      return try ModuleChild.run(executable, arguments, deadlineSeconds: deadlineSeconds)
    } catch { throw .system(error) }
  }

  /// The child's side: `interchange probe FILE`, or `probe --check …` (``StageExamination``), answering on descriptor 3. Never returns into code that would run the
  /// module's destructors.
  ///
  /// - Parameter arguments: What stands after `probe`.
  /// - Returns: An exit code, when the arguments make no sense.
  public static func childMain(arguments: [String]) -> Int32 {
    guard let path = arguments.first, fcntl(ModuleChild.answerDescriptor, F_GETFD) >= 0 else { return 2 }
    ModuleChildAnswer.settle()
    let answer = ModuleChildAnswer()
    if path == "--check" { return StageExamination.childMain(Array(arguments.dropFirst()), answer) }
    do throws(ModuleError) {
      let file = try ModuleFile.check(path)
      let module = try ModuleLoader.load(file) { answer.send($0) }
      var writer = WireWriter()
      writer.write(module.description)
      answer.send(.answer, writer.octets)
    } catch {
      var writer = WireWriter()
      writer.write(error.reason)
      answer.send(.refusal, writer.octets)
    }
    _exit(0)
  }
}

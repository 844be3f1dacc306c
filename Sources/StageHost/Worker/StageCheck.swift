internal import MailModel
public import PipelineConfig
public import Platform
internal import Spoke

/// What a stage says of its configuration: made and destroyed in a process of its own, never started.
public enum StageCheck {
  public struct Finding: Equatable, Sendable {
    /// The stage's complaints, in its order, at their places in the file.
    public var diagnostics: [Diagnostic]
    /// Why the stage could not be asked, or took its configuration for unusable; nil when it would run.
    public var failure: String?
  }

  /// Seconds that a stage may take to judge its configuration.
  public static let secondsMax = 10.0

  /// Asks a stage. Blocks for at most ``secondsMax``.
  ///
  /// - Parameter executable: What has the verb `worker`: this program.
  /// - Throws: ``SystemError`` when no worker could be started.
  public static func diagnostics(
    executable: String = "/proc/self/exe", _ setup: WorkerSetup, secondsMax: Double = Self.secondsMax,
    standardError: Int32 = 2
  ) throws(SystemError) -> Finding {
    var setup = setup
    setup.stage.isCheckOnly = true
    let region = try SpokeRegion(creatingWithChunks: 1, name: "interchange-check")
    let stageBell = try EventFD()
    let loop = try EventLoop()
    let spoke: SpokeHostEnd
    do throws(SpokeError) { spoke = try SpokeHostEnd(region, stageBell: stageBell.rawValue) } catch {
      return Finding(diagnostics: [], failure: "\(error)")
    }
    let worker = try WorkerProcess(
      executable: executable, setup: setup, region: region, stageBell: stageBell.rawValue,
      hostBell: loop.doorbellDescriptor, standardError: standardError)
    var finding = Finding(diagnostics: [], failure: nil)
    var end: WorkerProcess.End?
    var isLate = false
    try loop.watch(worker.processDescriptor, .readable) { _ in
      loop.unwatch(worker.processDescriptor)
      end = worker.poll()
    }
    _ = loop.timer(afterSeconds: secondsMax) {
      isLate = true
      worker.terminate(afterSeconds: 0, on: loop)
    }
    while end == nil {
      read(spoke, file: setup.stage.config.mark.file, into: &finding)
      if sleeps(spoke) { try loop.runOnce() }
    }
    read(spoke, file: setup.stage.config.mark.file, into: &finding)
    if isLate { finding.failure = "the stage did not judge its configuration within \(secondsMax) s" }
    if finding.failure == nil { finding.failure = end?.failure }
    return finding
  }

  private static func read(_ spoke: SpokeHostEnd, file: String, into finding: inout Finding) {
    do throws(SpokeError) {
      spoke.awake()
      while let frame = try spoke.receive() {
        switch frame {
        case .diagnostic(let severity, let line, let column, let text):
          let mark = ConfigMark(file: file, line: Int(line), column: Int(column))
          finding.diagnostics.append(Diagnostic(severity >= 4 ? .error : .warning, text, at: mark))
        case .startFailed(let line): finding.failure = line
        case .ready, .piece, .offer, .discard, .outcome, .log, .metric, .health, .stopped: break
        }
      }
      try spoke.endCycle()
    } catch {
      finding.failure = "the stage's frames make no sense: \(error)"
    }
  }

  private static func sleeps(_ spoke: SpokeHostEnd) -> Bool {
    // A broken spoke has been reported; the end of the process is all that is waited for.
    do throws(SpokeError) { return try spoke.prepareToSleep() } catch { return true }
  }
}

extension WorkerProcess.End {
  /// What an end means when a stage was only to judge its configuration; nil for the orderly one.
  fileprivate var failure: String? {
    switch self {
    case .exited(.stopped): nil
    case .exited(let code): "the stage could not be asked (\(code))"
    case .exitedOtherwise(let code): "the stage ended its process with exit code \(code)"
    case .signalled(let signal): "the stage crashed with signal \(signal)"
    }
  }
}

internal import Glibc
internal import MailModel
internal import Platform
internal import Spoke

/// What `interchange worker` does: one stage instance in a process of its own, on the main thread.
///
/// 1. Nothing is open but what the host gave: 0 (nothing), 1 and 2 (the host's error output), 3 (the control socket).
/// 2. The process ends with the host: the kernel kills it, and the end of the control socket ends it too.
/// 3. No privileges are gained from here on, whatever the module executes.
public enum WorkerMain {
  /// The number at which a worker finds its end of the control socket.
  public static let controlDescriptor: Int32 = 3

  /// Runs the instance to its end; the exit code. Thread: main, first thing in the process.
  public static func run() -> Int32 {
    ThisProcess.dieWithParent()
    ThisProcess.ignoreBrokenPipes()
    ThisProcess.ignoreRequestsToEnd()
    do throws(SystemError) { try ThisProcess.forbidNewPrivileges() } catch { return WorkerExit.setupRefused.rawValue }
    guard FileDescriptor.isOpen(controlDescriptor) else { return WorkerExit.setupRefused.rawValue }
    let control = WorkerControl(UnixSocket(owning: FileDescriptor(owning: controlDescriptor)))
    guard let beginning = control.begin() else { return WorkerExit.hostGone.rawValue }
    return run(beginning, control).rawValue
  }

  private static func run(_ beginning: WorkerControl.Beginning, _ control: WorkerControl) -> WorkerExit {
    let loop: EventLoop
    let spoke: SpokeStageEnd
    do {
      let region = try SpokeRegion(
        attaching: try beginning.region.file.duplicate(), chunkCount: beginning.chunkCount)
      loop = try EventLoop(doorbell: EventFD(owning: try beginning.stageBell.file.duplicate()))
      spoke = try SpokeStageEnd(region, hostBell: beginning.hostBell.file.rawValue)
    } catch { return .setupRefused }
    let segments = SegmentMap { control.segment($0) }
    do throws(SystemError) {
      try loop.watch(control.rawValue, .readable) { _ in
        guard let gone = control.drain() else { _exit(WorkerExit.hostGone.rawValue) }
        for segment in gone { segments.forget(segment) }
      }
    } catch { return .setupRefused }
    let module: LoadedModule
    do throws(ModuleError) { module = try ModuleLoader.load(beginning.setup.modulePath) } catch {
      refuse(spoke, error.description)
      return .moduleFailed
    }
    guard let stageClass = module.stageClass(named: beginning.setup.stageName) else {
      refuse(spoke, "\(beginning.setup.modulePath) has no stage \(beginning.setup.stageName)")
      return .moduleFailed
    }
    let runner = StageRunner(
      stageClass, setup: beginning.setup.stage, spoke: spoke, loop: loop, segments: segments)
    switch runner.run() {
    case .stopped: return .stopped
    case .createFailed: return .createFailed
    case .startFailed: return .startFailed
    case .abandoned: return .hostGone
    case .spokeFailed, .loopFailed: return .broken
    }
  }

  private static func refuse(_ spoke: SpokeStageEnd, _ line: String) {
    do throws(SpokeError) {
      try spoke.send(.startFailed(line), wakesHost: false)
      try spoke.send(.stopped)
    } catch {
      // The exit code says the same to a host whose spoke does not work.
    }
  }
}

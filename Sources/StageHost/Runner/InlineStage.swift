public import CInterchange
public import Platform
public import Spoke
internal import Synchronization

/// `isolation: inline`: an instance on a thread of the host. Thread: any.
public final class InlineStage: Sendable {
  private let runner: StageRunner
  private let hostBell: EventFD
  private let state = Mutex<State>(State())

  private struct State: Sendable {
    var end: StageRunner.End?
    var thread: Thread?
  }

  /// Starts the thread, named after the instance.
  ///
  /// - Parameters:
  ///   - stageClass: The table of a module in this process.
  ///   - stageBell: The stage's doorbell, `hostBell` the host's. Borrowed: the stage has descriptors of its own of both.
  /// - Throws: ``StageStartError``; nothing runs then.
  public init(
    _ stageClass: UnsafePointer<ix_stage_class>, setup: StageSetup, region: SpokeRegion, stageBell: Int32,
    hostBell: Int32, segments: SegmentMap
  ) throws(StageStartError) {
    let loop: EventLoop
    do throws(SystemError) {
      self.hostBell = EventFD(owning: try .duplicating(hostBell))
      loop = try EventLoop(doorbell: EventFD(owning: try .duplicating(stageBell)))
    } catch { throw .system(error) }
    do throws(SpokeError) {
      let spoke = try SpokeStageEnd(region, hostBell: self.hostBell.rawValue)
      runner = StageRunner(stageClass, setup: setup, spoke: spoke, loop: loop, segments: segments)
    } catch { throw .spoke(error) }
    do throws(SystemError) {
      let thread = try Thread.start(name: setup.instanceID) { [self] in
        let end = runner.run()
        state.withLock { $0.end = end }
      }
      state.withLock { $0.thread = thread }
    } catch { throw .system(error) }
  }

  /// How the run ended; nil while the thread runs. The host hears of an orderly end by the frame `stopped`.
  public var end: StageRunner.End? { state.withLock { $0.end } }

  /// Gives the instance up without waiting for what is open. A stage that does not return from a call keeps its thread.
  public func abandon() { runner.abandon() }

  /// Waits for the end of the thread.
  public func join() -> StageRunner.End? {
    let thread = state.withLock { state in
      defer { state.thread = nil }
      return state.thread
    }
    thread?.join()
    return end
  }
}

/// Why an instance could not be set going at all.
public enum StageStartError: Error, Equatable, Sendable {
  case system(SystemError)
  case spoke(SpokeError)
}

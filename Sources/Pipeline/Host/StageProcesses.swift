import Glibc
import MailModel
import PipelineConfig
import Platform
import Spoke
import StageHost

/// Starts stages as the pipeline says: as workers, or inline on a thread of the host.
struct StageProcesses {
  private let pipeline: LoadedPipeline
  private let log: EventLog
  private let descriptor: @Sendable (UInt32) -> Int32?
  private let executable: String

  init(
    _ pipeline: LoadedPipeline, _ log: EventLog, executable: String = "/proc/self/exe",
    descriptor: @escaping @Sendable (UInt32) -> Int32?
  ) {
    self.pipeline = pipeline
    self.log = log
    self.executable = executable
    self.descriptor = descriptor
  }

  /// A ``StageStarter``.
  func start(
    _ lane: Int, _ region: SpokeRegion, _ loop: EventLoop, _ ended: @escaping (String?) -> Void
  ) throws -> (process: any StageProcess, stageBell: Int32) {
    let node = pipeline.graph.nodes[lane]
    guard case .module(let name, let stage) = node.entry.use, let module = pipeline.modules[name] else {
      throw StageLoadError.notAModule(node.id)
    }
    let setup = StageSetup(
      instanceID: node.id, nodeName: pipeline.file.node,
      stateDirectory: "\(pipeline.file.spool.path)/state/\(node.id)", config: node.settings,
      contentOctetsMax: UInt64(pipeline.file.spool.messageOctetsMax))
    switch node.isolation {
    case .worker, nil:
      let process = try WorkerStage(
        WorkerSetup(modulePath: module.path, stageName: stage, stage: setup), region, loop, executable, ended)
      return (process, process.stageBell)
    case .inline:
      let process = try InlineStageProcess(module.path, stage, setup, region, loop, descriptor, ended)
      return (process, process.stageBell)
    }
  }
}

enum StageLoadError: Error, CustomStringConvertible {
  case notAModule(String)
  case noSuchStage(String, module: String)

  var description: String {
    switch self {
    case .notAModule(let id): "\(id) is not a module's stage"
    case .noSuchStage(let stage, let module): "\(module) has no stage \(stage)"
    }
  }
}

/// A stage in a process of its own.
private final class WorkerStage: StageProcess {
  private let worker: WorkerProcess
  private let bell: EventFD
  private let loop: EventLoop
  /// Messages wait for room in the control channel, which is watched.
  private var isFlushing = false

  var stageBell: Int32 { bell.rawValue }

  init(
    _ setup: WorkerSetup, _ region: SpokeRegion, _ loop: EventLoop, _ executable: String,
    _ ended: @escaping (String?) -> Void
  ) throws(SystemError) {
    bell = try EventFD()
    self.loop = loop
    worker = try WorkerProcess(
      executable: executable, setup: setup, region: region, stageBell: bell.rawValue,
      hostBell: loop.doorbellDescriptor)
    let descriptor = worker.processDescriptor
    try loop.watch(descriptor, .readable) { [unowned self] _ in
      guard let end = worker.poll() else { return }
      loop.unwatch(descriptor)
      loop.unwatch(worker.controlDescriptor)
      ended(end.reason)
    }
  }

  func give(segment: UInt32, descriptor: Int32) throws(SystemError) {
    try worker.sendSegment(segment, descriptor)
    try flushLater()
  }

  func forget(segment: UInt32) throws(SystemError) {
    try worker.forgetSegment(segment)
    try flushLater()
  }

  private func flushLater() throws(SystemError) {
    guard worker.isBlocked, !isFlushing else { return }
    isFlushing = true
    try loop.watch(worker.controlDescriptor, .writable) { [unowned self] _ in
      // A worker that is gone is told by its process descriptor.
      try? worker.flush()
      guard !worker.isBlocked else { return }
      isFlushing = false
      loop.unwatch(worker.controlDescriptor)
    }
  }

  func kill() { worker.terminate(afterSeconds: 0, on: loop) }

  /// The end of the process follows.
  func hasStopped() {}
}

extension WorkerProcess.End {
  /// Nil for an end that was asked for.
  fileprivate var reason: String? {
    switch self {
    case .exited(.stopped): nil
    case .exited(let exit): "the worker ended: \(exit)"
    case .exitedOtherwise(let code): "the stage's process exited with \(code)"
    case .signalled(let signal): "the stage's process was killed by signal \(signal) (\(String(cString: strsignal(signal))))"
    }
  }
}

/// A stage on a thread of the host.
private final class InlineStageProcess: StageProcess {
  private let stage: InlineStage
  private let segments: SegmentMap
  private let bell: EventFD
  private let ended: (String?) -> Void

  var stageBell: Int32 { bell.rawValue }

  init(
    _ modulePath: String, _ name: String, _ setup: StageSetup, _ region: SpokeRegion, _ loop: EventLoop,
    _ descriptor: @escaping @Sendable (UInt32) -> Int32?, _ ended: @escaping (String?) -> Void
  ) throws {
    let module = try ModuleLoader.load(modulePath)
    guard let stageClass = module.stageClass(named: name) else {
      throw StageLoadError.noSuchStage(name, module: modulePath)
    }
    bell = try EventFD()
    self.ended = ended
    segments = SegmentMap { segment in descriptor(segment).flatMap { try? .duplicating($0) } }
    stage = try InlineStage(
      stageClass, setup: setup, region: region, stageBell: bell.rawValue, hostBell: loop.doorbellDescriptor,
      segments: segments)
  }

  /// The host's thread reads the spool itself.
  func give(segment: UInt32, descriptor: Int32) {}

  func forget(segment: UInt32) { segments.forget(segment) }

  func kill() { stage.abandon() }

  func hasStopped() {
    switch stage.join() {
    case .stopped, .abandoned, nil: ended(nil)
    case .createFailed(let line), .startFailed(let line): ended(line)
    case .spokeFailed(let error): ended("\(error)")
    case .loopFailed(let error): ended("\(error)")
    }
  }
}

import Glibc
public import MailModel
import PipelineConfig
public import Platform
public import Spool
import Synchronization

/// A running gateway: a pipeline, its spool, the hub on the calling thread and the committer on one of its own.
///
/// Starting: open and lock the spool → replay it into the dispatcher → start the stages → run. A spool that cannot be
/// used, or a stage's module that cannot be loaded, ends the start with one clear line and nothing is touched.
/// Stopping, on SIGTERM or SIGINT: sources stop, open jobs get four seconds, what is done is committed, the spool writes
/// a snapshot. What was not finished is queued in the spool, as after a power cut.
public final class Gateway: @unchecked Sendable {
  // SAFETY: Sendable, because the hub and the intake guard themselves, and the rest does not change after init.
  public let pipeline: LoadedPipeline
  public let log: EventLog
  let hub: Hub
  private let engine: any SpoolEngine
  /// Used by the committer's thread only.
  private let history: History
  private let loop: EventLoop
  private let signals: EventFD
  /// Held by the committer's thread for as long as it runs.
  private let committerIntake: Mutex<CommitterIntake>
  public let startedAt: WallTime

  /// Opens the spool and replays it.
  ///
  /// - Throws: ``GatewayError``.
  public init(_ pipeline: LoadedPipeline, log: EventLog) throws(GatewayError) {
    self.pipeline = pipeline
    self.log = log
    startedAt = .now()
    let entry = pipeline.file.spool
    do throws(SpoolError) {
      if access(entry.path, F_OK) != 0 {
        try LogSpool.createDirectory(entry.path)
        log.write(.info, stage: nil, nil, "made a new spool in \(entry.path)")
      }
      engine = try LogSpool(path: entry.path, settings: SpoolSettings(entry))
      history = try History(spoolPath: entry.path)
    } catch { throw .spool(error) }
    do throws(SystemError) {
      let loop = try EventLoop()
      self.loop = loop
      signals = try EventFD()
    } catch { throw .system(error) }

    let plan = PipelinePlan(pipeline.graph, node: pipeline.file.node)
    let engine = engine
    let segments = SegmentDescriptorSource(engine)
    let descriptor: @Sendable (UInt32) -> Int32? = { segments[$0] }
    let routers = pipeline.graph.nodes.map { node in
      node.router.map { Router(rules: $0, lanes: node.ports.map(\.target)) }
    }
    let reports = ReportDesk(node: pipeline.file.node) { message, octets in
      // A report without the head of the content is better than none.
      (try? StoredContent(extents: message.extents, descriptor: descriptor).head(octets)) ?? []
    }
    let now = Now(wall: .now(), monotonic: .now())
    var recovered: [(StoredMessage, [RecipientState], [ContentExtent])] = []
    do throws(SpoolError) {
      try engine.recover { recovered.append(($0, $1, $2)) }
    } catch { throw .spool(error) }
    let dispatcher = Dispatcher(
      plan: plan, lastQueueID: engine.lastQueueID,
      route: { lane, message, recipient in
        routers[lane]?.decide(message, recipient)
          ?? .reject(DeliveryStatus(.wronglyConfigured, "the stage is not a router"))
      }, makeReport: reports.make)
    dispatcher.storedContent = { StoredContent(extents: $0, descriptor: descriptor) }
    for (message, states, extents) in recovered { dispatcher.recovered(message, states, extents, now) }
    if !recovered.isEmpty { log.write(.info, stage: nil, nil, "\(recovered.count) messages in the spool") }
    let intake = Intake { [loop] in loop.wake() }
    committerIntake = Mutex(intake.committer)
    let starter = StageProcesses(pipeline, log, descriptor: descriptor)
    hub = Hub(
      dispatcher: dispatcher, loop: loop, log: log, intake: intake.hub, descriptor: descriptor,
      startStage: starter.start)
  }

  /// Runs until a signal or ``stop()``. Returns why it ended, when that was not asked for.
  public func run() -> String? {
    do throws(SystemError) {
      try loop.watch(signals.rawValue, .readable) { [unowned self] _ in
        signals.drain()
        for signal in Signals.take() {
          if signal == Signals.terminate || signal == Signals.interrupt { hub.stop() }
          if signal == Signals.hangUp {
            log.write(.warning, stage: nil, nil, "SIGHUP: a changed pipeline is read at the next start")
          }
        }
      }
      Signals.ring(signals.rawValue, for: [Signals.terminate, Signals.interrupt, Signals.hangUp])
      let committer = try Platform.Thread.start(name: "committer") { [self] in serveSpool() }
      let failure = hub.run()
      // After a failure the committer has ended, or waits for nothing that comes; the process ends.
      guard failure == nil else { return failure }
      committer.join()
      return closeFailure
    } catch { return "\(error)" }
  }

  public func stop() { _ = hub.post { hub, _ in hub.stop() } }

  /// Set by the committer before it ends, read after it was joined.
  private nonisolated(unsafe) var closeFailure: String?

  /// How long the committer waits for work before it looks after the spool.
  private static let idleSeconds = 1.0

  private func serveSpool() {
    let committer = Committer(engine) { [history] in history.record(HistoryLine($0)) }
    hub.spoolRoom.store(engine.octetsAvailable(), ordering: .relaxed)
    let isSound = committerIntake.withLock { intake in
      intake.serve(committer, idleSeconds: Self.idleSeconds) { () throws(SpoolError) in
        try engine.tidy()
        let moved = engine.takeMoved()
        if !moved.isEmpty {
          _ = hub.post { hub, _ in
            for (id, extents) in moved { hub.dispatcher.contentMoved(id, to: extents) }
          }
        }
        history.flush()
        hub.spoolRoom.store(engine.octetsAvailable(), ordering: .relaxed)
      }
    }
    history.close()
    guard isSound else { return }
    do throws(SpoolError) { try engine.close() } catch { closeFailure = "the spool could not be closed: \(error)" }
  }
}

/// Why a gateway cannot start.
public enum GatewayError: Error, Sendable {
  case spool(SpoolError)
  case system(SystemError)
}

extension GatewayError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .spool(.unusable(let text)), .spool(.damaged(let text)): text
    case .spool(.noSpace): "the spool has no room"
    case .spool(.io(let operation, let errno)): "the spool: \(operation): \(String(cString: strerror(errno)))"
    case .system(let error): "\(error)"
    }
  }
}

extension SpoolSettings {
  init(_ entry: SpoolEntry) {
    self.init()
    segmentOctets = Int(entry.segmentOctets)
    switch entry.freeMin {
    case .octets(let octets): reserve = .octets(UInt64(octets))
    case .percent(let percent): reserve = .percent(percent)
    }
  }
}

extension HistoryLine {
  init(_ event: HistoryEvent) {
    self.init(
      time: event.at, id: event.id, event: event.kind.rawValue, stage: event.stage, sender: event.sender,
      parent: event.parent, successor: event.successor, contentOctets: event.octets, recipients: event.recipients,
      recipientCount: event.recipientCount, code: event.status?.code, text: event.status?.text,
      remote: event.status?.remote)
  }
}

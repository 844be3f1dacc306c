import CInterchange
import Synchronization

/// The host, as one instance sees it. Threads as interchange.h says for the function behind each member.
public final class StageContext: Sendable {
  // SAFETY: the tables are valid until destroy, and immutable (interchange.h, ix_host.get_extension).
  nonisolated(unsafe) let host: UnsafePointer<ix_host>
  nonisolated(unsafe) let jobs: UnsafePointer<ix_job_functions>
  nonisolated(unsafe) let drafts: UnsafePointer<ix_draft_functions>
  nonisolated(unsafe) let ingest: UnsafePointer<ix_ingest_functions>
  nonisolated(unsafe) let loopFunctions: UnsafePointer<ix_loop_functions>
  nonisolated(unsafe) let config: UnsafePointer<ix_config_functions>
  nonisolated(unsafe) private let diagnostics: UnsafePointer<ix_diagnostics_functions>
  nonisolated(unsafe) private let logFunctions: UnsafePointer<ix_log_functions>
  nonisolated(unsafe) private let metrics: UnsafePointer<ix_metrics_functions>
  /// The jobs in the stage's hands, so that `cancel` finds the object that `submit` gave.
  private let open = Mutex<[UInt: WeakJob]>([:])

  /// Nil when the host lacks one of the tables of level 0.
  init?(_ host: UnsafePointer<ix_host>) {
    func table<Table>(_ id: String, _: Table.Type) -> UnsafePointer<Table>? {
      host.pointee.get_extension(host, id)?.assumingMemoryBound(to: Table.self)
    }
    guard let jobs = table(IX_JOB, ix_job_functions.self), let drafts = table(IX_DRAFT, ix_draft_functions.self),
      let ingest = table(IX_INGEST, ix_ingest_functions.self), let loop = table(IX_LOOP, ix_loop_functions.self),
      let config = table(IX_CONFIG, ix_config_functions.self),
      let diagnostics = table(IX_DIAGNOSTICS, ix_diagnostics_functions.self),
      let log = table(IX_LOG, ix_log_functions.self), let metrics = table(IX_METRICS, ix_metrics_functions.self)
    else { return nil }
    self.host = host
    self.jobs = jobs
    self.drafts = drafts
    self.ingest = ingest
    self.loopFunctions = loop
    self.config = config
    self.diagnostics = diagnostics
    self.logFunctions = log
    self.metrics = metrics
  }

  /// The `node:` of pipeline.yaml, for greetings and trace.
  public var nodeName: String { String(config.pointee.node_name(host)) ?? "" }
  /// This instance's id in pipeline.yaml.
  public var instanceID: String { String(config.pointee.instance_id(host)) ?? "" }
  /// A directory of this instance's own.
  public var stateDirectory: String { String(config.pointee.state_directory(host)) ?? "" }

  public func log(_ severity: Severity, _ text: String, about job: Job? = nil) {
    text.lend { logFunctions.pointee.log(host, severity.rawValue, job?.pointer, $0) }
  }

  /// A complaint about the configuration, in ``Stage/init(context:config:)``.
  public func complain(_ severity: Severity, at node: ConfigNode, _ text: String) {
    text.lend { diagnostics.pointee.report(host, severity.rawValue, node.pointer, $0) }
  }

  /// Adds to a counter. Names are lower case words joined by dots.
  public func count(_ name: String, _ delta: Int64 = 1) { name.lend { metrics.pointee.add(host, $0, delta) } }
  /// Sets a gauge.
  public func gauge(_ name: String, _ value: Int64) { name.lend { metrics.pointee.set(host, $0, value) } }

  /// How much new mail the host would take.
  public var congestion: Congestion { Congestion(rawValue: ingest.pointee.congestion(host)) ?? .shut }
  /// The largest content that will be taken, in octets.
  public var contentOctetsMax: UInt64 { ingest.pointee.content_octets_max(host) }
  /// The most recipients that one message may have.
  public var recipientsMax: Int { ingest.pointee.recipients_max(host) }

  /// A new message to be made; nil when there are too many at once.
  public func makeDraft() -> Draft? { drafts.pointee.create(host).map { Draft($0, self) } }

  func node(_ pointer: OpaquePointer?) -> ConfigNode { ConfigNode(pointer, config) }

  func job(_ pointer: OpaquePointer) -> Job {
    let job = Job(pointer, self)
    open.withLock { $0[UInt(bitPattern: pointer)] = WeakJob(job) }
    return job
  }

  func openJob(_ pointer: OpaquePointer) -> Job? {
    open.withLock { $0[UInt(bitPattern: pointer)]?.job }
  }

  func forget(_ pointer: OpaquePointer) {
    open.withLock { _ = $0.removeValue(forKey: UInt(bitPattern: pointer)) }
  }

  func status(of failure: StageFailure) -> ix_status {
    switch failure {
    case .configuration: return IX_INVALID
    case .failed(let line):
      log(.error, line)
      return IX_FAILED
    }
  }

  private struct WeakJob: Sendable {
    weak let job: Job?
    init(_ job: Job) { self.job = job }
  }
}

public enum Severity: UInt32, Sendable {
  case debug = 1
  case info = 2
  case warning = 3
  case error = 4
}

/// How much new mail the host would take.
public enum Congestion: UInt32, Sendable, Comparable {
  case flowing = 0
  /// Shorten deadlines.
  case tight = 1
  /// Refuse new messages for now: SMTP 452 4.3.1.
  case full = 2
  /// Take no new connections.
  case shut = 3

  public static func < (left: Congestion, right: Congestion) -> Bool { left.rawValue < right.rawValue }
}

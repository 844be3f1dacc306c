/// `pipeline.yaml` by itself: every part well-formed, nothing yet known of the modules it names. ``PipelineGraph``
/// joins it with what they offer.
public struct PipelineFile: Sendable {
  /// The file as it was named to ``load(path:environment:secretsDirectory:)``.
  public var path: String
  /// The domain name of this gateway, for greetings, trace and reports.
  public var node: String
  public var nodeMark: ConfigMark
  public var modules: [ModuleEntry]
  public var spool: SpoolEntry
  /// In the order of the file; ids differ.
  public var stages: [StageEntry]
  public var stagesMark: ConfigMark
  public var admin: AdminEntry

  public func module(_ name: String) -> ModuleEntry? { modules.first { $0.name == name } }
  public func stage(_ id: String) -> StageEntry? { stages.first { $0.id == id } }
}

/// Where a stage runs.
public enum Isolation: String, Sendable, CaseIterable {
  /// In a process of its own.
  case worker
  /// On a thread of the host.
  case inline
}

public struct ModuleEntry: Sendable, Equatable {
  public var name: String
  public var mark: ConfigMark
  /// A path, or a bare file name to be found beside the binary or in the module directory.
  public var file: String
  public var fileMark: ConfigMark
  /// For every stage of the module that does not say otherwise.
  public var isolation: Isolation
}

public struct SpoolEntry: Sendable, Equatable {
  public var mark: ConfigMark
  public var engine: SpoolEngineName
  /// A directory.
  public var path: String
  public var freeMin: FreeSpace
  public var messageOctetsMax: Int64
  public var segmentOctets: Int64

  public init(
    mark: ConfigMark, engine: SpoolEngineName, path: String, freeMin: FreeSpace, messageOctetsMax: Int64,
    segmentOctets: Int64
  ) {
    self.mark = mark
    self.engine = engine
    self.path = path
    self.freeMin = freeMin
    self.messageOctetsMax = messageOctetsMax
    self.segmentOctets = segmentOctets
  }
}

public enum SpoolEngineName: String, Sendable, CaseIterable {
  case embedded
}

/// Space that stays free on the spool's file system; below it, sources are slowed down.
public enum FreeSpace: Sendable, Equatable {
  case octets(Int64)
  case percent(Double)
}

public struct AdminEntry: Sendable, Equatable {
  public var mark: ConfigMark
  /// The path of the socket that the command line talks to.
  public var socket: String
}

/// One stage of the pipeline.
public struct StageEntry: Sendable {
  public var id: String
  /// Where the id is written.
  public var mark: ConfigMark
  public var use: StageUse
  public var useMark: ConfigMark
  /// Checked when the stage's declaration is known; nil when absent.
  public var config: ConfigNode?
  public var to: Wiring
  /// Nil: as the module says.
  public var isolation: Isolation?
  public var isolationMark: ConfigMark?
  public var retry: RetrySchedule
  /// Where `retry:` is written; nil for the default schedule.
  public var retryMark: ConfigMark?
  public var limits: StageLimits
  public var limitsMark: ConfigMark?
}

public enum StageUse: Sendable, Hashable {
  case builtin(BuiltinStage)
  case module(String, stage: String)
}

/// `to:` as written.
public enum Wiring: Sendable, Equatable {
  case none
  /// `to: ID`, for stages with one port.
  case single(StageReference)
  /// `to: { PORT: ID }`.
  case ports([PortWiring], mark: ConfigMark)
}

public struct StageReference: Sendable, Equatable {
  public var id: String
  public var mark: ConfigMark

  public init(id: String, mark: ConfigMark) {
    self.id = id
    self.mark = mark
  }
}

public struct PortWiring: Sendable, Equatable {
  public var port: String
  public var portMark: ConfigMark
  public var target: StageReference
}

/// When a deferred recipient is tried again, and when no more.
public struct RetrySchedule: Sendable, Equatable {
  /// Seconds from one attempt to the next; the last one repeats.
  public var delaysSeconds: [Double]
  /// Seconds from acceptance; a temporary failure after that is permanent.
  public var expireSeconds: Double
  /// Each delay is lengthened or shortened at random by at most this part of it, 0…0.5, so that what failed together
  /// does not come back together.
  public var jitterFraction: Double

  public init(delaysSeconds: [Double], expireSeconds: Double, jitterFraction: Double) {
    self.delaysSeconds = delaysSeconds
    self.expireSeconds = expireSeconds
    self.jitterFraction = jitterFraction
  }
}

public struct StageLimits: Sendable, Equatable {
  /// Messages in the stage's hands at once; nil: the host's default.
  public var concurrencyMax: Int?
  /// Seconds in which the stage must answer for a message; nil: the host's default.
  public var deadlineSeconds: Double?

  public init(concurrencyMax: Int? = nil, deadlineSeconds: Double? = nil) {
    self.concurrencyMax = concurrencyMax
    self.deadlineSeconds = deadlineSeconds
  }
}

public import MailModel
public import PipelineConfig

/// The pipeline as the dispatcher needs it: stages as numbered lanes, wired by number.
public struct PipelinePlan: Sendable {
  public var node: String
  public var lanes: [LanePlan]

  public init(node: String, lanes: [LanePlan]) {
    self.node = node
    self.lanes = lanes
  }

  func lane(named id: String) -> Int? { lanes.firstIndex { $0.id == id } }
  var reportsLane: Int? { lanes.firstIndex { $0.role == .reports } }
  var deadLetterLane: Int? { lanes.firstIndex { $0.role == .deadLetter } }
}

public struct LanePlan: Sendable {
  public enum Role: Sendable, Equatable {
    case source
    case filter
    case sink
    /// A sink to which recipients come whom nobody can be told about.
    case deadLetter
    /// Built in: sends each recipient on by rules.
    case router
    /// Built in: tells the originator.
    case reports
  }

  public var id: String
  public var role: Role
  /// The lane that each output port is wired to, by port index.
  public var ports: [Int]
  public var retry: RetrySchedule
  /// Jobs that may be in the stage's hands at once.
  public var jobsMax: Int
  /// Jobs for one destination that may be in the stage's hands at once.
  public var jobsPerDestinationMax: Int
  /// How long the stage may hold a job, in seconds.
  public var jobSecondsMax: Double

  public init(
    id: String, role: Role, ports: [Int] = [], retry: RetrySchedule = .standard, jobsMax: Int = 512,
    jobsPerDestinationMax: Int = 128, jobSecondsMax: Double = 3600
  ) {
    self.id = id
    self.role = role
    self.ports = ports
    self.retry = retry
    self.jobsMax = jobsMax
    self.jobsPerDestinationMax = jobsPerDestinationMax
    self.jobSecondsMax = jobSecondsMax
  }
}

/// Where the router sends a recipient.
public enum RouteDecision: Sendable, Equatable {
  case lane(Int)
  case reject(DeliveryStatus)
}

public import MailModel
import Platform

/// The account of ``Ledger`` with what lives now, taken at one moment.
public struct LedgerReport: Sendable, Equatable {
  public var ledger: Ledger
  public var live: LiveCount
  /// Who holds what: for each stage with open jobs, their number and the age of the oldest.
  public var holders: [Holder]

  public struct Holder: Sendable, Equatable {
    public var stage: String
    public var jobs: Int
    public var recipients: Int
    public var oldestSeconds: Double
  }

  /// What came in and has neither ended nor lives. Zero, or a fault of this program.
  public var difference: Int { ledger.entered - ledger.ended - live.total }
}

public struct GatewayStatus: Sendable, Equatable {
  public var node: String
  public var startedAt: WallTime
  public var isStopping: Bool
  public var messages: Int
  /// By the ledger's counters; `ledger` counts them one by one.
  public var liveRecipients: Int
  /// Octets left for new messages; negative when the reserve is eaten into, nil before the first look.
  public var spoolRoomOctets: Int64?
  public var stages: [StageStatus]
  /// By `STAGE.NAME`.
  public var metrics: [String: Int64]
  /// Since a stage last said something or a transaction became durable.
  public var secondsSinceWork: Double
}

public struct StageStatus: Sendable, Equatable {
  public enum Phase: String, Sendable {
    case up, starting, stopping, down
    /// Runs in the host and has no process.
    case builtIn = "built in"
  }

  public var id: String
  public var role: String
  public var phase: Phase
  /// Times that it was started after the first.
  public var restarts: Int
  public var openJobs: Int
  public var waiting: Int
  /// What the stage says is wrong; nil is well.
  public var complaint: String?
}

/// Whether mail moves, not only whether a process lives (failure mode K4).
public struct GatewayHealth: Sendable, Equatable {
  /// Empty when all is well.
  public var problems: [String]
  public var status: GatewayStatus

  public var isHealthy: Bool { problems.isEmpty }
}

extension GatewayControl {
  /// Walks the queue in one visit, because an account is of one moment; the only call here whose visit grows with the
  /// queue.
  public func ledger() throws(ControlError) -> LedgerReport {
    try ask { hub, now in
      var holders: [Int: LedgerReport.Holder] = [:]
      for job in hub.dispatcher.openJobs {
        let id = hub.dispatcher.plan.lanes[job.lane].id
        var holder =
          holders[job.lane] ?? LedgerReport.Holder(stage: id, jobs: 0, recipients: 0, oldestSeconds: 0)
        holder.jobs += 1
        holder.recipients += job.recipients.count
        holder.oldestSeconds = max(holder.oldestSeconds, now.monotonic.seconds(since: job.started))
        holders[job.lane] = holder
      }
      return LedgerReport(
        ledger: hub.dispatcher.ledger, live: hub.dispatcher.countLive(),
        holders: holders.sorted { $0.key < $1.key }.map(\.value))
    }
  }

  public func status() throws(ControlError) -> GatewayStatus {
    let startedAt = gateway.startedAt
    return try ask { hub, now in
      let room = hub.spoolRoom.load(ordering: .relaxed)
      return GatewayStatus(
        node: hub.dispatcher.plan.node, startedAt: startedAt, isStopping: hub.phase != .running,
        messages: hub.dispatcher.messages.count,
        liveRecipients: hub.dispatcher.ledger.entered - hub.dispatcher.ledger.ended,
        spoolRoomOctets: room == Int64.max ? nil : room,
        stages: hub.dispatcher.lanes.map { hub.status(of: $0) }, metrics: hub.metrics,
        secondsSinceWork: max(0, now.monotonic.seconds(since: hub.recentWorkAt)))
    }
  }

  /// How long work may wait while nothing moves.
  public static let quietSecondsMax = 60.0

  public func health() throws(ControlError) -> GatewayHealth {
    let status = try status()
    return GatewayHealth(problems: Self.problems(of: status), status: status)
  }

  static func problems(of status: GatewayStatus) -> [String] {
    var problems: [String] = []
    if status.isStopping { problems.append("the gateway is stopping") }
    for stage in status.stages {
      switch stage.phase {
      case .up, .builtIn: break
      case .starting, .stopping, .down: problems.append("stage \(stage.id) is \(stage.phase.rawValue)")
      }
      if let complaint = stage.complaint { problems.append("stage \(stage.id): \(complaint)") }
    }
    // What is deferred waits for its time, and what is held for an operator: both have a reason. The rest should move.
    let moving = status.stages.reduce(0) { $0 + $1.waiting + $1.openJobs }
    if moving > 0, status.secondsSinceWork > quietSecondsMax {
      problems.append("\(moving) messages wait and nothing has moved for \(Int(status.secondsSinceWork)) s")
    }
    if let room = status.spoolRoomOctets, room <= 0 {
      problems.append("the spool is short of room: sources are told to wait")
    }
    return problems
  }
}

extension Hub {
  fileprivate func status(of lane: Lane) -> StageStatus {
    StageStatus(
      id: lane.plan.id, role: lane.plan.role.word, phase: phase(of: lane),
      restarts: max(0, (startCounts[lane.index] ?? 0) - 1), openJobs: lane.openJobs, waiting: lane.waitingCount,
      complaint: links[lane.index]?.health)
  }

  private func phase(of lane: Lane) -> StageStatus.Phase {
    guard lane.plan.role.hasProcess else { return .builtIn }
    switch links[lane.index]?.phase {
    case .starting: return .starting
    case .up: return .up
    case .stopping: return .stopping
    case .stopped, nil: return .down
    }
  }
}

extension LanePlan.Role {
  var word: String {
    switch self {
    case .source: "source"
    case .filter: "filter"
    case .sink: "sink"
    case .deadLetter: "dead-letter"
    case .router: "router"
    case .reports: "reports"
    }
  }
}

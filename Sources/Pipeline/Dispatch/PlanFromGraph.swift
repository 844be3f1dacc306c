import MailModel
public import PipelineConfig

/// A proved graph as lanes: a lane is a node of the graph, with the same number.
extension PipelinePlan {
  public init(_ graph: PipelineGraph, node: String) {
    self.init(
      node: node,
      lanes: graph.nodes.map { node in
        LanePlan(
          id: node.id, role: LanePlan.Role(node, in: graph), ports: node.ports.map(\.target),
          retry: node.entry.retry, jobsMax: node.entry.limits.concurrencyMax ?? Self.jobsMaxDefault,
          jobSecondsMax: node.entry.limits.deadlineSeconds ?? Self.jobSecondsDefault(node.role))
      })
  }

  private static let jobsMaxDefault = 512

  /// A filter works on what is in memory; a sink waits for peers, whose final reply alone may take ten minutes
  /// (RFC 5321 §4.5.3.2.6).
  private static func jobSecondsDefault(_ role: GraphRole) -> Double {
    switch role {
    case .filter: 60
    case .sink: 3600
    case .source, .router, .reports: 3600
    }
  }
}

extension LanePlan.Role {
  fileprivate init(_ node: GraphNode, in graph: PipelineGraph) {
    switch node.role {
    case .source: self = .source
    case .filter: self = .filter
    case .sink: self = node.index == graph.dead ? .deadLetter : .sink
    case .router: self = .router
    case .reports: self = .reports
    }
  }
}

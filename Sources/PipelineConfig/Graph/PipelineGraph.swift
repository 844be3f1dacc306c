/// The wiring of a pipeline: what ``PipelineFile`` says joined with what the modules offer, and proved.
///
/// Nodes are the stages in the order of the file. Edges are what `to:` and the router's rules say, and the implicit
/// ones: what filters and sinks (and routers that reject) fail goes to `reports`, and what cannot be reported to `dead`.
///
/// What holds of a graph that ``build(_:declarations:unavailableModules:diagnostics:)`` returns:
/// 1. Every `use:` names a stage that exists, and the stage's settings are what it declared.
/// 2. Every output port leads to exactly one stage, and that stage is no source.
/// 3. There is a source, and every stage is reached from one, over implicit edges too.
/// 4. There is no circle but through `reports`; so, with 2, every path ends in a sink, `reports` or `dead`.
/// 5. The last rule of every router takes all recipients.
/// 6. There is one `reports` stage, and one dead-letter stage: the sink with the id `dead`.
public struct PipelineGraph: Sendable {
  public var nodes: [GraphNode]
  public var edges: [GraphEdge]
  /// The node of `use: reports`.
  public var reports: Int
  /// The node with the id `dead`.
  public var dead: Int

  public static let deadID = "dead"

  public func node(_ id: String) -> GraphNode? { nodes.first { $0.id == id } }
}

public struct GraphNode: Sendable {
  public var index: Int
  public var entry: StageEntry
  public var role: GraphRole
  /// Nil for the host's own stages.
  public var declaration: StageDeclaration?
  /// Where it runs; nil for the host's own stages.
  public var isolation: Isolation?
  /// Checked against the declaration, defaults filled in.
  public var settings: ConfigValue
  /// Output ports by number, as answers name them, each with the node it leads to.
  public var ports: [GraphPort]
  /// For routers; port numbers are those of `ports`.
  public var router: RouterRules?

  public var id: String { entry.id }
}

public struct GraphPort: Sendable, Equatable {
  public var name: String
  public var target: Int
}

public enum GraphRole: Sendable, Equatable {
  case source, filter, sink, router, reports

  public var word: String {
    switch self {
    case .source: "source"
    case .filter: "filter"
    case .sink: "sink"
    case .router: "router"
    case .reports: "reports"
    }
  }

  init(_ kind: StageKind) {
    switch kind {
    case .source: self = .source
    case .filter: self = .filter
    case .sink: self = .sink
    }
  }
}

public struct GraphEdge: Sendable, Equatable {
  public var from: Int
  public var to: Int
  /// The port; for routers, the target's id. Empty for implicit edges.
  public var port: String
  /// Nobody wrote it: failures to `reports`, and what is given up to `dead`.
  public var isImplicit: Bool
}

extension PipelineGraph {
  /// Joins a file with the stages that its modules offer.
  ///
  /// - Parameters:
  ///   - declarations: Of every module that could be read.
  ///   - unavailableModules: Modules about which a complaint has been made already; stages that use them get no second.
  /// - Returns: Nil when the diagnostics hold an error.
  public static func build(
    _ file: PipelineFile, declarations: [StageDeclaration], unavailableModules: Set<String> = [],
    diagnostics: inout Diagnostics
  ) -> PipelineGraph? {
    var builder = GraphBuilder(
      file: file, declarations: declarations, unavailableModules: unavailableModules, diagnostics: diagnostics)
    let graph = builder.build()
    diagnostics = builder.diagnostics
    return diagnostics.hasErrors ? nil : graph
  }
}

/// What is proved of the whole graph, once every wire is known. Nothing here recurses: a chain may be as long as the
/// file allows.
struct GraphProof {
  let graph: PipelineGraph
  let wires: [GraphBuilder.Wire]
  let file: PipelineFile
  var diagnostics: Diagnostics

  mutating func run() {
    refuseInputsOfSources()
    refuseReportsOfReports()
    refuseUnreached()
    refuseCircles()
  }

  private func mark(of edge: GraphEdge) -> ConfigMark {
    wires.first { $0.from == edge.from && $0.port == edge.port }?.target.mark ?? graph.nodes[edge.from].entry.mark
  }

  private mutating func refuseInputsOfSources() {
    for edge in graph.edges where !edge.isImplicit && graph.nodes[edge.to].role == .source {
      diagnostics.error("\(quoted(graph.nodes[edge.to].id)) is a source; nothing can be sent to it", at: mark(of: edge))
    }
  }

  /// A report about a report is never made, so a report that comes back to its maker could only die.
  private mutating func refuseReportsOfReports() {
    for edge in graph.edges where edge.from == graph.reports && edge.to == graph.reports {
      diagnostics.error("reports cannot be sent to the stage that makes them", at: mark(of: edge))
    }
  }

  private mutating func refuseUnreached() {
    let sources = graph.nodes.filter { $0.role == .source }
    guard !sources.isEmpty else {
      diagnostics.error("there is no source: nothing would ever come in", at: file.stagesMark)
      return
    }
    var next: [[Int]] = Array(repeating: [], count: graph.nodes.count)
    for edge in graph.edges { next[edge.from].append(edge.to) }
    var isReached = Array(repeating: false, count: graph.nodes.count)
    var open = sources.map(\.index)
    for index in open { isReached[index] = true }
    while let index = open.popLast() {
      for target in next[index] where !isReached[target] {
        isReached[target] = true
        open.append(target)
      }
    }
    for node in graph.nodes where !isReached[node.index] {
      diagnostics.error("no source leads to \(quoted(node.id))", at: node.entry.mark)
    }
  }

  /// Takes away, again and again, what leads nowhere but to `reports` or an end; what is left is in or before a circle.
  /// Wires to sources have been complained about.
  private mutating func refuseCircles() {
    let edges = graph.edges.filter {
      !$0.isImplicit && $0.from != graph.reports && $0.to != graph.reports && graph.nodes[$0.to].role != .source
    }
    var outgoing: [[GraphEdge]] = Array(repeating: [], count: graph.nodes.count)
    var incoming: [[Int]] = Array(repeating: [], count: graph.nodes.count)
    for edge in edges {
      outgoing[edge.from].append(edge)
      incoming[edge.to].append(edge.from)
    }
    var outgoingCount = outgoing.map(\.count)
    var ends = outgoingCount.indices.filter { outgoingCount[$0] == 0 }
    while let index = ends.popLast() {
      for source in incoming[index] {
        outgoingCount[source] -= 1
        if outgoingCount[source] == 0 { ends.append(source) }
      }
    }
    var isReported = Array(repeating: false, count: graph.nodes.count)
    for start in graph.nodes.indices where outgoingCount[start] > 0 && !isReported[start] {
      reportCircle(from: start, outgoing, outgoingCount, &isReported)
    }
  }

  /// From a node that leads into a circle, follows wires that do until a node comes again.
  private mutating func reportCircle(
    from start: Int, _ outgoing: [[GraphEdge]], _ outgoingCount: [Int], _ isReported: inout [Bool]
  ) {
    var path: [GraphEdge] = []
    var positions: [Int: Int] = [:]
    var index = start
    while positions[index] == nil {
      if isReported[index] {
        for edge in path { isReported[edge.from] = true }
        return
      }
      positions[index] = path.count
      guard let edge = outgoing[index].first(where: { outgoingCount[$0.to] > 0 }) else { return }
      path.append(edge)
      index = edge.to
    }
    for edge in path { isReported[edge.from] = true }
    let circle = path[(positions[index] ?? 0)...]
    guard let last = circle.last else { return }
    let shown = circle.prefix(8).map { graph.nodes[$0.from].id } + (circle.count > 8 ? ["…"] : [])
    diagnostics.error(
      "messages would go in a circle: " + (shown + [graph.nodes[index].id]).joined(separator: " → "),
      at: mark(of: last),
      hint: "only reports may lead back")
  }
}

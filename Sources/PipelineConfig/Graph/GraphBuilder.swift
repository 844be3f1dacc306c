/// Builds and proves a ``PipelineGraph``. Goes on after every complaint, with what is known.
struct GraphBuilder {
  /// One wire as written, before anything is known of its target.
  struct Wire {
    var from: Int
    var port: String
    var target: StageReference
  }

  let file: PipelineFile
  let unavailableModules: Set<String>
  var diagnostics: Diagnostics
  private let declarations: [String: StageDeclaration]
  private let offeredByModule: [String: [String]]
  var nodes: [GraphNode] = []
  /// Wires whose target exists.
  var wires: [(wire: Wire, to: Int)] = []
  private(set) var indexByID: [String: Int] = [:]
  /// A stage is of a kind that is not known, or its wiring has been complained about: what is proved of the whole would
  /// be wrong.
  private(set) var isPartial = false
  private var originsByRouter: [[StageReference]] = []

  init(
    file: PipelineFile, declarations: [StageDeclaration], unavailableModules: Set<String>, diagnostics: Diagnostics
  ) {
    self.file = file
    self.unavailableModules = unavailableModules
    self.diagnostics = diagnostics
    self.declarations = Dictionary(declarations.map { ($0.use, $0) }) { first, _ in first }
    offeredByModule = Dictionary(grouping: declarations, by: \.module).mapValues { $0.map(\.name) }
  }

  mutating func build() -> PipelineGraph? {
    for entry in file.stages { indexByID[entry.id] = indexByID.count }
    for entry in file.stages { addNode(entry) }
    checkOrigins()
    warnOfUnusedModules()
    let ends = findReportsAndDead()
    guard !isPartial, let ends else { return nil }
    let graph = PipelineGraph(
      nodes: nodes, edges: edges(reports: ends.reports, dead: ends.dead), reports: ends.reports, dead: ends.dead)
    var proof = GraphProof(graph: graph, wires: wires.map(\.wire), file: file, diagnostics: diagnostics)
    proof.run()
    diagnostics = proof.diagnostics
    return graph
  }

  private mutating func addNode(_ entry: StageEntry) {
    let index = nodes.count
    let empty = ConfigValue(.mapping([]), at: entry.mark)
    var node = GraphNode(
      index: index, entry: entry, role: .filter, declaration: nil, isolation: nil, settings: empty, ports: [])
    switch entry.use {
    case .builtin(let builtin):
      refuseHostSettings(entry, builtin)
      node.settings = SettingValidator.validate(
        entry.config, against: builtin.settings, owner: entry.mark, diagnostics: &diagnostics)
      switch builtin {
      case .router:
        node.role = .router
        wireRouter(&node)
      case .reports:
        node.role = .reports
        node.ports = wire(entry, index, ports: ["to"])
      }
    case .module(let module, let stage):
      if let declaration = declaration(module, stage, entry) {
        node.declaration = declaration
        node.role = GraphRole(declaration.kind)
        node.isolation = entry.isolation ?? file.module(module)?.isolation ?? .worker
        node.settings = SettingValidator.validate(
          entry.config, against: declaration.settings, owner: entry.mark, diagnostics: &diagnostics)
        node.ports = wire(entry, index, ports: declaration.ports)
        if declaration.kind == .source, let mark = entry.retryMark {
          diagnostics.error("a source has no retries: its peer tries again", at: mark)
        }
        if declaration.kind == .filter, declaration.ports.isEmpty {
          diagnostics.error("filter \(quoted(declaration.use)) declares no output port", at: entry.useMark)
        }
      } else {
        isPartial = true
      }
    }
    nodes.append(node)
  }

  private mutating func declaration(_ module: String, _ stage: String, _ entry: StageEntry) -> StageDeclaration? {
    guard file.module(module) != nil else {
      let hint =
        suggestion(for: module, among: file.modules.map(\.name)).map { "did you mean \(quoted("\($0).\(stage)"))?" }
      diagnostics.error("there is no module \(quoted(module)) under modules:", at: entry.useMark, hint: hint)
      return nil
    }
    if let declaration = declarations["\(module).\(stage)"] { return declaration }
    if !unavailableModules.contains(module) {
      diagnostics.error(
        "module \(quoted(module)) offers no stage \(quoted(stage))", at: entry.useMark,
        hint: suggestionHint(for: stage, among: offeredByModule[module] ?? []))
    }
    return nil
  }

  private mutating func refuseHostSettings(_ entry: StageEntry, _ builtin: BuiltinStage) {
    for (name, mark) in [
      ("isolation", entry.isolationMark), ("retry", entry.retryMark), ("limits", entry.limitsMark),
    ] {
      guard let mark else { continue }
      diagnostics.error("\(quoted(name)) means nothing for \(builtin.rawValue), which is part of the host", at: mark)
    }
  }

  private mutating func wireRouter(_ node: inout GraphNode) {
    if node.entry.to != .none {
      diagnostics.error("a router's rules say where messages go, not 'to'", at: wiringMark(node.entry))
    }
    var reader = RouterRulesReader(diagnostics: diagnostics)
    let rules = reader.read(node.settings)
    diagnostics = reader.diagnostics
    var coverage = RouterRuleCoverage(rules.rules, reader.alternatives)
    coverage.warn(&diagnostics)
    originsByRouter.append(reader.origins)
    node.router = rules
    if node.settings.list("rules").count != rules.rules.count || rules.rules.isEmpty { isPartial = true }
    for target in rules.targets {
      connect(Wire(from: node.index, port: target.id, target: target), to: &node.ports)
    }
  }

  /// Wires each declared port once, in the order of the declaration.
  private mutating func wire(_ entry: StageEntry, _ index: Int, ports: [String]) -> [GraphPort] {
    var result: [GraphPort] = []
    switch entry.to {
    case .none:
      guard !ports.isEmpty else { break }
      isPartial = true
      let text = ports.count == 1 ? "'to' is missing: the stage's output leads nowhere" : "'to' is missing"
      diagnostics.error(text, at: entry.mark, hint: wiringHint(ports))
    case .single(let target):
      guard ports.count == 1, let port = ports.first else {
        isPartial = true
        diagnostics.error(
          ports.isEmpty ? "a sink leads nowhere: it takes no 'to'" : "the stage has \(ports.count) output ports",
          at: target.mark, hint: ports.isEmpty ? nil : wiringHint(ports))
        break
      }
      connect(Wire(from: index, port: port, target: target), to: &result)
    case .ports(let wirings, let mark):
      if ports.isEmpty { diagnostics.error("a sink leads nowhere: it takes no 'to'", at: mark) }
      for wiring in wirings where !ports.isEmpty && !ports.contains(wiring.port) {
        let free = ports.filter { port in !wirings.contains { $0.port == port } }
        diagnostics.error(
          "the stage has no output port \(quoted(wiring.port))", at: wiring.portMark,
          hint: suggestionHint(for: wiring.port, among: free))
      }
      for port in ports {
        if let wiring = wirings.first(where: { $0.port == port }) {
          connect(Wire(from: index, port: port, target: wiring.target), to: &result)
        } else {
          isPartial = true
          diagnostics.error("output port \(quoted(port)) leads nowhere", at: mark, hint: wiringHint(ports))
        }
      }
    }
    return result
  }

  private func wiringHint(_ ports: [String]) -> String {
    ports.count == 1 ? "write to: STAGE" : "write to: { " + ports.map { "\($0): STAGE" }.joined(separator: ", ") + " }"
  }

  private func wiringMark(_ entry: StageEntry) -> ConfigMark {
    switch entry.to {
    case .none: entry.mark
    case .single(let target): target.mark
    case .ports(_, let mark): mark
    }
  }

  private mutating func connect(_ wire: Wire, to ports: inout [GraphPort]) {
    guard let target = indexByID[wire.target.id] else {
      isPartial = true
      diagnostics.error(
        "there is no stage \(quoted(wire.target.id))", at: wire.target.mark,
        hint: suggestionHint(for: wire.target.id, among: file.stages.map(\.id)))
      return
    }
    ports.append(GraphPort(name: wire.port, target: target))
    wires.append((wire, target))
  }

  private mutating func checkOrigins() {
    for origin in originsByRouter.joined() {
      let sources = nodes.filter { $0.role == .source || $0.role == .reports }.map(\.id)
      guard !sources.contains(origin.id), !(isPartial && indexByID[origin.id] != nil) else { continue }
      let text =
        indexByID[origin.id] == nil ? "there is no stage \(quoted(origin.id))" : "\(quoted(origin.id)) is no source"
      diagnostics.error(text, at: origin.mark, hint: suggestionHint(for: origin.id, among: sources))
    }
  }

  private mutating func warnOfUnusedModules() {
    let used = Set(
      file.stages.compactMap { entry -> String? in
        guard case .module(let module, _) = entry.use else { return nil }
        return module
      })
    for module in file.modules where !used.contains(module.name) {
      diagnostics.warning("no stage uses module \(quoted(module.name)); it is not loaded", at: module.mark)
    }
  }

  /// Nil when one of them is missing, after a complaint.
  private mutating func findReportsAndDead() -> (reports: Int, dead: Int)? {
    let reports = nodes.filter { $0.role == .reports }
    for extra in reports.dropFirst() {
      diagnostics.error(
        "there is a reports stage already, \(quoted(reports[0].id)) in line \(reports[0].entry.mark.line)",
        at: extra.entry.mark)
    }
    if reports.isEmpty {
      diagnostics.error(
        "there is no reports stage: failures could not be told to originators", at: file.stagesMark,
        hint: "add reports: { use: reports, to: STAGE }")
    }
    guard let dead = indexByID[PipelineGraph.deadID] else {
      diagnostics.error(
        "there is no stage \(quoted(PipelineGraph.deadID)): what can be neither delivered nor reported would have no end",
        at: file.stagesMark, hint: "add dead: { use: MODULE.STAGE } with a dead-letter sink")
      return nil
    }
    let node = nodes[dead]
    let isKnown = node.declaration != nil || node.role == .router || node.role == .reports
    if isKnown, node.role != .sink {
      diagnostics.error("\(quoted(node.id)) must be a sink, not a \(node.role.word)", at: node.entry.useMark)
    }
    return reports.first.map { ($0.index, dead) }
  }

  private func edges(reports: Int, dead: Int) -> [GraphEdge] {
    var edges = wires.map { GraphEdge(from: $0.wire.from, to: $0.to, port: $0.wire.port, isImplicit: false) }
    for node in nodes where node.index != dead && node.index != reports {
      if node.role == .sink || node.role == .filter || (node.router.map(\.rejects) ?? false) {
        edges.append(GraphEdge(from: node.index, to: reports, port: "", isImplicit: true))
      }
    }
    for node in nodes where node.index != dead {
      if node.role == .sink || node.role == .filter || node.role == .reports {
        edges.append(GraphEdge(from: node.index, to: dead, port: "", isImplicit: true))
      }
    }
    return edges
  }
}

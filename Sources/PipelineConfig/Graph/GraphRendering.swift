internal import JSONText

/// The wiring as a picture: for Graphviz, for Mermaid (which many documents show as it is), and as JSON.
/// Ids are letters, digits, `_` and `-`, so nothing needs to be escaped but the node name.
extension PipelineGraph {
  /// Graphviz's language. Written wires are solid, implicit ones dashed.
  public func dot(title: String) -> String {
    var text = "digraph pipeline {\n  rankdir=LR;\n  label=\(JSONValue.string(title).text);\n"
    text += "  node [fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\", fontsize=10];\n"
    for node in nodes {
      text += "  \"\(node.id)\" [shape=\(dotShape(node)), label=\"\(node.id)\\n\(useText(node))\"];\n"
    }
    for edge in edges {
      text += "  \"\(nodes[edge.from].id)\" -> \"\(nodes[edge.to].id)\""
      let label = edgeLabel(edge)
      if edge.isImplicit {
        text += " [style=dashed, color=gray]"
      } else if !label.isEmpty {
        text += " [label=\"\(label)\"]"
      }
      text += ";\n"
    }
    return text + "}\n"
  }

  /// A Mermaid flowchart.
  public func mermaid() -> String {
    var text = "flowchart LR\n"
    for node in nodes { text += "  n\(node.index)\(mermaidShape(node))\n" }
    for edge in edges {
      let label = edgeLabel(edge)
      let arrow = edge.isImplicit ? "-.->" : label.isEmpty ? "-->" : "-->|\(label)|"
      text += "  n\(edge.from) \(arrow) n\(edge.to)\n"
    }
    return text
  }

  /// One JSON object a line: a `node` with `id`, `use`, `role` and `isolation`, or an `edge` with `from`, `to`, `port`
  /// and `implicit`.
  public func renderJSON() -> String {
    var text = ""
    for node in nodes {
      var members: [(String, JSONValue)] = [
        ("node", .string(node.id)), ("use", .string(useText(node))), ("role", .string(node.role.word)),
      ]
      if let isolation = node.isolation { members.append(("isolation", .string(isolation.rawValue))) }
      text += JSONValue.object(members).text + "\n"
    }
    for edge in edges {
      text +=
        JSONValue.object([
          ("edge", .string("\(nodes[edge.from].id) -> \(nodes[edge.to].id)")), ("from", .string(nodes[edge.from].id)),
          ("to", .string(nodes[edge.to].id)), ("port", .string(edge.port)), ("implicit", .boolean(edge.isImplicit)),
        ]).text + "\n"
    }
    return text
  }

  private func useText(_ node: GraphNode) -> String {
    switch node.entry.use {
    case .builtin(let builtin): builtin.rawValue
    case .module(let module, let stage): "\(module).\(stage)"
    }
  }

  /// A port's name where there is a choice of ports; a router's ports are named for where they lead.
  private func edgeLabel(_ edge: GraphEdge) -> String {
    let node = nodes[edge.from]
    return edge.isImplicit || node.role == .router || node.ports.count <= 1 ? "" : edge.port
  }

  private func dotShape(_ node: GraphNode) -> String {
    switch node.role {
    case .source: "cds"
    case .filter: "box"
    case .sink: node.index == dead ? "cylinder" : "house"
    case .router: "diamond"
    case .reports: "note"
    }
  }

  private func mermaidShape(_ node: GraphNode) -> String {
    let label = "\"\(node.id)<br/>\(useText(node))\""
    switch node.role {
    case .source: return "([\(label)])"
    case .filter: return "[\(label)]"
    case .sink: return node.index == dead ? "[(\(label))]" : "[/\(label)/]"
    case .router: return "{\(label)}"
    case .reports: return ">\(label)]"
    }
  }
}

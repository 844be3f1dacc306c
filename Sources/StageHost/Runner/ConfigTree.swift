internal import CInterchange
internal import PipelineConfig

/// A place in a stage's configuration, behind an `ix_node`. The tree is built once, never changes, and lives as long as
/// the runner; a stage holds addresses of its nodes.
final class ConfigTreeNode: @unchecked Sendable {
  // SAFETY: filled in init; the memory that texts point into is the node's own.
  let kind: UInt32
  let text: ix_text?
  let integer: Int64?
  let real: Double?
  let boolean: Bool?
  /// Elements of a list, or the entries of a record or mapping.
  let children: [(key: ix_text, node: ConfigTreeNode)]
  let mark: ConfigMark
  let file: ix_text
  private let memory: LentMemory

  convenience init(_ value: ConfigValue) {
    switch value.content {
    case .string(let text): self.init(IX_SETTING_STRING, value.mark, text: text)
    case .choice(let text): self.init(IX_SETTING_CHOICE, value.mark, text: text)
    case .path(let text): self.init(IX_SETTING_PATH, value.mark, text: text)
    case .endpoint(let endpoint): self.init(IX_SETTING_ENDPOINT, value.mark, text: endpoint.description)
    case .integer(let number): self.init(IX_SETTING_INTEGER, value.mark, integer: number)
    case .size(let octets): self.init(IX_SETTING_SIZE, value.mark, integer: octets)
    case .duration(let nanoseconds): self.init(IX_SETTING_DURATION, value.mark, real: Double(nanoseconds) / 1e9)
    case .percent(let percent): self.init(IX_SETTING_PERCENT, value.mark, real: percent)
    case .boolean(let flag): self.init(IX_SETTING_BOOLEAN, value.mark, boolean: flag)
    case .list(let elements):
      self.init(IX_SETTING_LIST, value.mark, children: elements.map { ("", ConfigTreeNode($0)) })
    case .mapping(let entries):
      self.init(IX_SETTING_RECORD, value.mark, children: entries.map { ($0.key, ConfigTreeNode($0.value)) })
    case .node(let node): self.init(node)
    }
  }

  /// A value that the stage declared as IX_SETTING_ANY: text, lists and mappings, as written.
  private convenience init(_ node: PipelineConfig.ConfigNode) {
    switch node.content {
    case .scalar(let scalar): self.init(IX_SETTING_STRING, node.mark, text: scalar.text)
    case .sequence(let nodes):
      self.init(IX_SETTING_LIST, node.mark, children: nodes.map { ("", ConfigTreeNode($0)) })
    case .mapping(let entries):
      self.init(IX_SETTING_MAPPING, node.mark, children: entries.map { ($0.key, ConfigTreeNode($0.value)) })
    }
  }

  private init(
    _ kind: ix_setting_kind, _ mark: ConfigMark, text: String? = nil, integer: Int64? = nil, real: Double? = nil,
    boolean: Bool? = nil, children: [(key: String, node: ConfigTreeNode)] = []
  ) {
    self.kind = kind.rawValue
    self.integer = integer
    self.real = real
    self.boolean = boolean
    self.mark = mark
    let keys = children.reduce(0) { $0 + $1.key.utf8.count }
    let memory = LentMemory(octets: (text?.utf8.count ?? 0) + mark.file.utf8.count + keys)
    self.memory = memory
    self.text = text.map { memory.lend($0) }
    self.file = memory.lend(mark.file)
    self.children = children.map { (memory.lend($0.key), $0.node) }
  }

  /// The address that a stage holds.
  var pointer: OpaquePointer { OpaquePointer(Unmanaged.passUnretained(self).toOpaque()) }

  static func of(_ pointer: OpaquePointer?) -> ConfigTreeNode? {
    // SAFETY: nodes live as long as the instance, and the stage passes back only what it was given (interchange.h,
    // ix_node).
    pointer.map { Unmanaged<ConfigTreeNode>.fromOpaque(UnsafeRawPointer($0)).takeUnretainedValue() }
  }

  func member(_ key: UnsafePointer<CChar>) -> ConfigTreeNode? {
    children.first { child in
      var index = 0
      while index < child.key.count {
        // A key with a NUL in it is found by nobody.
        guard key[index] != 0, let octets = child.key.octets, octets[index] == key[index] else { return false }
        index += 1
      }
      return key[index] == 0
    }?.node
  }
}

/// What a YAML file says, without any opinion of what it ought to say: three kinds of node, a mark on each and on each
/// key. A plain `yes` or `12` is text here; only a declaration makes it a boolean or a number.
public struct ConfigNode: Sendable, Equatable {
  public var mark: ConfigMark
  public var content: Content

  public enum Content: Sendable, Equatable {
    case scalar(ConfigScalar)
    case sequence([ConfigNode])
    /// In the order of the file; keys differ.
    case mapping([ConfigEntry])
  }

  public init(_ content: Content, at mark: ConfigMark) {
    self.content = content
    self.mark = mark
  }

  /// The value of a key, when this is a mapping that has it.
  public subscript(_ key: String) -> ConfigNode? {
    guard case .mapping(let entries) = content else { return nil }
    return entries.first { $0.key == key }?.value
  }

  /// The text of a scalar.
  public var text: String? {
    guard case .scalar(let scalar) = content else { return nil }
    return scalar.text
  }

  /// Nothing is written after the colon or dash.
  public var isEmpty: Bool {
    guard case .scalar(let scalar) = content else { return false }
    return scalar.style == .plain && scalar.text.isEmpty
  }

  /// A scalar that holds a secret, or a sequence or mapping with such a scalar in it.
  public var isSecret: Bool {
    switch content {
    case .scalar(let scalar): scalar.isSecret
    case .sequence(let nodes): nodes.contains { $0.isSecret }
    case .mapping(let entries): entries.contains { $0.value.isSecret }
    }
  }

  /// What a person calls a node of this kind.
  var word: String {
    switch content {
    case .scalar(let scalar): scalar.style == .plain && scalar.text.isEmpty ? "nothing" : "a single value"
    case .sequence: "a list"
    case .mapping: "a mapping"
    }
  }
}

public struct ConfigScalar: Sendable, Equatable {
  public var text: String
  public var style: Style
  /// A part of the text came from `${env:…}` or `${secret:…}`.
  public var isSubstituted: Bool
  /// A part of the text came from `${secret:…}`: the text appears in no rendering.
  public var isSecret: Bool

  public enum Style: UInt8, Sendable {
    case plain = 0
    /// Single or double quotes, or a block scalar: always text.
    case quoted = 1
  }

  public init(_ text: String, style: Style = .plain, isSubstituted: Bool = false, isSecret: Bool = false) {
    self.text = text
    self.style = style
    self.isSubstituted = isSubstituted
    self.isSecret = isSecret
  }
}

public struct ConfigEntry: Sendable, Equatable {
  public var key: String
  public var keyMark: ConfigMark
  public var value: ConfigNode

  public init(key: String, keyMark: ConfigMark, value: ConfigNode) {
    self.key = key
    self.keyMark = keyMark
    self.value = value
  }
}

extension ConfigNode: CustomStringConvertible {
  /// Flow style in one line, for logs; secrets are redacted.
  public var description: String {
    switch content {
    case .scalar(let scalar):
      scalar.isSecret ? redactedText : scalar.style == .plain ? scalar.text : "\"\(scalar.text)\""
    case .sequence(let nodes): "[" + nodes.map(\.description).joined(separator: ", ") + "]"
    case .mapping(let entries): "{" + entries.map { "\($0.key): \($0.value)" }.joined(separator: ", ") + "}"
    }
  }
}

extension ConfigScalar: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  public var description: String { isSecret ? redactedText : text }
  public var debugDescription: String { description }
  public var customMirror: Mirror { Mirror(self, children: ["text": description]) }
}

/// What stands for a secret wherever a value is shown.
let redactedText = "<secret>"

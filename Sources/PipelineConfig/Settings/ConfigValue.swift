/// A value that fits its declaration, with the place where it was written.
///
/// Accessors by key serve records and mappings: each returns nil when the key is absent (and has no default) or holds
/// something of another type, which cannot be after a validation without errors.
public struct ConfigValue: Sendable, Equatable {
  public var content: Content
  /// Where the value is; for a default, where the record that lacks it is.
  public var mark: ConfigMark
  /// The setting is declared secret, or the text came from `${secret:…}`. No rendering shows it.
  public var isSecret: Bool
  /// Nobody wrote the value: it is the declaration's default.
  public var isDefault: Bool

  public enum Content: Sendable, Equatable {
    case string(String)
    case integer(Int64)
    case boolean(Bool)
    case size(octets: Int64)
    case duration(nanoseconds: Int64)
    case percent(Double)
    case choice(String)
    case endpoint(Endpoint)
    case path(String)
    case list([ConfigValue])
    /// A record or a mapping. Records hold defaults after what was written.
    case mapping([Entry])
    /// A value declared ``SettingType/any``, as written.
    case node(ConfigNode)
  }

  public struct Entry: Sendable, Equatable {
    public var key: String
    public var keyMark: ConfigMark
    public var value: ConfigValue

    public init(key: String, keyMark: ConfigMark, value: ConfigValue) {
      self.key = key
      self.keyMark = keyMark
      self.value = value
    }
  }

  public init(_ content: Content, at mark: ConfigMark, isSecret: Bool = false, isDefault: Bool = false) {
    self.content = content
    self.mark = mark
    self.isSecret = isSecret
    self.isDefault = isDefault
  }
}

extension ConfigValue {
  public var entries: [Entry] {
    guard case .mapping(let entries) = content else { return [] }
    return entries
  }

  public var elements: [ConfigValue] {
    guard case .list(let elements) = content else { return [] }
    return elements
  }

  /// The text of a string, choice, path or name.
  public var text: String? {
    switch content {
    case .string(let text), .choice(let text), .path(let text): text
    case .node(let node): node.text
    case .integer, .boolean, .size, .duration, .percent, .endpoint, .list, .mapping: nil
    }
  }

  public subscript(_ key: String) -> ConfigValue? { entries.first { $0.key == key }?.value }

  /// The value below a path of keys and, for lists, zero-based indices in decimal.
  public func descendant(_ path: [String]) -> ConfigValue? {
    var value = self
    for step in path {
      if case .list(let elements) = value.content {
        guard let index = Int(step), elements.indices.contains(index) else { return nil }
        value = elements[index]
      } else {
        guard let next = value[step] else { return nil }
        value = next
      }
    }
    return value
  }

  public func string(_ key: String) -> String? { self[key]?.text }

  public func integer(_ key: String) -> Int64? {
    guard case .integer(let value)? = self[key]?.content else { return nil }
    return value
  }

  public func boolean(_ key: String) -> Bool? {
    guard case .boolean(let value)? = self[key]?.content else { return nil }
    return value
  }

  public func octets(_ key: String) -> Int64? {
    guard case .size(let octets)? = self[key]?.content else { return nil }
    return octets
  }

  public func nanoseconds(_ key: String) -> Int64? { self[key]?.nanoseconds }

  public func seconds(_ key: String) -> Double? { self[key]?.seconds }

  public func percent(_ key: String) -> Double? {
    guard case .percent(let value)? = self[key]?.content else { return nil }
    return value
  }

  public func endpoint(_ key: String) -> Endpoint? { self[key]?.endpoint }

  /// The elements of a list; empty when the key is absent.
  public func list(_ key: String) -> [ConfigValue] { self[key]?.elements ?? [] }

  /// The texts of a list of strings, choices or paths.
  public func strings(_ key: String) -> [String] { list(key).compactMap(\.text) }

  /// The endpoints of a list.
  public func endpoints(_ key: String) -> [Endpoint] { list(key).compactMap(\.endpoint) }

  public var nanoseconds: Int64? {
    guard case .duration(let nanoseconds) = content else { return nil }
    return nanoseconds
  }

  public var seconds: Double? { nanoseconds.map { Double($0) / 1e9 } }

  public var endpoint: Endpoint? {
    guard case .endpoint(let endpoint) = content else { return nil }
    return endpoint
  }
}

extension ConfigValue: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  /// Flow style in one line, secrets redacted.
  public var description: String {
    if isSecret { return redactedText }
    switch content {
    case .string(let text), .choice(let text), .path(let text): return text
    case .integer(let value): return String(value)
    case .boolean(let value): return value ? "true" : "false"
    case .size(let octets): return "\(octets)B"
    case .duration(let nanoseconds): return durationText(nanoseconds: nanoseconds)
    case .percent(let value): return percentText(value)
    case .endpoint(let endpoint): return endpoint.description
    case .list(let elements): return "[" + elements.map(\.description).joined(separator: ", ") + "]"
    case .mapping(let entries):
      return "{" + entries.map { "\($0.key): \($0.value)" }.joined(separator: ", ") + "}"
    case .node(let node): return node.description
    }
  }

  public var debugDescription: String { description }
  public var customMirror: Mirror { Mirror(self, children: ["value": description]) }
}

/// A duration as it would be written in a configuration.
public func durationText(nanoseconds: Int64) -> String {
  let units: [(String, Int64)] = [
    ("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000),
  ]
  var rest = nanoseconds
  var text = ""
  for (name, size) in units where rest >= size {
    text += "\(rest / size)\(name)"
    rest %= size
  }
  return text.isEmpty ? "0s" : text
}

/// A percentage as it would be written in a configuration: `5%`, `2.5%`.
func percentText(_ value: Double) -> String {
  value == value.rounded() && abs(value) < 1e6 ? "\(Int(value))%" : "\(value)%"
}

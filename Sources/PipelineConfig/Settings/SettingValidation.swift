/// Checks what is written against what is declared, and makes typed values of it. Every complaint carries the place
/// of the node or key it is about; a wrong part is left out and the rest is checked all the same.
public struct SettingValidator {
  public var diagnostics: Diagnostics

  public init(diagnostics: Diagnostics = Diagnostics()) { self.diagnostics = diagnostics }

  /// Checks a mapping against the settings of a stage.
  ///
  /// - Parameter settings: The `config:` node; nil when the stage has none, which is an empty mapping at `owner`.
  /// - Returns: A record, defaults filled in. Incomplete when `diagnostics` has errors.
  public static func validate(
    _ settings: ConfigNode?, against declarations: [SettingDeclaration], owner: ConfigMark,
    diagnostics: inout Diagnostics
  ) -> ConfigValue {
    var validator = SettingValidator(diagnostics: diagnostics)
    defer { diagnostics = validator.diagnostics }
    let node = settings ?? ConfigNode(.mapping([]), at: owner)
    return validator.value(of: node, as: .record(declarations)) ?? ConfigValue(.mapping([]), at: node.mark)
  }

  /// Nil after a complaint that leaves nothing.
  public mutating func value(of node: ConfigNode, as type: SettingType, isSecret: Bool = false) -> ConfigValue? {
    switch type {
    case .any: return ConfigValue(.node(node), at: node.mark, isSecret: isSecret)
    case .either(let types): return eitherValue(of: node, types, isSecret: isSecret)
    case .list(let element, let counts): return list(of: node, element, counts, type, isSecret: isSecret)
    case .mapping(let element):
      guard let entries = mapping(of: node, type) else { return nil }
      let values = entries.compactMap { entry in
        value(of: entry.value, as: element, isSecret: isSecret).map {
          ConfigValue.Entry(key: entry.key, keyMark: entry.keyMark, value: $0)
        }
      }
      return ConfigValue(.mapping(values), at: node.mark, isSecret: isSecret)
    case .record(let declarations): return record(of: node, declarations, isSecret: isSecret)
    case .string, .identifier, .integer, .boolean, .size, .duration, .percent, .choice, .endpoint, .path:
      return scalar(of: node, type, isSecret: isSecret)
    }
  }

  private mutating func mapping(of node: ConfigNode, _ type: SettingType) -> [ConfigEntry]? {
    guard case .mapping(let entries) = node.content else {
      diagnostics.error("\(type.word) belongs here, not \(node.word)", at: node.mark)
      return nil
    }
    return entries
  }

  private mutating func list(
    of node: ConfigNode, _ element: SettingType, _ counts: ClosedRange<Int>, _ type: SettingType, isSecret: Bool
  ) -> ConfigValue? {
    guard case .sequence(let nodes) = node.content else {
      let hint =
        node.isSecret || isSecret ? nil : node.text.flatMap { $0.isEmpty ? nil : "write [\(quotedIfNeeded($0))]" }
      diagnostics.error("\(type.word) belongs here, not \(node.word)", at: node.mark, hint: hint)
      return nil
    }
    if nodes.count < counts.lowerBound {
      diagnostics.error(
        nodes.isEmpty ? "the list is empty" : "the list has fewer than \(counts.lowerBound) elements", at: node.mark)
    } else if nodes.count > counts.upperBound {
      diagnostics.error("the list has more than \(counts.upperBound) elements", at: node.mark)
    }
    let values = nodes.compactMap { value(of: $0, as: element, isSecret: isSecret) }
    return ConfigValue(.list(values), at: node.mark, isSecret: isSecret)
  }

  private mutating func record(
    of node: ConfigNode, _ declarations: [SettingDeclaration], isSecret: Bool
  ) -> ConfigValue? {
    guard let written = mapping(of: node, .record(declarations)) else { return nil }
    var entries: [ConfigValue.Entry] = []
    for entry in written {
      guard let declaration = declarations.first(where: { $0.name == entry.key }) else {
        var hint: String?
        if !diagnostics.isFull {
          let free = declarations.map(\.name).filter { node[$0] == nil }
          hint = suggestionHint(for: entry.key, among: free)
        }
        diagnostics.error("unknown key \(quoted(entry.key))", at: entry.keyMark, hint: hint)
        continue
      }
      let secret = isSecret || declaration.isSecret
      if let value = value(of: entry.value, as: declaration.type, isSecret: secret) {
        entries.append(ConfigValue.Entry(key: entry.key, keyMark: entry.keyMark, value: value))
      }
    }
    for declaration in declarations where node[declaration.name] == nil {
      if declaration.isRequired {
        diagnostics.error(
          "\(quoted(declaration.name)) is missing", at: node.mark,
          hint: declaration.summary.isEmpty ? nil : "\(declaration.name): \(declaration.summary)")
      } else if let value = defaultValue(of: declaration, at: node.mark) {
        entries.append(ConfigValue.Entry(key: declaration.name, keyMark: node.mark, value: value))
      }
    }
    return ConfigValue(.mapping(entries), at: node.mark, isSecret: isSecret)
  }

  private mutating func defaultValue(of declaration: SettingDeclaration, at mark: ConfigMark) -> ConfigValue? {
    guard let text = declaration.defaultText else { return nil }
    var scratch = Diagnostics()
    let node =
      ConfigDocument.parse(text, file: "", diagnostics: &scratch)?.root
      ?? ConfigNode(.scalar(ConfigScalar(text)), at: mark)
    var validator = SettingValidator(diagnostics: scratch)
    guard let value = validator.value(of: node, as: declaration.type, isSecret: declaration.isSecret),
      !validator.diagnostics.hasErrors
    else {
      diagnostics.error(
        "the module's own default \(quoted(text)) for \(quoted(declaration.name)) is not \(declaration.type.word)",
        at: mark)
      return nil
    }
    return value.asDefault(at: mark)
  }

  private mutating func eitherValue(of node: ConfigNode, _ types: [SettingType], isSecret: Bool) -> ConfigValue? {
    // Types that could take a node of this shape; when there is one, its complaints are the useful ones.
    let candidates = types.filter { $0.takes(node) }
    if candidates.count == 1 { return value(of: node, as: candidates[0], isSecret: isSecret) }
    for type in candidates {
      var attempt = SettingValidator()
      if let value = attempt.value(of: node, as: type, isSecret: isSecret), !attempt.diagnostics.hasErrors {
        return value
      }
    }
    let text = SettingType.either(types).word
    diagnostics.error(
      candidates.isEmpty ? "\(text) belongs here, not \(node.word)" : "\(shown(node, isSecret)) is not \(text)",
      at: node.mark)
    return nil
  }

  private mutating func scalar(of node: ConfigNode, _ type: SettingType, isSecret: Bool) -> ConfigValue? {
    guard case .scalar(let scalar) = node.content, !node.isEmpty || scalar.isSubstituted else {
      diagnostics.error("\(type.word) belongs here, not \(node.word)", at: node.mark)
      return nil
    }
    do throws(ScalarComplaint) {
      let content = try Self.content(of: scalar, type)
      return ConfigValue(content, at: node.mark, isSecret: isSecret || scalar.isSecret)
    } catch {
      let isHidden = isSecret || scalar.isSecret
      diagnostics.error(
        "\(shown(node, isSecret)) \(error.text)", at: node.mark, hint: isHidden ? nil : error.hint)
      return nil
    }
  }

  private static func content(
    of scalar: ConfigScalar, _ type: SettingType
  ) throws(ScalarComplaint) -> ConfigValue.Content {
    let text = scalar.text
    // A number or boolean in quotes is text; what a substitution made may have needed the quotes.
    let isText = scalar.style == .quoted && !scalar.isSubstituted
    switch type {
    case .string: return .string(text)
    case .identifier: return .string(try readIdentifier(text))
    case .integer(let range):
      if isText { throw ScalarComplaint(text: "is text, not a whole number", hint: "write it without quotes") }
      let value = try readInteger(text)
      try requireIn(range, value) { String($0) }
      return .integer(value)
    case .boolean:
      if isText { throw ScalarComplaint(text: "is text, not a boolean", hint: "write true or false without quotes") }
      return .boolean(try readBoolean(text))
    case .size(let range):
      let octets = try readSize(text)
      try requireIn(range, octets) { "\($0)B" }
      return .size(octets: octets)
    case .duration(let range):
      let nanoseconds = try readDuration(text)
      try requireIn(range, nanoseconds) { durationText(nanoseconds: $0) }
      return .duration(nanoseconds: nanoseconds)
    case .percent: return .percent(try readPercent(text))
    case .choice(let words):
      guard words.contains(text) else {
        throw ScalarComplaint(
          text: "is not \(words.count == 1 ? quoted(words[0]) : "one of its words")",
          hint: suggestionHint(for: text, among: words))
      }
      return .choice(text)
    case .endpoint: return .endpoint(try readEndpoint(text))
    case .path:
      guard !text.isEmpty, !text.utf8.contains(0), text.utf8.count < 4096 else {
        throw ScalarComplaint(text: "is not a path")
      }
      return .path(text)
    case .list, .mapping, .record, .either, .any: throw ScalarComplaint(text: "is not \(type.word)")
    }
  }

  private static func requireIn(
    _ range: ClosedRange<Int64>, _ value: Int64, _ show: (Int64) -> String
  ) throws(ScalarComplaint) {
    if value < range.lowerBound { throw ScalarComplaint(text: "is less than \(show(range.lowerBound))") }
    if value > range.upperBound { throw ScalarComplaint(text: "is more than \(show(range.upperBound))") }
  }

  private func shown(_ node: ConfigNode, _ isSecret: Bool) -> String {
    if isSecret || node.isSecret { return "the secret" }
    return node.text.map(quoted) ?? "this"
  }
}

/// A value in a hint, written so that YAML reads it as one word.
private func quotedIfNeeded(_ text: String) -> String {
  text.unicodeScalars.contains { ",[]{}#&*!|>'\"%@`".unicodeScalars.contains($0) } || text.hasPrefix("-")
    ? "\"\(printable(text))\"" : printable(text)
}

extension SettingType {
  /// Whether the shape of a node (single value, list, mapping) suits this type.
  fileprivate func takes(_ node: ConfigNode) -> Bool {
    switch (self, node.content) {
    case (.any, _): true
    case (.either(let types), _): types.contains { $0.takes(node) }
    case (.list, .sequence), (.mapping, .mapping), (.record, .mapping): true
    case (.list, _), (.mapping, _), (.record, _): false
    case (_, .scalar): !node.isEmpty
    case (_, .sequence), (_, .mapping): false
    }
  }
}

extension ConfigValue {
  fileprivate func asDefault(at mark: ConfigMark) -> ConfigValue {
    var value = self
    value.mark = mark
    value.isDefault = true
    switch content {
    case .list(let elements): value.content = .list(elements.map { $0.asDefault(at: mark) })
    case .mapping(let entries):
      value.content = .mapping(
        entries.map { Entry(key: $0.key, keyMark: mark, value: $0.value.asDefault(at: mark)) })
    case .string, .integer, .boolean, .size, .duration, .percent, .choice, .endpoint, .path, .node: break
    }
    return value
  }
}

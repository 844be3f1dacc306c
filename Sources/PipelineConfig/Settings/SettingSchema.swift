public import JSONText

/// The JSON Schema (draft 7, which editors' YAML language servers read) that follows from declarations. It says what
/// can be said of one value at a time; what ``PipelineGraph`` proves of the whole, it cannot.
extension SettingType {
  public var schema: JSONValue { .object(schemaMembers) }

  var schemaMembers: [(String, JSONValue)] {
    switch self {
    case .string: return substitutable([("type", .string("string"))])
    case .identifier: return [("type", .string("string")), ("pattern", .string("^[A-Za-z0-9_-]{1,64}$"))]
    case .integer(let range):
      var members: [(String, JSONValue)] = [("type", .string("integer"))]
      if range.lowerBound > Int64.min { members.append(("minimum", .integer(Int(range.lowerBound)))) }
      if range.upperBound < Int64.max { members.append(("maximum", .integer(Int(range.upperBound)))) }
      return substitutable(members)
    case .boolean: return substitutable([("type", .string("boolean"))])
    case .size: return pattern("[0-9]+([KMGT]i?)?B", examples: ["50MiB", "10KB"])
    case .duration:
      return pattern(
        "(?=[0-9])([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?", examples: ["2m", "1h30m", "500ms"])
    case .percent: return pattern("[0-9]+(\\.[0-9]+)?%", examples: ["5%"])
    case .choice(let words): return substitutable([("enum", .array(words.map(JSONValue.string)))])
    case .endpoint: return pattern("(\\[[0-9A-Fa-f:.]+\\]|[A-Za-z0-9._-]+):[0-9]{1,5}", examples: ["127.0.0.1:2525"])
    case .path: return [("type", .string("string")), ("minLength", .integer(1))]
    case .list(let element, let counts):
      var members: [(String, JSONValue)] = [("type", .string("array")), ("items", element.schema)]
      if counts.lowerBound > 0 { members.append(("minItems", .integer(counts.lowerBound))) }
      if counts.upperBound < ConfigLimits.nodesMax { members.append(("maxItems", .integer(counts.upperBound))) }
      return members
    case .mapping(let element):
      return [("type", .string("object")), ("additionalProperties", element.schema)]
    case .record(let declarations): return Self.recordMembers(declarations)
    case .either(let types): return [("anyOf", .array(types.map(\.schema)))]
    case .any: return []
    }
  }

  static func recordMembers(_ declarations: [SettingDeclaration]) -> [(String, JSONValue)] {
    var members: [(String, JSONValue)] = [
      ("type", .string("object")),
      ("properties", .object(declarations.map { ($0.name, $0.schema) })),
    ]
    let required = declarations.filter(\.isRequired).map { JSONValue.string($0.name) }
    if !required.isEmpty { members.append(("required", .array(required))) }
    members.append(("additionalProperties", .boolean(false)))
    return members
  }

  private func pattern(_ text: String, examples: [String]) -> [(String, JSONValue)] {
    [
      ("type", .string("string")), ("pattern", .string("^(\(text)|.*\\$\\{.*)$")),
      ("examples", .array(examples.map(JSONValue.string))),
    ]
  }

  /// Any value may come from `${env:…}` or `${secret:…}`.
  private func substitutable(_ members: [(String, JSONValue)]) -> [(String, JSONValue)] {
    if case .string = self { return members }
    let reference: [(String, JSONValue)] = [("type", .string("string")), ("pattern", .string("\\$\\{"))]
    return [("anyOf", .array([.object(members), .object(reference)]))]
  }
}

extension SettingDeclaration {
  /// The type's schema with the summary, and the default when it can be said.
  public var schema: JSONValue {
    var members = type.schemaMembers
    if !summary.isEmpty { members.append(("description", .string(summary))) }
    if let defaultText, let value = defaultSchemaValue(defaultText) { members.append(("default", value)) }
    return .object(members)
  }

  private func defaultSchemaValue(_ text: String) -> JSONValue? {
    switch type {
    case .boolean: .boolean(text == "true")
    case .integer: Int(text).map(JSONValue.integer)
    case .string, .identifier, .size, .duration, .percent, .choice, .endpoint, .path: .string(text)
    case .either(let types) where types.allSatisfy(\.isScalar): .string(text)
    case .list, .mapping, .record, .either, .any: nil
    }
  }
}

/// The schema of a whole `pipeline.yaml`, with the settings and ports of every stage that the modules offer.
public enum PipelineSchema {
  /// JSON in one line.
  public static func text(stages: [StageDeclaration]) -> String {
    var properties: [(String, JSONValue)] = []
    for declaration in PipelineDeclarations.file {
      properties.append(
        (declaration.name, declaration.name == "stages" ? stagesSchema(stages) : declaration.schema))
    }
    let required = PipelineDeclarations.file.filter(\.isRequired).map { JSONValue.string($0.name) }
    return JSONValue.object([
      ("$schema", .string("http://json-schema.org/draft-07/schema#")), ("title", .string("Interchange pipeline")),
      ("type", .string("object")), ("properties", .object(properties)), ("required", .array(required)),
      ("additionalProperties", .boolean(false)),
    ]).text
  }

  private static func stagesSchema(_ stages: [StageDeclaration]) -> JSONValue {
    var cases: [JSONValue] = BuiltinStage.allCases.map { builtin in
      branch(use: builtin.rawValue, settings: builtin.settings, ports: builtin == .reports ? ["to"] : [])
    }
    cases += stages.map { branch(use: $0.use, settings: $0.settings, ports: $0.ports) }
    let uses = BuiltinStage.allCases.map { ($0.rawValue, $0.summary) } + stages.map { ($0.use, $0.summary) }
    var members = SettingType.recordMembers(PipelineDeclarations.stage.filter { $0.name != "use" })
    members = members.map { name, value in
      guard name == "properties", case .object(let properties) = value else { return (name, value) }
      let use = JSONValue.object([
        ("anyOf", .array(uses.map { .object([("const", .string($0.0)), ("description", .string($0.1))]) }))
      ])
      return (name, .object([("use", use)] + properties))
    }
    members.append(("required", .array([.string("use")])))
    members.append(("allOf", .array(cases)))
    return .object([
      ("type", .string("object")), ("description", .string("The stages, by id.")),
      ("propertyNames", SettingType.identifier.schema), ("additionalProperties", .object(members)),
    ])
  }

  /// If `use` is this, then `config` and `to` are so.
  private static func branch(use: String, settings: [SettingDeclaration], ports: [String]) -> JSONValue {
    var properties: [(String, JSONValue)] = [("config", SettingType.record(settings).schema)]
    var required = settings.contains(where: \.isRequired) ? [JSONValue.string("config")] : []
    let byPort = SettingType.record(ports.map { SettingDeclaration($0, .identifier, isRequired: true) }).schema
    if ports.count == 1 {
      properties.append(("to", .object([("anyOf", .array([SettingType.identifier.schema, byPort]))])))
    } else if !ports.isEmpty {
      properties.append(("to", byPort))
    }
    if !ports.isEmpty { required.append(.string("to")) }
    return .object([
      ("if", .object([("properties", .object([("use", .object([("const", .string(use))]))]))])),
      ("then", .object([("properties", .object(properties)), ("required", .array(required))])),
    ])
  }
}

/// One setting that a stage, or the pipeline file itself, understands.
///
/// The same value checks a configuration, documents it (`stage show`) and becomes the JSON Schema that editors use.
/// Declarations are plain data, so that a module can hand them over without being run.
public struct SettingDeclaration: Sendable, Equatable {
  /// The key, in lower case with `_` between words.
  public var name: String
  public var type: SettingType
  public var isRequired: Bool
  /// What holds when the setting is absent, as it would be written in YAML (`10m`, `[2m, 10m]`); nil when absence
  /// itself means something. A required setting has none.
  public var defaultText: String?
  /// One sentence.
  public var summary: String
  /// The value is a password or a key: shown nowhere.
  public var isSecret: Bool

  public init(
    _ name: String, _ type: SettingType, isRequired: Bool = false, default defaultText: String? = nil,
    isSecret: Bool = false, summary: String = ""
  ) {
    self.name = name
    self.type = type
    self.isRequired = isRequired
    self.defaultText = defaultText
    self.summary = summary
    self.isSecret = isSecret
  }
}

/// What a setting's value may be.
public indirect enum SettingType: Sendable, Equatable {
  case string
  /// The name of a stage, module or the like: letters, digits, `_` and `-`, at most 64.
  case identifier
  case integer(ClosedRange<Int64> = Int64.min...Int64.max)
  /// `true` or `false`, nothing else.
  case boolean
  /// Octets with their unit: `512B`, `10KB` (1,000), `50MiB` (1,024²).
  case size(octets: ClosedRange<Int64> = 0...Int64.max)
  /// Time with its units, largest first: `500ms`, `90s`, `1h30m`, `2d`, `1w`.
  case duration(nanoseconds: ClosedRange<Int64> = 0...Int64.max)
  /// `5%`, from 0 to 100.
  case percent
  /// One of these words.
  case choice([String])
  /// `host:port`, `192.0.2.1:25` or `[2001:db8::1]:25`; a port from 0 (any) to 65535.
  case endpoint
  /// A file or directory; a relative one is below the directory in which the host was started.
  case path
  case list(of: SettingType, counts: ClosedRange<Int> = 0...ConfigLimits.nodesMax)
  /// Keys of the operator's choosing, all values of one type.
  case mapping(of: SettingType)
  /// These keys and no others.
  case record([SettingDeclaration])
  /// The first of these that fits.
  case either([SettingType])
  /// Anything; kept as written for someone else to check.
  case any

  public static let nanosecondsPerSecond: Int64 = 1_000_000_000

  public static func list(of element: SettingType, atLeast count: Int) -> SettingType {
    .list(of: element, counts: count...ConfigLimits.nodesMax)
  }

  public static func duration(seconds: ClosedRange<Int64>) -> SettingType {
    let low = seconds.lowerBound.multipliedReportingOverflow(by: nanosecondsPerSecond)
    let high = seconds.upperBound.multipliedReportingOverflow(by: nanosecondsPerSecond)
    return .duration(
      nanoseconds: (low.overflow ? Int64.max : low.partialValue)...(high.overflow ? Int64.max : high.partialValue))
  }

  /// What complaints call a value of this type.
  public var word: String {
    switch self {
    case .string: "text"
    case .identifier: "a name"
    case .integer: "a whole number"
    case .boolean: "true or false"
    case .size: "a size"
    case .duration: "a duration"
    case .percent: "a percentage"
    case .choice(let words): words.count == 1 ? quoted(words[0]) : "one of " + words.joined(separator: ", ")
    case .endpoint: "an endpoint (host:port)"
    case .path: "a path"
    case .list(let element, _): "a list (each \(element.word))"
    case .mapping: "a mapping"
    case .record: "a mapping"
    case .either(let types): types.map(\.word).joined(separator: " or ")
    case .any: "a value"
    }
  }

  /// Whether the value is written as a single word or text.
  var isScalar: Bool {
    switch self {
    case .string, .identifier, .integer, .boolean, .size, .duration, .percent, .choice, .endpoint, .path: true
    case .list, .mapping, .record: false
    case .either(let types): types.contains { $0.isScalar }
    case .any: true
    }
  }
}

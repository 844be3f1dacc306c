/// What a stage does with messages; the raw values are those of the stage ABI.
public enum StageKind: UInt8, Sendable, CaseIterable {
  /// Brings messages in; nothing can be sent to it.
  case source = 1
  /// Answers for each recipient, most often by forwarding to a port.
  case filter = 2
  /// Delivers or transfers; has no ports.
  case sink = 3

  public var word: String {
    switch self {
    case .source: "source"
    case .filter: "filter"
    case .sink: "sink"
    }
  }
}

/// A stage that a module offers, as `use: MODULE.NAME` names it. Plain data, read without running the module.
public struct StageDeclaration: Sendable, Equatable {
  /// The module's name under `modules:`.
  public var module: String
  public var name: String
  public var kind: StageKind
  /// Output ports in the order of their numbers.
  public var ports: [String]
  public var settings: [SettingDeclaration]
  /// One line.
  public var summary: String

  public init(
    module: String, name: String, kind: StageKind, ports: [String], settings: [SettingDeclaration] = [],
    summary: String = ""
  ) {
    self.module = module
    self.name = name
    self.kind = kind
    self.ports = ports
    self.settings = settings
    self.summary = summary
  }

  /// `MODULE.NAME`.
  public var use: String { "\(module).\(name)" }
}

/// The stages that the host brings itself, named without a module.
public enum BuiltinStage: String, Sendable, CaseIterable {
  /// Forwards each recipient by the first rule that matches.
  case router
  /// Makes reports from dispositions and sends them back; its one port takes them.
  case reports

  public var settings: [SettingDeclaration] {
    switch self {
    case .router: RouterRules.declarations
    case .reports: []
    }
  }

  public var summary: String {
    switch self {
    case .router: "Forwards each recipient by the first rule that matches."
    case .reports: "Makes reports to originators from dispositions."
    }
  }
}

public import PipelineConfig

/// What a module says of itself, as plain values: nothing in here points into the module, so that it can come from a
/// child process that loaded the module and is gone.
public struct ModuleDescription: Hashable, Sendable {
  /// The name that the module's author gave it; pipeline.yaml may call it otherwise.
  public var name: String
  public var version: String
  public var summary: String
  /// The file, absolute and without symbolic links.
  public var path: String
  /// In the module's order; names differ.
  public var stages: [StageDescription]

  public init(name: String, version: String, summary: String, path: String, stages: [StageDescription]) {
    self.name = name
    self.version = version
    self.summary = summary
    self.path = path
    self.stages = stages
  }

  public func stage(named name: String) -> StageDescription? { stages.first { $0.name == name } }
}

/// A kind of stage that a module offers (`ix_stage_class`).
public struct StageDescription: Sendable, Equatable {
  public var name: String
  public var kind: StageKind
  public var summary: String
  /// Output ports; a port is named by its index where octets count.
  public var ports: [String]
  public var settings: [SettingDeclaration]

  public init(
    name: String, kind: StageKind, summary: String, ports: [String] = [], settings: [SettingDeclaration] = []
  ) {
    self.name = name
    self.kind = kind
    self.summary = summary
    self.ports = ports
    self.settings = settings
  }
}

extension StageDescription: Hashable {
  // Declarations compare, but do not hash; names are enough to spread descriptions.
  /// The same as a pipeline file's stages refer to it.
  ///
  /// - Parameter module: The module's name under `modules:`.
  public func declaration(in module: String) -> StageDeclaration {
    StageDeclaration(module: module, name: name, kind: kind, ports: ports, settings: settings, summary: summary)
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(name)
    hasher.combine(ports)
  }
}

/// Bounds of a description. A module beyond them is refused; each is far above what a person could survey.
public enum ModuleLimits {
  /// Octets of a name of a module, stage, port or setting: it is typed into pipeline.yaml.
  public static let nameOctetsMax = 64
  public static let versionOctetsMax = 64
  /// Octets of a one-line summary.
  public static let summaryOctetsMax = 1024
  /// Octets of a default or a choice.
  public static let defaultOctetsMax = 4096
  public static let stagesMax = 64
  public static let portsMax = 64
  /// Settings of a record, and choices of a setting.
  public static let membersMax = 256
  /// Settings of a stage in all, records within records counted.
  public static let settingsMax = 4096
  /// Lists, mappings and records within each other.
  public static let settingDepthMax = 8
  /// Octets of a description on its way from a probing child; the largest that the other bounds allow would not fit,
  /// and nobody writes that.
  public static let descriptionOctetsMax = 4 * 1024 * 1024
}

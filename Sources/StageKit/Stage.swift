/// The Swift face of `interchange.h`: a stage is a class, its module one call to ``StageModule``.
///
/// ```swift
/// final class Shout: Stage {
///   static let declaration = StageDeclaration(name: "filter", kind: .filter, summary: "Logs.", ports: ["out"])
///   init(context: StageContext, config: ConfigNode) throws(StageFailure) { … }
///   func submit(_ job: Job) { job.answerRest(.forward(port: 0)); job.finish() }
/// }
///
/// @_cdecl("ix_module_v1")
/// public func ix_module_v1(_ level: UInt32) -> UnsafePointer<ix_module> { module.description }
/// private let module = StageModule(name: "shout", version: "1.0", summary: "…", stages: [Shout.self])
/// ```
///
/// Thread: every member is called on the instance's stage thread.
public protocol Stage: AnyObject {
  static var declaration: StageDeclaration { get }

  /// Makes an instance from a configuration that was validated against the declaration. What is wrong beyond that is
  /// reported with ``StageContext/complain(_:at:_:)``, all of it, and then thrown.
  init(context: StageContext, config: ConfigNode) throws(StageFailure)
  /// Begins work: listens, connects.
  func start() throws(StageFailure)
  /// Takes a message; finishes it now or later. Sources are never called.
  func submit(_ job: Job)
  /// The host wants this job back soon.
  func cancel(_ job: Job)
  /// No new work comes: stop listening, finish what is open.
  func stop()
  /// Nil when well, else one line that says what is wrong.
  func health() -> String?
}

extension Stage {
  public func start() throws(StageFailure) {}
  public func submit(_ job: Job) { job.finish() }
  public func cancel(_ job: Job) {}
  public func stop() {}
  public func health() -> String? { nil }
}

/// Why an instance could not be made or started.
public enum StageFailure: Error, Equatable {
  /// The configuration is wrong; the complaints have been made.
  case configuration
  /// Anything else, in one line.
  case failed(String)
}

public enum StageKind: UInt32, Sendable {
  case source = 1
  case filter = 2
  case sink = 3
}

/// What a stage is called, where its output goes and what may stand under its `config:`.
public struct StageDeclaration: Sendable {
  public var name: String
  public var kind: StageKind
  public var summary: String
  public var ports: [String]
  public var settings: [Setting]

  public init(name: String, kind: StageKind, summary: String, ports: [String] = [], settings: [Setting] = []) {
    self.name = name
    self.kind = kind
    self.summary = summary
    self.ports = ports
    self.settings = settings
  }
}

/// One member of a stage's configuration. The host validates it, fills in its default and documents it.
public struct Setting: Sendable {
  public indirect enum Kind: Sendable {
    case string
    case integer(ClosedRange<Int64>?)
    case boolean
    /// Octets, written `50MiB`.
    case size
    /// Seconds, written `1h30m`.
    case duration
    case percent
    case choice([String])
    /// `host:port` or `[v6]:port`.
    case endpoint
    case path
    case list(Kind)
    case mapping(Kind)
    case record([Setting])
    case any
  }

  public var name: String
  public var kind: Kind
  public var isRequired: Bool
  public var isSecret: Bool
  /// As it would be written in the file.
  public var defaultText: String?
  public var summary: String

  public init(
    _ name: String, _ kind: Kind, default defaultText: String? = nil, required: Bool = false, secret: Bool = false,
    _ summary: String
  ) {
    self.name = name
    self.kind = kind
    self.isRequired = required
    self.isSecret = secret
    self.defaultText = defaultText
    self.summary = summary
  }
}

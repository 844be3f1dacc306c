/// What `interchange stage check FILE.so` found.
public struct StageCheckReport: Sendable, Equatable {
  public var path: String
  /// Nil when the module could not be read at all.
  public var module: ModuleDescription?
  /// In the order in which they were made.
  public var checks: [StageCheckResult]

  /// No check failed. Warnings and skipped checks are no failures.
  public var isPassed: Bool { !checks.contains { $0.outcome == .failed } }
}

/// One check, made in a process of its own.
public struct StageCheckResult: Sendable, Equatable {
  public enum Outcome: UInt8, Sendable {
    case passed = 1
    case failed = 2
    /// Allowed, but asking for trouble.
    case warned = 3
    /// Does not apply, or cannot be made; the reason says why.
    case skipped = 4

    public var word: String {
      switch self {
      case .passed: "passed"
      case .failed: "failed"
      case .warned: "warned"
      case .skipped: "skipped"
      }
    }
  }

  public var kind: StageCheckKind
  /// The stage that was checked; nil for checks of the module.
  public var stage: String?
  public var outcome: Outcome
  /// One line; empty when there is nothing to say.
  public var reason: String

  /// `loads`, or `filter: one-recipient`.
  public var name: String { (stage.map { "\($0): " } ?? "") + kind.rawValue }
}

extension StageCheckResult: CustomStringConvertible {
  public var description: String { "\(outcome.word)  \(name)" + (reason.isEmpty ? "" : ": \(reason)") }
}

/// The checks, by the name that the command line shows.
public enum StageCheckKind: String, Sendable, CaseIterable {
  // Of the module.
  /// The file may be loaded, is loaded, and has the symbol.
  case loads
  /// Built for this host's level.
  case level
  /// Sizes, strides, counts and arrays of the description.
  case layout
  /// Names are words and differ; texts are UTF-8.
  case names
  /// Each stage has a kind, the functions and the ports that it needs.
  case stages
  /// Settings have kinds, and defaults that fit them.
  case settings
  /// Nothing but `ix_module_v1` is exported.
  case exports
  // Of each stage.
  /// An instance is made, or refused with a complaint.
  case create
  /// A hundred instances are made and destroyed, one after the other.
  case createDestroy = "create-destroy"
  /// An instance that has come and gone leaves no thread and no descriptor.
  case leaks
  case oneRecipient = "one-recipient"
  case thousandRecipients = "thousand-recipients"
  case oddAddresses = "odd-addresses"
  case emptyContent = "empty-content"
  /// A content of 1 MiB in many pieces.
  case largeContent = "large-content"

  /// Those that are made for each stage.
  static let ofStage: [StageCheckKind] = [
    .create, .createDestroy, .leaks, .oneRecipient, .thousandRecipients, .oddAddresses, .emptyContent, .largeContent,
  ]

  /// Those that hand the stage a message, and so do not apply to a source.
  var needsJob: Bool {
    switch self {
    case .oneRecipient, .thousandRecipients, .oddAddresses, .emptyContent, .largeContent: true
    case .loads, .level, .layout, .names, .stages, .settings, .exports, .create, .createDestroy, .leaks: false
    }
  }
}

/// How `interchange` ends. The numbers above 2 are those of sysexits(3).
public enum ExitCode: Int32, Sendable {
  case done = 0
  /// It was tried and failed, or the answer is no.
  case failed = 1
  /// The words of the command line make no sense.
  case usage = 2
  /// Nobody answers at the admin socket (EX_UNAVAILABLE).
  case hostNotRunning = 69
  /// It may work later (EX_TEMPFAIL).
  case temporary = 75
  /// The pipeline file is wrong (EX_CONFIG).
  case configuration = 78

  var meaning: String {
    switch self {
    case .done: "done"
    case .failed: "failed, or the answer is no"
    case .usage: "the command line makes no sense"
    case .hostNotRunning: "the host does not run"
    case .temporary: "not now, perhaps later"
    case .configuration: "the pipeline file is wrong"
    }
  }
}

extension ExitCode: CaseIterable {}

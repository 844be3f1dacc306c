internal import JSONText
internal import MailModel

// How the command line talks to a running host: over a local stream socket, in lines.
//
//     client:  {"verb":"queue list","stage":"imc_out"}⏎
//     host:    {"id":"0C5K…","state":"deferred",…}⏎      any number of rows
//              {"end":true}⏎                             or {"error":"one line","exit":75}⏎
//
// One request after another on a connection; an error that is not about what was asked, but about how, ends it.
// `inject` has two further members, `envelope` and `content`, each a count of octets that follow the line as they are.
//
// Bounds: a line of a request is at most 64 KiB (AdminLimits.requestOctetsMax), what follows an `inject` at most 64 MiB,
// connections are at most 16, and each wait for the client has a deadline. Garbage gets an error and harms nobody.
// Members are those of docs/cli.md.

/// What may be asked. The raw values stand under `verb`.
enum AdminVerb: String, CaseIterable, Sendable {
  case status, health, ledger, trace, inject
  case queueList = "queue list"
  case queueShow = "queue show"
  case queueShape = "queue shape"
  case queueHold = "queue hold"
  case queueRelease = "queue release"
  case queueRetry = "queue retry"
  case queueDelete = "queue delete"

  /// Changes something, and is logged with who asked.
  var changes: Bool {
    switch self {
    case .inject, .queueHold, .queueRelease, .queueRetry, .queueDelete: true
    case .status, .health, .ledger, .trace, .queueList, .queueShow, .queueShape: false
    }
  }
}

enum AdminLimits {
  static let requestOctetsMax = 64 * 1024
  static let bodyOctetsMax = 64 << 20
  static let connectionsMax = 16
  /// Octets of a line that a client takes from the host.
  static let answerOctetsMax = 4 << 20
}

/// What a request came to, when it came to nothing.
struct AdminFailure: Error, Equatable, Sendable {
  var text: String
  var exit: ExitCode

  init(_ text: String, _ exit: ExitCode = .failed) {
    self.text = text
    self.exit = exit
  }

  var json: JSONValue { .object([("error", .string(text)), ("exit", .integer(Int(exit.rawValue)))]) }

  /// The last line of an answer that says so; nil when it is another line.
  init?(_ line: JSONValue) {
    guard let text = line["error"]?.string else { return nil }
    self.init(text, line["exit"]?.integer.flatMap { ExitCode(rawValue: Int32(clamping: $0)) } ?? .failed)
  }
}

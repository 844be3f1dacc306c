internal import MailModel

// How the host and a worker talk besides the spoke: over a pair of local sockets (``UnixSocket``), one message at a time.
//
//     host → worker:  setup │ region │ stageBell │ hostBell, each with its descriptor, then begin;
//                     afterwards, at any time: segment (with its descriptor) │ segmentGone
//     worker → host:  nothing. When either end closes, the other side knows that its peer is gone.
//
// The setup itself lies in an anonymous file, because a configuration may be longer than a message.

/// What a worker is to run.
public struct WorkerSetup: Sendable, Equatable {
  /// Absolute, as ``ModuleFile`` found it good.
  public var modulePath: String
  /// The stage's name in its module.
  public var stageName: String
  public var stage: StageSetup

  public init(modulePath: String, stageName: String, stage: StageSetup) {
    self.modulePath = modulePath
    self.stageName = stageName
    self.stage = stage
  }

  func encoded() -> [UInt8] {
    var writer = WireWriter(reserving: 4096)
    writer.write(modulePath)
    writer.write(stageName)
    writer.write(stage)
    return writer.octets
  }

  init(encoded octets: [UInt8]) throws(WireCodingError) {
    var reader = WireReader(octets)
    modulePath = try reader.readString()
    stageName = try reader.readString()
    stage = try reader.readStageSetup()
    try reader.finish()
  }
}

enum ControlMessage: Equatable {
  case setup(octets: UInt64)
  case region(chunkCount: UInt32)
  case stageBell
  case hostBell
  case begin
  case segment(UInt32)
  case segmentGone(UInt32)

  var encoded: [UInt8] {
    var writer = WireWriter(reserving: 16)
    switch self {
    case .setup(let octets):
      writer.write(UInt8(1))
      writer.write(octets)
    case .region(let chunkCount):
      writer.write(UInt8(2))
      writer.write(chunkCount)
    case .stageBell: writer.write(UInt8(3))
    case .hostBell: writer.write(UInt8(4))
    case .begin: writer.write(UInt8(5))
    case .segment(let number):
      writer.write(UInt8(6))
      writer.write(number)
    case .segmentGone(let number):
      writer.write(UInt8(7))
      writer.write(number)
    }
    return writer.octets
  }

  init(encoded octets: [UInt8]) throws(WireCodingError) {
    var reader = WireReader(octets)
    switch try reader.read(UInt8.self) {
    case 1: self = .setup(octets: try reader.read(UInt64.self))
    case 2: self = .region(chunkCount: try reader.read(UInt32.self))
    case 3: self = .stageBell
    case 4: self = .hostBell
    case 5: self = .begin
    case 6: self = .segment(try reader.read(UInt32.self))
    case 7: self = .segmentGone(try reader.read(UInt32.self))
    default: throw .invalid("control message")
    }
    try reader.finish()
  }
}

/// The exit codes of a worker. A crash is an end by a signal; any other code is the module's own `exit`.
public enum WorkerExit: Int32, Sendable, CaseIterable {
  /// Stopped or checked as asked. A module that calls exit(0) looks the same but for the missing frame `stopped`.
  case stopped = 0
  /// The host closed its end of the control socket.
  case hostGone = 81
  /// The setup could not be understood or taken into use: a fault of ours.
  case setupRefused = 82
  case moduleFailed = 83
  case createFailed = 84
  case startFailed = 85
  /// The spoke holds nonsense, or the event loop failed.
  case broken = 86
}

import MailModel
import PipelineConfig
import Platform
import Spoke
import StageHost
import StageKit
import Synchronization
import Testing

/// What a scripted stage does; set before the instance is made, then touched on its stage thread only.
final class Script: @unchecked Sendable {
  var made: (StageContext, StageKit.ConfigNode) throws(StageFailure) -> Void = { (_, _) throws(StageFailure) in }
  var start: (StageContext) throws(StageFailure) -> Void = { (_) throws(StageFailure) in }
  var submit: (StageContext, Job) -> Void = { $1.finish() }
  var cancel: (Job) -> Void = { _ in }
  var stop: () -> Void = {}
  var health: String?

  static let scripts = Mutex<[String: Script]>([:])
}

/// A stage for tests: its instance's script says what it does.
class ScriptedStage {
  let context: StageContext
  let script: Script

  required init(context: StageContext, config: StageKit.ConfigNode) throws(StageFailure) {
    self.context = context
    script = Script.scripts.withLock { $0[context.instanceID] } ?? Script()
    try script.made(context, config)
  }

  func start() throws(StageFailure) { try script.start(context) }
  func submit(_ job: Job) { script.submit(context, job) }
  func cancel(_ job: Job) { script.cancel(job) }
  func stop() { script.stop() }
  func health() -> String? { script.health }
}

final class ScriptedSource: ScriptedStage, Stage {
  static let declaration = StageKit.StageDeclaration(name: "source", kind: .source, summary: "", ports: ["out"])
}
final class ScriptedFilter: ScriptedStage, Stage {
  static let declaration = StageKit.StageDeclaration(name: "filter", kind: .filter, summary: "", ports: ["a", "b"])
}
final class ScriptedSink: ScriptedStage, Stage {
  static let declaration = StageKit.StageDeclaration(name: "sink", kind: .sink, summary: "")
}

let scriptedModule = StageModule(
  name: "scripted", version: "1", summary: "", stages: [ScriptedSource.self, ScriptedFilter.self, ScriptedSink.self])

/// An instance of a scripted stage on a thread, and the host's end of its spoke.
final class RunnerFixture {
  enum Kind: Int { case source, filter, sink }

  let script = Script()
  let loop: EventLoop
  let host: SpokeHostEnd
  let region: SpokeRegion
  private let stageBell: EventFD
  private let kind: Kind
  private(set) var stage: InlineStage?
  /// Pieces as they came, by draft.
  var contents: [UInt64: [UInt8]] = [:]
  /// Chunks whose return is withheld while `takesPieces` is false.
  var held: [UInt32] = []
  var takesPieces = true
  let deadline = MonotonicTime.now().advanced(bySeconds: 60)
  private var waiting: [UpFrame] = []
  private var regions: [SegmentFile] = []
  let segmentMap: SegmentMap
  var setup: StageSetup

  final class SegmentFile {
    let region: SharedRegion
    init(_ octets: [UInt8]) throws {
      region = try SharedRegion(creating: octets.count, name: "segment")
      UnsafeMutableRawBufferPointer(start: region.base, count: octets.count).copyBytes(from: octets)
    }
  }

  private static let serial = Atomic<Int>(0)

  init(_ kind: Kind, chunks: Int = 16, config: ConfigValue = ConfigValue(.mapping([]), at: .nowhere)) throws {
    self.kind = kind
    loop = try EventLoop()
    stageBell = try EventFD()
    region = try SpokeRegion(creatingWithChunks: chunks, name: "test")
    host = try SpokeHostEnd(region, stageBell: stageBell.rawValue)
    let files = Files()
    self.files = files
    segmentMap = SegmentMap { number in
      guard let file = files.numbers.withLock({ $0[number] }) else { return nil }
      return try? FileDescriptor.duplicating(file)
    }
    let id = "stage\(Self.serial.add(1, ordering: .relaxed).newValue)"
    setup = StageSetup(
      instanceID: id, nodeName: "gw1.example.com", stateDirectory: "", config: config, contentOctetsMax: 1 << 24)
  }

  private final class Files: Sendable {
    let numbers = Mutex<[UInt32: Int32]>([:])
  }
  private let files: Files

  func addSegment(_ number: UInt32, _ octets: [UInt8]) throws {
    let file = try SegmentFile(octets)
    regions.append(file)
    files.numbers.withLock { $0[number] = file.region.file.rawValue }
  }

  func start() throws {
    Script.scripts.withLock { $0[setup.instanceID] = script }
    let classes = scriptedModule.description.pointee.stages!
    stage = try InlineStage(
      classes + kind.rawValue, setup: setup, region: region, stageBell: stageBell.rawValue,
      hostBell: loop.doorbellDescriptor, segments: segmentMap)
  }

  func send(_ frame: DownFrame) throws {
    try host.send(frame)
    try host.endCycle()
  }

  func job(
    _ number: UInt64, recipients: Int = 1, octets: UInt64 = 0, extents: [ContentExtent] = [], envelope: Envelope? = nil
  ) throws {
    let many = (0..<recipients).map { Recipient(.smtp("r\($0)@example.com")) }
    try send(
      .job(
        JobFrame(
          job: number, queueID: QueueID(rawValue: number), attempt: 1,
          acceptedAt: WallTime(millisecondsSinceEpoch: 1000),
          envelope: envelope ?? Envelope(reversePath: .smtp("a@example.com"), recipients: many), contentOctets: octets,
          extents: extents)))
  }

  /// The next frame that is not a piece; waits for it.
  func next() throws -> UpFrame {
    while true {
      host.awake()
      if !waiting.isEmpty { return waiting.removeFirst() }
      try receive()
      if !waiting.isEmpty { continue }
      if try host.prepareToSleep() { try loop.runOnce(timeoutSeconds: 60) }
      try #require(MonotonicTime.now() < deadline, "the stage does nothing")
    }
  }

  /// Takes in what has come, without waiting.
  func receive() throws {
    while let frame = try host.receive() {
      guard case .piece(let draft, let chunk, let octets) = frame else {
        waiting.append(frame)
        continue
      }
      contents[draft, default: []] += region.chunk(chunk)!.prefix(Int(octets))
      held.append(chunk)
    }
    if takesPieces && !held.isEmpty {
      try host.send(.piecesTaken(held))
      held = []
    }
    try host.endCycle()
  }

  /// Waits until the arena is used up, as far as the stage does by itself.
  func nextPieces(atLeast count: Int) throws {
    while held.count < count {
      host.awake()
      try receive()
      if held.count < count, try host.prepareToSleep() { try loop.runOnce(timeoutSeconds: 60) }
      try #require(MonotonicTime.now() < deadline, "the stage does nothing")
    }
  }

  /// The next outcome; other frames before it are dropped.
  func outcome() throws -> OutcomeFrame {
    while true { if case .outcome(let outcome) = try next() { return outcome } }
  }

  func ready() throws { #expect(try next() == .ready) }

  /// Stops the instance and waits for its end.
  @discardableResult
  func stop() throws -> StageRunner.End? {
    try send(.stop)
    while try next() != .stopped {}
    return stage?.join()
  }
}

extension OutcomeFrame {
  /// The answers one by one.
  var answers: [StageAnswer] { runs.flatMap { Array(repeating: $0.answer, count: Int($0.count)) } }
}

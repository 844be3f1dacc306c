public import CInterchange
internal import Glibc
public import MailModel
public import PipelineConfig
internal import Platform
public import Spoke
internal import Synchronization

/// Hosts one stage instance in this process and keeps all that it does: for examining a module, and for a stage's tests.
///
/// The instance runs on a thread of its own under the same ``StageRunner`` as in the host, over a spoke in memory; this
/// is the host's end of it, without spool or hub. Contents of jobs lie in memory files, cut into extents as a spool would
/// cut them; contents of drafts are collected from the pieces. What the runner logs as a broken rule is in
/// ``violations``.
///
/// Thread: one, the same always; not the stage thread.
public final class RecordingHost {
  /// A message that a stage made.
  public struct Made: Equatable, Sendable {
    public var port: Int
    public var envelope: Envelope
    public var content: [UInt8]
  }

  /// What a stage made of a job.
  public struct Outcome: Equatable, Sendable {
    /// One for each recipient, in order.
    public var answers: [StageAnswer]
    public var emissions: [Made]
  }

  public struct LogLine: Equatable, Sendable {
    /// `ix_severity`.
    public var severity: UInt8
    public var text: String
  }

  /// What becomes of an offered message. Accepts, unless it is set.
  public var judge: (Made) -> OfferVerdict

  public private(set) var outcomes: [UInt64: Outcome] = [:]
  /// Every offer, in order; so also what was refused.
  public private(set) var offers: [Made] = []
  public private(set) var logs: [LogLine] = []
  /// Complaints about the configuration.
  public private(set) var complaints: [LogLine] = []
  /// Counters and gauges.
  public private(set) var metrics: [String: Int64] = [:]
  /// Rules of interchange.h that the stage broke, one line each.
  public private(set) var violations: [String] = []
  public private(set) var isReady = false
  /// The line that tells why the instance was not made or not started.
  public private(set) var startFailure: String?
  /// How the instance ended; nil while it runs.
  public var end: StageRunner.End? { run.end.withLock { $0 } }

  private let host: SpokeHostEnd
  private let hostBell: EventFD
  private let loop: EventLoop
  private let run: Run
  private var thread: Thread?
  private let contents = RecordedContents()
  private var drafts: [UInt64: [UInt8]] = [:]
  private var jobs: [UInt64: JobFrame] = [:]
  private var lastJob: UInt64 = 0
  private var lastQueueID = QueueID(rawValue: 0)
  private var failure: SpokeError?

  /// What the stage thread shares.
  private final class Run: Sendable {
    let runner: StageRunner
    let end = Mutex<StageRunner.End?>(nil)
    let hostBell: Int32

    init(_ runner: StageRunner, hostBell: Int32) {
      self.runner = runner
      self.hostBell = hostBell
    }

    func callAsFunction() {
      let ending = runner.run()
      end.withLock { $0 = ending }
      // Wakes whoever waits for the end.
      var one: UInt64 = 1
      _ = write(hostBell, &one, MemoryLayout<UInt64>.size)
    }
  }

  /// Prepares an instance; nothing of the stage is called yet.
  ///
  /// - Parameters:
  ///   - stageClass: Of a module that is in this process.
  ///   - config: Validated, with defaults filled in.
  ///   - stateDirectory: Made when it is missing.
  ///   - isCheckOnly: ``start(seconds:)`` makes the instance and destroys it again.
  /// - Throws: ``RecordingHostError``, when memory or descriptors are short.
  public init(
    _ stageClass: UnsafePointer<ix_stage_class>, config: ConfigValue, stateDirectory: String,
    contentOctetsMax: UInt64 = 64 << 20, isCheckOnly: Bool = false
  ) throws(RecordingHostError) {
    judge = { _ in .accepted(QueueID(rawValue: 1)) }
    let setup = StageSetup(
      instanceID: "examined", nodeName: "gateway.example", stateDirectory: stateDirectory, config: config,
      contentOctetsMax: contentOctetsMax, isCheckOnly: isCheckOnly)
    do throws(SystemError) {
      hostBell = try EventFD()
      loop = try EventLoop()
      let region = try SpokeRegion(creatingWithChunks: 64, name: "recording-host")
      do throws(SpokeError) {
        host = try SpokeHostEnd(region, stageBell: loop.doorbellDescriptor)
        let stage = try SpokeStageEnd(region, hostBell: hostBell.rawValue)
        let contents = contents
        let runner = StageRunner(
          stageClass, setup: setup, spoke: stage, loop: loop, segments: SegmentMap { contents.descriptor($0) })
        run = Run(runner, hostBell: hostBell.rawValue)
      } catch { throw SystemError("spoke", errno: EINVAL) }
    } catch { throw RecordingHostError(system: error) }
  }

  deinit {
    run.runner.abandon()
    thread?.join()
  }

  /// Makes and starts the instance, and waits until it is ready, has failed or `seconds` are over.
  ///
  /// - Returns: True when it runs, or with `isCheckOnly` when it was made and destroyed.
  public func start(seconds: Double = 10) throws(RecordingHostError) -> Bool {
    precondition(thread == nil, "started twice")
    let run = run
    do throws(SystemError) {
      thread = try Thread.start(name: "stage") { run() }
    } catch { throw RecordingHostError(system: error) }
    _ = wait(seconds: seconds) { $0.isReady || $0.startFailure != nil || $0.end != nil }
    return isReady || (end == .stopped && startFailure == nil)
  }

  /// Hands the instance a message. The answer is in ``outcomes`` under the number that is returned.
  ///
  /// - Parameter extentOctets: The content lies in runs of so many octets, which do not touch.
  public func submit(
    _ envelope: Envelope, content: [UInt8], attempt: UInt32 = 1, extentOctets: Int = 1 << 20
  ) throws(RecordingHostError) -> UInt64 {
    lastJob += 1
    lastQueueID = QueueID(rawValue: lastQueueID.rawValue + 1)
    let extents: [ContentExtent]
    do throws(SystemError) {
      extents = try contents.lay(content, segment: UInt32(truncatingIfNeeded: lastJob), extentOctets: extentOctets)
    } catch { throw RecordingHostError(system: error) }
    let frame = JobFrame(
      job: lastJob, queueID: lastQueueID, attempt: attempt, acceptedAt: WallTime(millisecondsSinceEpoch: 0),
      envelope: envelope, contentOctets: UInt64(content.count), extents: extents)
    jobs[lastJob] = frame
    send(.job(frame))
    return lastJob
  }

  /// The host would like the job back soon.
  public func cancel(_ job: UInt64) { send(.cancel(job: job)) }

  /// `ix_congestion`.
  public func setCongestion(_ level: UInt8) { send(.congestion(level)) }

  /// Stops the instance and waits for its end.
  ///
  /// - Returns: How it ended; nil when it did not within `seconds`.
  public func stop(seconds: Double = 10) -> StageRunner.End? {
    send(.stop)
    _ = wait(seconds: seconds) { $0.end != nil }
    return end
  }

  /// Takes what the stage says until `condition` holds.
  ///
  /// - Returns: Whether it did within `seconds` and before the instance ended.
  public func wait(seconds: Double, until condition: (RecordingHost) -> Bool) -> Bool {
    let deadline = MonotonicTime.now().nanoseconds + Int64(seconds * 1e9)
    while true {
      let isOver = end != nil
      take()
      if condition(self) { return true }
      let left = Double(deadline - MonotonicTime.now().nanoseconds) / 1e9
      guard left > 0, !isOver, failure == nil else { return false }
      guard prepareToSleep(), end == nil else { continue }
      _ = hostBell.wait(timeoutSeconds: left)
      _ = hostBell.drain()
      host.awake()
    }
  }

  // MARK: Frames

  private func send(_ frame: DownFrame) {
    do throws(SpokeError) {
      try host.send(frame)
      try host.endCycle()
    } catch { failure = error }
  }

  private func prepareToSleep() -> Bool {
    do throws(SpokeError) { return try host.prepareToSleep() } catch {
      failure = error
      return false
    }
  }

  private func take() {
    do throws(SpokeError) {
      while let frame = try host.receive() { try handle(frame) }
      try host.endCycle()
    } catch { failure = error }
  }

  private func handle(_ frame: UpFrame) throws(SpokeError) {
    switch frame {
    case .ready: isReady = true
    case .startFailed(let line): startFailure = line
    case .piece(let draft, let chunk, let octets):
      if let memory = host.region.chunk(chunk), octets <= memory.count {
        drafts[draft, default: []] += memory[..<Int(octets)]
      }
      try host.send(.piecesTaken([chunk]))
    case .offer(let draft, let port, let envelope):
      let made = Made(port: Int(port), envelope: envelope, content: drafts.removeValue(forKey: draft) ?? [])
      offers.append(made)
      try host.send(.verdict(draft: draft, judge(made)))
    case .discard(let draft): drafts[draft] = nil
    case .outcome(let outcome): keep(outcome)
    case .log(let severity, _, let text):
      logs.append(LogLine(severity: severity, text: text))
      if text.hasPrefix(breachPrefix) {
        violations.append(String(text.dropFirst(breachPrefix.count)))
      }
    case .metric(let name, let value, let isGauge):
      metrics[name] = isGauge ? value : metrics[name, default: 0].addingReportingOverflow(value).partialValue
    case .diagnostic(let severity, _, _, let text): complaints.append(LogLine(severity: severity, text: text))
    case .health, .stopped: break
    }
  }

  private func keep(_ outcome: OutcomeFrame) {
    let content = contents.octets(UInt32(truncatingIfNeeded: outcome.job))
    let emissions = outcome.emissions.map { emission in
      Made(
        port: Int(emission.port), envelope: emission.envelope,
        content: emission.draft.map { drafts.removeValue(forKey: $0) ?? [] } ?? content)
    }
    outcomes[outcome.job] = Outcome(
      answers: outcome.runs.flatMap { Array(repeating: $0.answer, count: Int($0.count)) }, emissions: emissions)
  }
}

/// How the runner's log begins when a stage broke a rule (``StageRunner``).
private let breachPrefix = "the stage broke the rules in "

/// The machine would not let the instance be hosted.
public struct RecordingHostError: Error, CustomStringConvertible {
  let system: SystemError
  public var description: String { system.description }
}

/// Contents of jobs, each in a memory file of its own that stands for a segment.
private final class RecordedContents: Sendable {
  private struct Content: ~Copyable {
    let region: SharedRegion
    let octets: [UInt8]
  }

  private final class Box: Sendable {
    let content: Content
    init(_ content: consuming Content) { self.content = content }
  }

  private let segments = Mutex<[UInt32: Box]>([:])

  /// A copy of the segment's descriptor.
  func descriptor(_ segment: UInt32) -> FileDescriptor? {
    let box = segments.withLock { $0[segment] }
    // Nil when there is no such segment or no descriptor left: the stage is told that the content cannot be read.
    return try? box?.content.region.file.duplicate()
  }

  func octets(_ segment: UInt32) -> [UInt8] { segments.withLock { $0[segment]?.content.octets ?? [] } }

  /// Between two extents lies an octet that is in none.
  func lay(
    _ content: [UInt8], segment: UInt32, extentOctets: Int
  ) throws(SystemError) -> [ContentExtent] {
    precondition(extentOctets > 0, "extents of no octets")
    let count = (content.count + extentOctets - 1) / extentOctets
    let region = try SharedRegion(creating: max(1, content.count + count), name: "recorded-content")
    var extents: [ContentExtent] = []
    for index in 0..<count {
      let part = content[index * extentOctets..<min((index + 1) * extentOctets, content.count)]
      let offset = index * (extentOctets + 1)
      // SAFETY: the region has room for the content and an octet for each extent.
      part.withUnsafeBytes { octets in
        UnsafeMutableRawBufferPointer(start: region.base + offset, count: octets.count).copyMemory(from: octets)
      }
      extents.append(ContentExtent(segment: segment, offset: UInt64(offset), count: UInt32(part.count)))
    }
    let box = Box(Content(region: region, octets: content))
    segments.withLock { $0[segment] = box }
    return extents
  }
}

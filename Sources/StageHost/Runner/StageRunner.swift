public import CInterchange
internal import Glibc
internal import MailModel
internal import PipelineConfig
public import Platform
public import Spoke
internal import Synchronization

// One stage instance over the stage's end of a spoke: calls the stage's functions on one thread, the stage thread, and
// implements the host's tables of interchange.h.
//
//     made ──create──► created ──start──► running ──stop frame──► stopping ──all open is finished,──► destroyed
//       │                │  └─ check only ─────────────────────────────────   or the deadline ──────►     ▲
//       └─ startFailed   └─ startFailed ──────────────────────────────────────────────────────────────────┘
//
// 1. The stage is called on the stage thread only, one call at a time, never with a lock held.
// 2. What the stage holds are numbers (``HandleTable``); after destroy they stand for nothing, so that a thread that the
//    stage left behind finds every call refused.
// 3. An offered draft gets its verdict once: from the host, or as IX_CLOSED before destroy.
// 4. Frames that come in are handled in their order, except that `piecesTaken` is handled at once while the stage thread
//    itself waits for room (``waitForRoomOnStageThread()``).
//
// A turn: handle frames (before the sleep, so that no doorbell is needed while there are some), call who waits for room,
// send what has no room yet, sleep; then descriptors, posts, timers (``EventLoop``).
public final class StageRunner: @unchecked Sendable {
  // SAFETY: stage-thread state is touched on the stage thread only; the rest is locked, atomic or never changes.

  /// How a run ended.
  public enum End: Equatable, Sendable {
    /// As asked: stopped, or checked.
    case stopped
    /// Create refused; the complaints were sent.
    case createFailed(String)
    case startFailed(String)
    /// The host's side was declared gone (``abandon()``).
    case abandoned
    case spokeFailed(SpokeError)
    case loopFailed(SystemError)
  }

  let setup: StageSetup
  let loop: EventLoop
  let segments: SegmentMap
  let link: StageLink
  let pieces: PieceChannel
  let congestion = Atomic<UInt32>(0)
  let kind: UInt32
  let portCount: Int
  let ledger = RunnerLedger()
  let configTree: ConfigTreeNode
  let nodeName: (memory: LentMemory, text: ix_text)
  let instanceID: (memory: LentMemory, text: ix_text)
  let stateDirectory: (memory: LentMemory, text: ix_text)
  /// Which shard of the handle tables this runner's objects are in.
  let shard: Int
  private let stageClass: ix_stage_class
  private let stageClassPointer: UnsafePointer<ix_stage_class>
  let host: UnsafePointer<ix_host>
  private let isAbandoned = Atomic<Bool>(false)
  private let phase = Atomic<UInt8>(Phase.made.rawValue)

  // Stage thread only.
  private var instance: OpaquePointer?
  private var stash: [DownFrame] = []
  private var stopDeadline: TimerNumber?
  private var isStopDue = false
  /// The draft whose `room` callback runs.
  var draftInTurn: UInt64?

  enum Phase: UInt8, Comparable {
    case made = 0
    case created, running, stopping, destroyed

    static func < (left: Phase, right: Phase) -> Bool { left.rawValue < right.rawValue }
  }

  /// - Parameters:
  ///   - stageClass: The table of a loaded module, which never goes away.
  ///   - loop: For this runner alone; its doorbell is what the host rings. ``run()`` binds it to its thread.
  public init(
    _ stageClass: UnsafePointer<ix_stage_class>, setup: StageSetup, spoke: SpokeStageEnd, loop: EventLoop,
    segments: SegmentMap
  ) {
    self.setup = setup
    self.loop = loop
    self.segments = segments
    self.stageClassPointer = stageClass
    self.stageClass = stageClass.pointee
    kind = stageClass.pointee.kind
    portCount = stageClass.pointee.port_count
    link = StageLink(spoke, loop)
    pieces = PieceChannel(link, loop)
    configTree = ConfigTreeNode(setup.config)
    nodeName = LentMemory.of(setup.nodeName)
    instanceID = LentMemory.of(setup.instanceID)
    stateDirectory = LentMemory.of(setup.stateDirectory)
    (host, shard) = HostBlock.make()
    pieces.sendHeldChunks = { [ledger] in for draft in ledger.drafts { draft.sendHeldChunk() } }
  }

  func phaseNow() -> Phase {
    // ORDERING: acquire pairs with the release in enter: who sees a phase sees what was done before it.
    Phase(rawValue: phase.load(ordering: .acquiring)) ?? .destroyed
  }

  private func enter(_ next: Phase) { phase.store(next.rawValue, ordering: .releasing) }

  /// The host is gone, or gives the instance up: the run ends soon, without waiting for what is open. A stage that
  /// does not come back from a call holds it up all the same. Thread: any.
  public func abandon() {
    isAbandoned.store(true, ordering: .releasing)
    loop.wake()
  }

  var isGivenUp: Bool { isAbandoned.load(ordering: .acquiring) || link.failure != nil }

  // MARK: The life of the instance

  /// Makes, runs and destroys the instance on the calling thread, which becomes the stage thread. Once.
  public func run() -> End {
    precondition(phaseNow() == .made, "a runner runs once")
    HostBlock.register(self, for: host)
    loop.bindToCurrentThread()
    loop.prepareToSleep = { [unowned self] in self.beforeSleep() }
    var end = begin()
    if end == nil { end = turn() }
    destroy()
    switch end {
    case .createFailed(let line), .startFailed(let line): link.send(.startFailed(line))
    case .stopped, .abandoned, .spokeFailed, .loopFailed, nil: break
    }
    ledger.flushMetrics(to: link)
    link.send(.stopped)
    sayFarewell()
    loop.prepareToSleep = nil
    return end ?? .stopped
  }

  /// Create and start. Nil when the instance runs.
  private func begin() -> End? {
    if !setup.isCheckOnly, let trouble = makeDirectory(setup.stateDirectory) { return .createFailed(trouble) }
    guard let create = stageClass.create else { return .createFailed("the stage has no create function") }
    let made = create(stageClassPointer, host, configTree.pointer, &instance)
    guard made == IX_OK else {
      instance = nil
      let line = made == IX_INVALID ? "the configuration was refused" : "the instance could not be made"
      return .createFailed("\(line) (\(made.word))")
    }
    enter(.created)
    if setup.isCheckOnly { return .stopped }
    enter(.running)
    guard let start = stageClass.start else { return .startFailed("the stage has no start function") }
    let started = start(instance)
    guard started == IX_OK else { return .startFailed("the stage did not start (\(started.word))") }
    link.send(.ready)
    return nil
  }

  private func turn() -> End {
    while true {
      if let failure = link.failure { return .spokeFailed(failure) }
      if isAbandoned.load(ordering: .acquiring) { return .abandoned }
      if phaseNow() == .stopping && (isStopDue || ledger.isIdle) { return .stopped }
      do throws(SystemError) { try loop.runOnce() } catch { return .loopFailed(error) }
    }
  }

  private func destroy() {
    if phaseNow() >= .running { closeVerdicts() }
    loop.closePosts()
    loop.runPosts()
    if phaseNow() >= .created, let destroy = stageClass.destroy { destroy(instance) }
    enter(.destroyed)
    instance = nil
    ledger.abandonAll()
    HostBlock.forget(host)
  }

  /// Sends what still has no room, for as long as a host may take that is alive.
  private func sayFarewell() {
    let deadline = MonotonicTime.now().advanced(bySeconds: RunnerLimits.farewellSeconds)
    while link.failure == nil {
      do throws(SpokeError) {
        try link.spoke.endCycle()
        guard link.spoke.isBlocked, !isGivenUp, MonotonicTime.now() < deadline else { return }
        guard try link.spoke.prepareToSleep() else { continue }
      } catch { return }
      loop.waitForDoorbell(timeoutSeconds: RunnerLimits.roomLookSeconds)
      link.spoke.awake()
    }
  }

  // MARK: Frames

  /// The hook of the loop: true when there is nothing to do but sleep.
  private func beforeSleep() -> Bool {
    do throws(SpokeError) {
      link.spoke.awake()
      var handled = 0
      while handled < RunnerLimits.framesPerTurn, let frame = try nextFrame() {
        handle(frame)
        handled += 1
      }
      serveLine()
      ledger.armMetrics(on: loop, to: link)
      try link.spoke.endCycle()
      guard handled < RunnerLimits.framesPerTurn, stash.isEmpty, link.failure == nil else { return false }
      if phaseNow() == .stopping && (isStopDue || ledger.isIdle) { return false }
      guard try link.spoke.prepareToSleep() else { return false }
      return !isGivenUp
    } catch {
      link.fail(error)
      return false
    }
  }

  private func nextFrame() throws(SpokeError) -> DownFrame? {
    if !stash.isEmpty { return stash.removeFirst() }
    return try link.spoke.receive()
  }

  private func handle(_ frame: DownFrame) {
    switch frame {
    case .job(let job): take(job)
    case .cancel(let number):
      if let cancel = stageClass.cancel, let handle = ledger.handle(ofJob: number) { cancel(instance, handle) }
    case .verdict(let draft, let verdict): tell(draft, verdict)
    case .piecesTaken(let chunks): pieces.taken(chunks)
    case .congestion(let level): congestion.store(min(UInt32(level), IX_SHUT.rawValue), ordering: .relaxed)
    case .askHealth:
      ledger.flushMetrics(to: link)
      link.send(.health(health()))
    case .stop: stop()
    }
  }

  private func take(_ frame: JobFrame) {
    let job = RunnerJob(frame, portCount: portCount)
    guard let submit = stageClass.submit else {
      if let outcome = job.finish() { link.send(.outcome(outcome)) }
      return
    }
    let hand = JobInHand(runner: self, job: job)
    let handle = JobInHand.table.insert(hand, shard: shard)
    ledger.open(frame.job, handle)
    submit(instance, handle)
  }

  private func tell(_ draft: UInt64, _ verdict: OfferVerdict) {
    guard let pending = ledger.takeVerdict(of: draft) else { return }
    pending.call(verdict)
  }

  /// What the host has not judged by the end is still the peer's.
  private func closeVerdicts() {
    for pending in ledger.takeAllVerdicts() { pending.callClosed() }
  }

  private func stop() {
    guard phaseNow() == .running else { return }
    enter(.stopping)
    stopDeadline = loop.timer(afterSeconds: setup.stopSeconds) { [unowned self] in self.isStopDue = true }
    if let stop = stageClass.stop { stop(instance) }
  }

  private func health() -> String? {
    guard let ask = stageClass.get_extension, let table = ask(instance, IX_HEALTH) else { return nil }
    let functions = table.assumingMemoryBound(to: ix_health_functions.self)
    var text = ix_text()
    guard let health = functions.pointee.health, health(instance, &text) != IX_OK else { return nil }
    return Handed.line(text, octetsMax: RunnerLimits.lineOctetsMax)
  }

  // MARK: Room for content

  private func serveLine() {
    var turns = pieces.lineLength
    while turns > 0, let waiter = pieces.takeFirstInLine() {
      turns -= 1
      draftInTurn = waiter.draft
      waiter.room(waiter.user)
      draftInTurn = nil
    }
  }

  /// Waits for chunks on the stage thread of a filter or sink, taking nothing but `piecesTaken` from the host; the rest
  /// is stashed in order. False when the host is gone.
  func waitForRoomOnStageThread(since seen: UInt32) -> Bool {
    // The bell that is heard here may have been rung for the loop.
    defer { loop.wake() }
    while pieces.roomGeneration == seen {
      guard !isGivenUp else { return false }
      do throws(SpokeError) {
        link.spoke.awake()
        var isNews = false
        while let frame = try link.spoke.receive() {
          isNews = true
          if case .piecesTaken(let chunks) = frame { pieces.taken(chunks) } else { stash.append(frame) }
        }
        try link.spoke.endCycle()
        if isNews { continue }
        guard try link.spoke.prepareToSleep() else { continue }
      } catch {
        link.fail(error)
        return false
      }
      loop.waitForDoorbell(timeoutSeconds: RunnerLimits.roomLookSeconds)
      link.spoke.awake()
    }
    return true
  }

  // MARK: Broken rules

  /// Tells the operator that the stage broke the contract. Thread: any.
  func breach(_ function: StaticString, _ line: String, about id: QueueID? = nil) {
    guard ledger.countsAsLogged() else { return }
    link.send(.log(severity: UInt8(IX_WARNING.rawValue), id, "the stage broke the rules in \(function): \(line)"))
  }
}

extension ix_status {
  var word: String {
    switch self {
    case IX_OK: "IX_OK"
    case IX_AGAIN: "IX_AGAIN"
    case IX_INVALID: "IX_INVALID"
    case IX_TOO_BIG: "IX_TOO_BIG"
    case IX_CLOSED: "IX_CLOSED"
    case IX_FAILED: "IX_FAILED"
    default: "status \(rawValue)"  // an open C enumeration
    }
  }
}

/// Makes a directory and its parents, readable by nobody else. Nil, or what went wrong.
private func makeDirectory(_ path: String) -> String? {
  guard !path.isEmpty else { return nil }
  var prefix = path.hasPrefix("/") ? "/" : ""
  for part in path.split(separator: "/") {
    prefix += prefix.isEmpty || prefix.hasSuffix("/") ? String(part) : "/\(part)"
    guard mkdir(prefix, 0o700) != 0, errno != EEXIST else { continue }
    return "the state directory cannot be made: \(prefix): \(SystemError.last("mkdir"))"
  }
  return nil
}

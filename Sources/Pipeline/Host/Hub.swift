import MailModel
import Platform
import Spoke
import Spool
import Synchronization

/// The middle of the gateway: reads what the stages say, lets the ``Dispatcher`` decide, and carries its decisions out.
///
/// A cycle: receive from every link → take what the committer has made durable → due alarms → effects → wake who waits.
/// The hub never touches the disk and never waits for a stage: it sleeps in its event loop only when every ring is empty,
/// and whoever puts something in rings its bell.
///
/// What bounds memory: a stage's drafts and jobs are bounded in number, and while more than ``backlogMax`` entries wait
/// for the committer nothing is received from the stages, so that their rings fill and sources slow down.
///
/// Thread: its own, but for `post`.
final class Hub: @unchecked Sendable {
  // SAFETY: Sendable, because everything but `post` and the atomics is used on the hub's thread only.

  let dispatcher: Dispatcher
  let loop: EventLoop
  let log: EventLog
  private let startStage: StageStarter
  private let descriptor: (UInt32) -> Int32?
  private var intake: HubIntake
  private var backlog: ArraySlice<IntakeEntry> = []
  private(set) var links: [Int: StageLink] = [:]
  private var lastLink: UInt64 = 0
  private var starts: [Int: StartThrottle] = [:]
  /// Times that each lane's stage was started.
  private(set) var startCounts: [Int: Int] = [:]
  private(set) var metrics: [String: Int64] = [:]
  private(set) var recentWorkAt: MonotonicTime
  private(set) var phase = Phase.running
  private var congestion: UInt8 = 0
  /// Octets that the spool has left for new messages, as the committer last saw it.
  let spoolRoom = Atomic<Int64>(Int64.max)

  enum Phase: Equatable {
    case running
    /// Stages have been told to stop; what they still say counts.
    case draining(until: MonotonicTime)
    case stopped
    case failed(String)
  }

  private static let backlogMax = 4096
  private static let framesPerCycle = 256
  private static let metricsMax = 4096
  private static let checkSeconds = 1.0
  private static let drainSeconds = 4.0

  init(
    dispatcher: Dispatcher, loop: EventLoop, log: EventLog, intake: consuming HubIntake,
    descriptor: @escaping (UInt32) -> Int32?, startStage: @escaping StageStarter
  ) {
    self.dispatcher = dispatcher
    self.loop = loop
    self.log = log
    self.intake = intake
    self.descriptor = descriptor
    self.startStage = startStage
    self.recentWorkAt = loop.now
    dispatcher.draftOctets = { [unowned self] key in
      links.values.first { $0.number == key.link }?.draftOctets.removeValue(forKey: key.draft) ?? 0
    }
  }

  private var now: Now { Now(wall: .now(), monotonic: .now()) }

  // MARK: The cycle

  /// Runs until everything has stopped. Returns why, when that was not asked for.
  func run() -> String? {
    loop.bindToCurrentThread()
    for (lane, plan) in dispatcher.plan.lanes.enumerated() where plan.role.hasProcess { start(lane) }
    scheduleCheck()
    loop.prepareToSleep = { [unowned self] in prepareToSleep() }
    defer { loop.prepareToSleep = nil }
    while true {
      cycle()
      if phase == .stopped {
        closeIntake()
        return nil
      }
      if case .failed(let reason) = phase { return reason }
      do throws(SystemError) {
        try loop.runOnce(timeoutSeconds: dispatcher.nextAlarm.map { max(0, $0.seconds(since: .now())) })
      } catch { return "the event loop failed: \(error)" }
      for link in links.values { link.end.awake() }
      intake.awake()
    }
  }

  private func cycle() {
    let now = now
    if backlog.count < Self.backlogMax {
      for link in Array(links.values) { receive(link, now) }
    }
    takeCompleted(now)
    dispatcher.tick(now)
    carryOut()
    pushBacklog()
    for link in Array(links.values) { attend(link) { (link) throws(SpokeError) in try link.end.endCycle() } }
    if case .draining(let until) = phase { finishDraining(until, now) }
  }

  private func prepareToSleep() -> Bool {
    var sleeps = intake.prepareToSleep()
    guard backlog.count < Self.backlogMax else { return sleeps }
    for link in links.values {
      guard !link.isBroken else { continue }
      do throws(SpokeError) { if try !link.end.prepareToSleep() { sleeps = false } } catch { sleeps = false }
    }
    return sleeps
  }

  // MARK: From the stages

  private func receive(_ link: StageLink, _ now: Now) {
    attend(link) { (link) throws(SpokeError) in
      for _ in 0..<Self.framesPerCycle {
        guard let frame = try link.end.receive() else { return }
        try handle(frame, link, now)
        carryOut()
      }
    }
  }

  /// Runs something with a link; a link that breaks the protocol loses its process, and is not listened to any more.
  private func attend(_ link: StageLink, _ body: (StageLink) throws(SpokeError) -> Void) {
    guard !link.isBroken else { return }
    do throws(SpokeError) {
      try body(link)
    } catch {
      link.isBroken = true
      note(.error, link.lane, nil, "the stage broke the protocol: \(error)")
      link.process.kill()
    }
  }

  private func handle(_ frame: UpFrame, _ link: StageLink, _ now: Now) throws(SpokeError) {
    recentWorkAt = now.monotonic
    switch frame {
    case .ready:
      guard link.phase == .starting else { return }
      link.phase = .up
      note(.debug, link.lane, nil, "up")
      sendCongestion(to: link)
      dispatcher.stageUp(lane: link.lane, now)
    case .startFailed(let reason): note(.error, link.lane, nil, "could not start: \(reason)")
    case .piece(let draft, let chunk, let octets):
      // A piece passed over would leave a hole in the content.
      guard octets <= SpokeRegion.chunkOctets, Int(chunk) < link.end.region.chunkCount else { throw .corrupt }
      link.draftOctets[draft, default: 0] += UInt64(octets)
      push(
        .piece(
          DraftKey(link: link.number, draft: draft), link.end.region, chunk: chunk, octets: Int(octets),
          lane: link.lane))
    case .offer(let draft, let port, let envelope):
      let octets = link.draftOctets.removeValue(forKey: draft) ?? 0
      dispatcher.offered(
        DraftKey(link: link.number, draft: draft), lane: link.lane, port: Int(port), envelope, octets: octets, now)
    case .discard(let draft):
      link.draftOctets[draft] = nil
      push(.discard(DraftKey(link: link.number, draft: draft)))
    case .outcome(let outcome): dispatcher.outcome(outcome, lane: link.lane, link: link.number, now)
    case .log(let severity, let id, let text):
      note(Dispatcher.Severity(rawValue: severity) ?? .info, link.lane, id, text)
    case .metric(let name, let value, let isGauge):
      let key = "\(dispatcher.plan.lanes[link.lane].id).\(name)"
      guard metrics[key] != nil || metrics.count < Self.metricsMax else { return }
      metrics[key] = isGauge ? value : (metrics[key] ?? 0) &+ value
    case .diagnostic(let severity, let line, let column, let text):
      note(Dispatcher.Severity(rawValue: severity) ?? .error, link.lane, nil, "line \(line), column \(column): \(text)")
    case .health(let line): link.health = line
    case .stopped:
      link.phase = .stopped
      link.process.hasStopped()
    }
  }

  // MARK: To and from the committer

  private func push(_ entry: IntakeEntry) {
    if backlog.isEmpty, intake.put(entry) { return }
    backlog.append(entry)
  }

  private func pushBacklog() {
    while let entry = backlog.first, intake.put(entry) { backlog.removeFirst() }
    intake.wakeCommitter()
  }

  private func takeCompleted(_ now: Now) {
    var taken: [Int: [UInt32]] = [:]
    while let entry = intake.take() {
      switch entry {
      case .piece(let key, _, let chunk, _, let lane):
        if links[lane]?.number == key.link { taken[lane, default: []].append(chunk) }
      case .transaction(let transaction):
        recentWorkAt = now.monotonic
        dispatcher.completed(transaction, now)
        carryOut()
      case .discard, .closeLink, .record, .close: break
      }
    }
    for (lane, chunks) in taken { send(.piecesTaken(chunks), to: lane) }
    if let failure = intake.failure { phase = .failed("the spool failed: \(failure)") }
  }

  /// The last word to the committer.
  private func closeIntake() {
    backlog.append(.close)
    pushBacklog()
    while !backlog.isEmpty, intake.failure == nil {
      _ = intake.take()
      pushBacklog()
    }
  }

  // MARK: Effects

  private func carryOut() {
    for effect in dispatcher.takeEffects() {
      switch effect {
      case .send(let lane, let frame): send(frame, to: lane)
      case .commit(let transaction): push(.transaction(transaction))
      case .discard(let key):
        if let link = links.values.first(where: { $0.number == key.link }) { link.draftOctets[key.draft] = nil }
        push(.discard(key))
      case .kill(let lane, let reason):
        note(.error, lane, nil, "killed: \(reason)")
        links[lane]?.process.kill()
      case .log(let severity, let id, let text): log.write(severity, stage: nil, id, text)
      case .record(let event): push(.record(event))
      }
    }
  }

  private func send(_ frame: DownFrame, to lane: Int) {
    guard let link = links[lane] else { return }
    if case .job(let job) = frame {
      for extent in job.extents where !link.segments.contains(extent.segment) {
        guard let file = descriptor(extent.segment) else {
          // The content was copied forward a moment ago, and the word of it is on its way here.
          dispatcher.takeBack(job.job, now)
          return
        }
        do throws(SystemError) {
          try link.process.give(segment: extent.segment, descriptor: file)
          link.segments.insert(extent.segment)
        } catch {
          note(.error, lane, job.queueID, "could not hand over segment \(extent.segment): \(error)")
          link.process.kill()
          return
        }
      }
    }
    attend(link) { (link) throws(SpokeError) in try link.end.send(frame) }
  }

  // MARK: Stages that come and go

  private func start(_ lane: Int) {
    guard phase == .running, links[lane] == nil else { return }
    lastLink += 1
    let number = lastLink
    startCounts[lane, default: 0] += 1
    let plan = dispatcher.plan.lanes[lane]
    do {
      let region = try SpokeRegion(
        creatingWithChunks: plan.role.writesContent ? SpokeRegion.chunksForWriters : SpokeRegion.chunksForSinks,
        name: plan.id)
      let (process, stageBell) = try startStage(lane, region, loop) { [weak self] reason in
        self?.ended(lane, number, reason)
      }
      let end = try SpokeHostEnd(region, stageBell: stageBell)
      links[lane] = StageLink(number: number, lane: lane, end: end, process: process)
    } catch {
      note(.error, lane, nil, "could not be started: \(error)")
      startLater(lane)
    }
  }

  private func startLater(_ lane: Int) {
    let seconds = starts[lane, default: StartThrottle()].delaySeconds(.now())
    note(.warning, lane, nil, "starting again in \(seconds) s")
    _ = loop.timer(afterSeconds: seconds) { [weak self] in self?.start(lane) }
  }

  private func ended(_ lane: Int, _ number: UInt64, _ reason: String?) {
    guard let link = links[lane], link.number == number else { return }
    // What it said before it ended still counts.
    let now = now
    attend(link) { (link) throws(SpokeError) in
      while let frame = try link.end.receive() { try handle(frame, link, now) }
    }
    carryOut()
    links[lane] = nil
    push(.closeLink(number))
    dispatcher.stageDown(lane: lane, link: number, reason: reason ?? "the stage ended without being asked", now)
    carryOut()
    guard phase == .running else { return }
    note(.error, lane, nil, reason ?? "ended without being asked")
    startLater(lane)
  }

  // MARK: Once a second

  private func scheduleCheck() {
    _ = loop.timer(afterSeconds: Self.checkSeconds) { [weak self] in
      guard let self else { return }
      dispatcher.checkDeadlines(now)
      carryOut()
      forgetFreedSegments()
      updateCongestion()
      scheduleCheck()
    }
  }

  private func forgetFreedSegments() {
    for link in links.values {
      for segment in link.segments where descriptor(segment) == nil {
        // A process that is gone is told by its process descriptor, and has nothing mapped.
        try? link.process.forget(segment: segment)
        link.segments.remove(segment)
      }
    }
  }

  /// With less room than this for new mail, sources refuse it before DATA: the rest of a segment that an ordinary message
  /// does not fit into is no room.
  private static let roomOctetsMin: Int64 = 256 * 1024

  private func updateCongestion() {
    let level: UInt8 = spoolRoom.load(ordering: .relaxed) < Self.roomOctetsMin ? 2 : 0
    guard level != congestion else { return }
    congestion = level
    log.write(
      .warning, stage: nil, nil,
      level == 0 ? "the spool has room again" : "the spool is short of room: sources are told to wait")
    for link in links.values { sendCongestion(to: link) }
  }

  private func sendCongestion(to link: StageLink) {
    let level = congestion
    attend(link) { (link) throws(SpokeError) in try link.end.send(.congestion(level)) }
  }

  // MARK: Stopping

  /// Lets the stages finish what they have, for at most ``drainSeconds``, and ends ``run()``.
  func stop() {
    guard phase == .running else { return }
    log.write(.info, stage: nil, nil, "stopping")
    phase = .draining(until: MonotonicTime.now().advanced(bySeconds: Self.drainSeconds))
    for link in links.values {
      if link.phase != .stopped { link.phase = .stopping }
      dispatcher.stageClosing(lane: link.lane)
      attend(link) { (link) throws(SpokeError) in try link.end.send(.stop) }
    }
    _ = loop.timer(afterSeconds: Self.drainSeconds) {}
  }

  private func finishDraining(_ until: MonotonicTime, _ now: Now) {
    let areStopped = links.values.allSatisfy { $0.phase == .stopped }
    guard areStopped || until <= now.monotonic else { return }
    guard backlog.isEmpty && intake.isIdle || until.advanced(bySeconds: 0.5) <= now.monotonic else { return }
    for link in links.values where link.phase != .stopped { note(.warning, link.lane, nil, "did not stop in time") }
    for link in links.values { link.process.kill() }
    phase = .stopped
  }

  // MARK: Telling

  private func note(_ severity: Dispatcher.Severity, _ lane: Int, _ id: QueueID?, _ text: String) {
    log.write(severity, stage: dispatcher.plan.lanes[lane].id, id, text)
  }

  /// Runs `body` on the hub's thread. False when it is stopping. Thread: any.
  func post(_ body: @escaping (Hub, Now) -> Void) -> Bool {
    loop.post { [weak self] in
      guard let self else { return }
      body(self, now)
      carryOut()
    }
  }
}

extension LanePlan.Role {
  /// Built-ins run in the hub.
  var hasProcess: Bool {
    switch self {
    case .source, .filter, .sink, .deadLetter: true
    case .router, .reports: false
    }
  }

  var writesContent: Bool {
    switch self {
    case .source, .filter: true
    case .sink, .deadLetter, .router, .reports: false
    }
  }
}

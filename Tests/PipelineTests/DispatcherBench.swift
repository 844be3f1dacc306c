import MailModel
import PipelineConfig
import Spoke
import Spool

@testable import Pipeline

/// A dispatcher with everything around it played by the test: stages by their answers, the committer by a switch, the
/// clocks by numbers.
final class DispatcherBench {
  let dispatcher: Dispatcher
  var now = Now(wall: WallTime(millisecondsSinceEpoch: 1_700_000_000_000), monotonic: MonotonicTime(nanoseconds: 0))
  /// Jobs handed to each lane and not yet answered.
  var jobs: [Int: [JobFrame]] = [:]
  var verdicts: [(draft: UInt64, OfferVerdict)] = []
  var waiting: [Transaction] = []
  var durable: [Transaction] = []
  var history: [HistoryEvent] = []
  var cancelled: [UInt64] = []
  var killed: [Int] = []
  var discarded: [UInt64] = []
  /// Nil: transactions wait in `waiting`.
  var commits: ((Transaction) -> SpoolError?)? = { _ in nil }
  private var lastDraft: UInt64 = 0

  static let source = 0, filter = 1, router = 2, sink = 3, reports = 4, dead = 5, other = 6

  init(
    retry: RetrySchedule = RetrySchedule(delaysSeconds: [60, 120], expireSeconds: 600, jitterFraction: 0),
    hasDeadLetter: Bool = true, jobsMax: Int = 512, jobsPerDestinationMax: Int = 128, seed: UInt64 = 1
  ) {
    let plan = PipelinePlan(
      node: "gw.example",
      lanes: [
        LanePlan(id: "in", role: .source, ports: [Self.filter]),
        LanePlan(id: "check", role: .filter, ports: [Self.router, Self.reports], retry: retry),
        LanePlan(id: "route", role: .router, ports: [Self.sink, Self.other]),
        LanePlan(
          id: "out", role: .sink, retry: retry, jobsMax: jobsMax, jobsPerDestinationMax: jobsPerDestinationMax,
          jobSecondsMax: 100),
        LanePlan(id: "reports", role: .reports, ports: [Self.router]),
        LanePlan(id: "dead", role: hasDeadLetter ? .deadLetter : .sink, retry: retry),
        LanePlan(id: "other", role: .sink, retry: retry),
      ])
    dispatcher = Dispatcher(
      plan: plan, lastQueueID: QueueID(rawValue: 0), random: SeededRandom(seed: seed),
      route: { _, message, recipient in
        let text = message.envelope.recipients[recipient].address.text
        if text.hasPrefix("nobody@") { return .reject(DeliveryStatus(.badDestinationMailbox, "no such mailbox")) }
        return .lane(text.hasSuffix("@other.example") ? Self.other : Self.sink)
      },
      makeReport: { message, entries, _, _ in
        guard let path = message.stored.envelope.reversePath else { return nil }
        return (Envelope(reversePath: nil, recipients: [Recipient(path)]), Array("\(entries.count)".utf8))
      })
    for lane in [Self.source, Self.filter, Self.sink, Self.dead, Self.other] { dispatcher.stageUp(lane: lane, now) }
  }

  func pass(seconds: Double) {
    now.monotonic = now.monotonic.advanced(bySeconds: seconds)
    now.wall = WallTime(millisecondsSinceEpoch: now.wall.millisecondsSinceEpoch + Int64(seconds * 1000))
    dispatcher.tick(now)
    settle()
  }

  /// Carries effects out until there are none.
  func settle() {
    while true {
      let effects = dispatcher.takeEffects()
      guard !effects.isEmpty else { return }
      for effect in effects {
        switch effect {
        case .send(let lane, .job(let job)): jobs[lane, default: []].append(job)
        case .send(_, .verdict(let draft, let verdict)): verdicts.append((draft, verdict))
        case .send(_, .cancel(let job)): cancelled.append(job)
        case .send: break
        case .commit(let transaction): waiting.append(transaction)
        case .discard(let key): discarded.append(key.draft)
        case .kill(let lane, _): killed.append(lane)
        case .log: break
        case .record(let event): history.append(event)
        }
      }
      if commits != nil { commitAll() }
    }
  }

  func commitAll() {
    let batch = waiting
    waiting = []
    for transaction in batch {
      transaction.failure = commits?(transaction)
      if transaction.failure == nil {
        transaction.extents = transaction.accepts.map { _ in [] }
        durable.append(transaction)
      }
      dispatcher.completed(transaction, now)
    }
  }

  @discardableResult
  func offer(from sender: String? = "a@example.org", to recipients: [String], notify: Notify? = nil) -> UInt64 {
    lastDraft += 1
    dispatcher.offered(
      DraftKey(link: 1, draft: lastDraft), lane: Self.source, port: 0,
      Envelope(
        reversePath: sender.map { .smtp($0) }, recipients: recipients.map { Recipient(.smtp($0), notify: notify) }),
      octets: 10, now)
    settle()
    return lastDraft
  }

  /// Answers the oldest job of a lane for all of its recipients.
  @discardableResult
  func answer(_ lane: Int, _ answer: Answer) -> JobFrame? {
    guard let job = take(lane) else { return nil }
    finish(lane, job, [.init(count: UInt32(job.envelope.recipients.count), answer: .answered(answer))])
    return job
  }

  func take(_ lane: Int) -> JobFrame? {
    guard let job = jobs[lane]?.first else { return nil }
    jobs[lane]?.removeFirst()
    return job
  }

  func finish(_ lane: Int, _ job: JobFrame, _ runs: [OutcomeFrame.Run], emissions: [OutcomeFrame.Emission] = []) {
    dispatcher.outcome(OutcomeFrame(job: job.job, emissions: emissions, runs: runs), lane: lane, link: 1, now)
    settle()
  }

  func crash(_ lane: Int, reason: String = "killed by signal 11") {
    jobs[lane] = []
    dispatcher.stageDown(lane: lane, link: 1, reason: reason, now)
    settle()
    dispatcher.stageUp(lane: lane, now)
    settle()
  }

  /// Entered = ended + live, by the walk.
  var isBalanced: Bool { dispatcher.ledger.entered == dispatcher.ledger.ended + dispatcher.countLive().total }
}

/// splitmix64, for runs that repeat.
struct SeededRandom: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
    return value ^ (value >> 31)
  }
}

extension DeliveryStatus {
  static let fine = DeliveryStatus(.success, "delivered")
  static let busy = DeliveryStatus(.badConnection, "connection lost")
  static let gone = DeliveryStatus(.badDestinationMailbox, "no such mailbox")
}

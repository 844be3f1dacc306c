internal import CInterchange
internal import MailModel
internal import Platform
internal import Spoke
internal import Synchronization

/// What a stage instance has open: jobs, drafts, offers whose verdict is awaited, and metrics not yet sent. Thread: any.
final class RunnerLedger: Sendable {
  private struct Open: @unchecked Sendable {
    // SAFETY: handles are numbers.
    var jobs: [UInt64: OpaquePointer] = [:]
    var drafts: [UInt64: (draft: RunnerDraft, handle: OpaquePointer)] = [:]
    var verdicts: [UInt64: PendingVerdict] = [:]
    var lastDraft: UInt64 = 0
    var isOver = false
  }

  private struct Metrics: Sendable {
    var values: [String: (value: Int64, isGauge: Bool)] = [:]
    var changed: Set<String> = []
    var isArmed = false
  }

  private let open = Mutex(Open())
  private let metrics = Mutex(Metrics())
  private let breaches = Atomic<UInt64>(0)

  // MARK: Jobs

  func open(_ job: UInt64, _ handle: OpaquePointer) {
    let handle = Handle(handle)
    open.withLock { $0.jobs[job] = handle.pointer }
  }

  func handle(ofJob job: UInt64) -> OpaquePointer? { open.withLock { $0.jobs[job].map(Handle.init) }?.pointer }

  func close(job: UInt64) { open.withLock { _ = $0.jobs.removeValue(forKey: job) } }

  // MARK: Drafts

  /// A number and a place for a new draft; nil when there are too many, or the instance is over.
  func openDraft(_ make: (UInt64) -> (RunnerDraft, Handle)) -> Handle? {
    let number = open.withLock { open -> UInt64? in
      guard !open.isOver, open.drafts.count < RunnerLimits.draftsMax, open.verdicts.count < RunnerLimits.verdictsMax
      else { return nil }
      open.lastDraft += 1
      return open.lastDraft
    }
    guard let number else { return nil }
    let (draft, handle) = make(number)
    open.withLock { $0.drafts[number] = (draft, handle.pointer) }
    return handle
  }

  func close(draft: UInt64) { open.withLock { _ = $0.drafts.removeValue(forKey: draft) } }

  var drafts: [RunnerDraft] { open.withLock { open in open.drafts.values.map(\.draft) } }

  // MARK: Verdicts

  func await(_ verdict: PendingVerdict, of draft: UInt64) { open.withLock { $0.verdicts[draft] = verdict } }
  func takeVerdict(of draft: UInt64) -> PendingVerdict? { open.withLock { $0.verdicts.removeValue(forKey: draft) } }

  func takeAllVerdicts() -> [PendingVerdict] {
    open.withLock { open in
      defer { open.verdicts = [:] }
      return open.verdicts.sorted { $0.key < $1.key }.map(\.value)
    }
  }

  // MARK: The end

  /// Nothing is open that a stopping instance would have to finish.
  var isIdle: Bool { open.withLock { $0.jobs.isEmpty && $0.drafts.isEmpty && $0.verdicts.isEmpty } }

  /// Takes every handle back: the jobs are the host's again.
  func abandonAll() {
    let (jobs, drafts) = open.withLock { open in
      open.isOver = true
      defer { (open.jobs, open.drafts) = ([:], [:]) }
      return (open.jobs.values.map(Handle.init), open.drafts.values.map { Handle($0.handle) })
    }
    for job in jobs { JobInHand.table.remove(job.pointer) }
    for draft in drafts { DraftInHand.table.remove(draft.pointer)?.draft.discard() }
  }

  // MARK: Metrics

  /// False when there are too many names.
  func count(_ name: String, _ value: Int64, isGauge: Bool) -> Bool {
    metrics.withLock { metrics in
      guard let known = metrics.values[name] else {
        guard metrics.values.count < RunnerLimits.metricsMax else { return false }
        metrics.values[name] = (value, isGauge)
        metrics.changed.insert(name)
        return true
      }
      let sum = known.value.addingReportingOverflow(value)
      metrics.values[name] = (isGauge ? value : sum.overflow ? known.value : sum.partialValue, isGauge)
      metrics.changed.insert(name)
      return true
    }
  }

  /// Sends what has changed: counters as the step since the last time.
  func flushMetrics(to link: StageLink) {
    let changed = metrics.withLock { metrics in
      defer { metrics.changed = [] }
      return metrics.changed.sorted().compactMap { name -> (String, Int64, Bool)? in
        guard let metric = metrics.values[name] else { return nil }
        if !metric.isGauge { metrics.values[name] = (0, false) }
        return (name, metric.value, metric.isGauge)
      }
    }
    for (name, value, isGauge) in changed { link.send(.metric(name: name, value: value, isGauge: isGauge)) }
  }

  /// Sees to it that what has changed is sent after a while. Stage thread.
  func armMetrics(on loop: EventLoop, to link: StageLink) {
    let arms = metrics.withLock { metrics in
      guard !metrics.isArmed, !metrics.changed.isEmpty else { return false }
      metrics.isArmed = true
      return true
    }
    guard arms else { return }
    _ = loop.timer(afterSeconds: RunnerLimits.metricsIntervalSeconds) { [self] in
      metrics.withLock { $0.isArmed = false }
      flushMetrics(to: link)
    }
  }

  /// Counts a broken rule; whether it is one to be logged.
  func countsAsLogged() -> Bool {
    let count = breaches.wrappingAdd(1, ordering: .relaxed).newValue
    return count <= UInt64(RunnerLimits.breachesLogged) || count & (count - 1) == 0
  }
}

/// A number that a stage holds, fit to cross threads.
struct Handle: @unchecked Sendable {
  // SAFETY: never an address (``HandleTable``).
  let pointer: OpaquePointer
  init(_ pointer: OpaquePointer) { self.pointer = pointer }
}

/// Whom to tell what became of an offer.
struct PendingVerdict: @unchecked Sendable {
  // SAFETY: called on the stage thread, with the stage's own pointer.
  let verdict: @convention(c) (UnsafeMutableRawPointer?, UnsafePointer<ix_verdict>?) -> Void
  let user: UnsafeMutableRawPointer?

  func call(_ given: OfferVerdict) {
    switch given {
    case .accepted(let id): call(IX_OK, nil, queueID: id.description, text: "")
    case .refused(let status):
      let word: ix_status
      switch status.code.class {
      case .permanent: word = status.code == .messageTooBig ? IX_TOO_BIG : IX_INVALID
      case .persistentTransient, .success: word = IX_AGAIN
      }
      call(word, status.code, queueID: nil, text: status.text)
    }
  }

  /// The host is stopping: 4.3.2, the system does not accept network messages (RFC 3463 §3.4).
  func callClosed() {
    call(IX_CLOSED, EnhancedStatusCode(.persistentTransient, 3, 2), queueID: nil, text: "the system is stopping")
  }

  private func call(_ status: ix_status, _ code: EnhancedStatusCode?, queueID: String?, text: String) {
    let memory = LentMemory(octets: (queueID?.utf8.count ?? 0) + text.utf8.count)
    var raw = ix_verdict()
    raw.size = MemoryLayout<ix_verdict>.size
    raw.status = status
    raw.status_class = UInt32(code?.class.rawValue ?? 0)
    raw.status_subject = UInt32(code?.subject ?? 0)
    raw.status_detail = UInt32(code?.detail ?? 0)
    raw.queue_id = memory.lend(queueID)
    raw.text = memory.lend(text)
    withExtendedLifetime(memory) { verdict(user, &raw) }
  }
}

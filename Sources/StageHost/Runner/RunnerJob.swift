internal import CInterchange
internal import MailModel
internal import Spoke
internal import Synchronization

// A job in a stage's hands, behind an `ix_job`.
//
//     open ──answer, answerRest, emit──► open ──finish──► finished
//          └──────────── the instance is destroyed ─────► finished, without an outcome
//
// 1. A recipient's answer is set once. What has no answer at the end is sent as `unanswered`.
// 2. Nothing is sent before finish; then everything in one frame.
// 3. What the job shows does not change and stays where it is until finish has returned.
//
// Threads: any; the lock is held for the time of a few words and never while the stage is called.
final class RunnerJob: Sendable {
  let frame: JobFrame
  let content: ContentMap?
  private let portCount: Int
  private let lentEnvelope = Mutex<LentEnvelope?>(nil)
  private let state: Mutex<State>

  fileprivate struct State {
    /// For each recipient, 0 for none or 1 + an index into `answers`.
    var chosen: [UInt32]
    var unansweredCount: Int
    /// Distinct as far as neighbours go; a message to thousands has few.
    var answers: [StageAnswer] = []
    var emissions: [OutcomeFrame.Emission] = []
    /// Segments that the stage may be looking at, in the order in which they were mapped.
    var mappings: [(segment: UInt32, mapping: SegmentMap.Mapping)] = []
    var isFinished = false
  }

  init(_ frame: JobFrame, portCount: Int) {
    self.frame = frame
    self.portCount = portCount
    content = ContentMap(frame.extents, octets: frame.contentOctets)
    let count = frame.envelope.recipients.count
    state = Mutex(State(chosen: Array(repeating: 0, count: count), unansweredCount: count))
  }

  /// Made when first asked for: a stage that forwards by count alone never looks.
  var lent: LentEnvelope {
    lentEnvelope.withLock { lent in
      if let lent { return lent }
      let made = LentEnvelope(frame.envelope, queueID: frame.queueID)
      lent = made
      return made
    }
  }

  /// The longest run of content in one piece from `offset` on, up to a bound; empty at the end.
  func content(from offset: UInt64, in segments: SegmentMap) throws(CallRefusal) -> UnsafeRawBufferPointer {
    guard let content else { throw .invalid("the host sent extents that do not fit the content") }
    guard let run = content.run(at: offset) else { return UnsafeRawBufferPointer(start: nil, count: 0) }
    let end = run.offset + min(run.count, RunnerLimits.pieceOctets)
    let held = state.withLock { state in
      state.mappings.last { $0.segment == run.segment && UInt64($0.mapping.octets.count) >= end }?.mapping
    }
    let mapping: SegmentMap.Mapping
    if let held {
      mapping = held
    } else {
      guard let found = segments.mapping(of: run.segment, octets: end) else {
        throw .invalid("segment \(run.segment) of the spool cannot be read up to octet \(end)")
      }
      mapping = found
      state.withLock { $0.mappings.append((run.segment, found)) }
    }
    if content.octets > RunnerLimits.contentOctetsKept { mapping.leave(before: Int(run.offset)) }
    return UnsafeRawBufferPointer(rebasing: mapping.octets[Int(run.offset)..<Int(end)])
  }

  func answer(_ recipient: Int, _ raw: ix_answer) throws(CallRefusal) {
    try state.withLock { state throws(CallRefusal) in
      guard !state.isFinished else { throw .invalid("an answer for a finished job") }
      guard state.chosen.indices.contains(recipient) else { throw .invalid("an answer for recipient \(recipient)") }
      guard state.chosen[recipient] == 0 else { throw .invalid("a second answer for recipient \(recipient)") }
      let answer = try raw.answer(portCount: portCount, emissionCount: state.emissions.count)
      state.chosen[recipient] = state.number(of: answer)
      state.unansweredCount -= 1
    }
  }

  func answerRest(_ raw: ix_answer) throws(CallRefusal) {
    try state.withLock { state throws(CallRefusal) in
      guard !state.isFinished else { throw .invalid("answers for a finished job") }
      let answer = try raw.answer(portCount: portCount, emissionCount: state.emissions.count)
      guard state.unansweredCount > 0 else { return }
      let number = state.number(of: answer)
      for index in state.chosen.indices where state.chosen[index] == 0 { state.chosen[index] = number }
      state.unansweredCount = 0
    }
  }

  /// Adds a new message; its number.
  func emit(_ emission: OutcomeFrame.Emission) throws(CallRefusal) -> UInt32 {
    try state.withLock { state throws(CallRefusal) in
      guard !state.isFinished else { throw .invalid("a message emitted by a finished job") }
      guard state.emissions.count < RunnerLimits.emissionsMax else { throw .tooBig }
      state.emissions.append(emission)
      return UInt32(state.emissions.count - 1)
    }
  }

  /// The outcome, once; nil the second time.
  func finish() -> OutcomeFrame? {
    state.withLock { state -> OutcomeFrame? in
      guard !state.isFinished else { return nil }
      state.isFinished = true
      return OutcomeFrame(job: frame.job, emissions: state.emissions, runs: state.runs)
    }
  }
}

extension RunnerJob.State {
  /// Where the answer is kept; a repeated one is kept once.
  fileprivate mutating func number(of answer: StageAnswer) -> UInt32 {
    if answers.last != answer { answers.append(answer) }
    return UInt32(answers.count)
  }

  fileprivate var runs: [OutcomeFrame.Run] {
    var runs: [OutcomeFrame.Run] = []
    var start = 0
    while start < chosen.count {
      var end = start + 1
      while end < chosen.count && chosen[end] == chosen[start] { end += 1 }
      let answer = chosen[start] == 0 ? StageAnswer.unanswered : answers[Int(chosen[start]) - 1]
      runs.append(OutcomeFrame.Run(count: UInt32(end - start), answer: answer))
      start = end
    }
    return runs
  }
}

extension ix_answer {
  /// The answer as a value. A status class that contradicts the kind, a port or a draft that is not there, and text that
  /// is not UTF-8 are refused (interchange.h, ix_answer).
  func answer(portCount: Int, emissionCount: Int) throws(CallRefusal) -> StageAnswer {
    switch kind {
    case IX_FORWARD.rawValue:
      guard port < portCount else { throw .invalid("a forward to port \(port) of \(portCount)") }
      return .answered(.forward(port: Int(port), because: status_class == 0 ? nil : try status(default: .success)))
    case IX_DELIVERED.rawValue: return try settled(.delivered)
    case IX_RELAYED.rawValue: return try settled(.relayed)
    case IX_EXPANDED.rawValue: return try settled(.expanded)
    case IX_TRANSFERRED.rawValue: return try settled(.transferred)
    case IX_DEFERRED.rawValue:
      guard retry_after.isFinite, retry_after >= 0 else { throw .invalid("a retry after \(retry_after) seconds") }
      let status = try status(.persistentTransient, default: EnhancedStatusCode(.persistentTransient, 0, 0))
      return .answered(.deferred(status, retryAfterSeconds: retry_after > 0 ? retry_after : nil))
    case IX_REFUSED.rawValue:
      return .answered(.failed(try status(.permanent, default: EnhancedStatusCode(.permanent, 0, 0))))
    case IX_HELD.rawValue:
      return .answered(.held(reason: try Handed.statusText(text, octetsMax: Limits.statusTextOctetsMax) ?? ""))
    case IX_DEAD.rawValue:
      let status = try status(default: EnhancedStatusCode(.permanent, 0, 0))
      guard status.code.class != .success else { throw .invalid("a dead recipient with status \(status.code)") }
      return .answered(.dead(status))
    case IX_MOVED.rawValue:
      guard draft < emissionCount else { throw .invalid("a recipient moved to draft \(draft) of \(emissionCount)") }
      return .moved(emission: draft)
    default: throw .invalid("an answer of kind \(kind)")  // an open C enumeration
    }
  }

  private func settled(_ settlement: Settlement) throws(CallRefusal) -> StageAnswer {
    .answered(.settled(settlement, try status(.success, default: .success)))
  }

  private func status(
    _ required: EnhancedStatusCode.Class? = nil, default fallback: EnhancedStatusCode
  ) throws(CallRefusal) -> DeliveryStatus {
    var code = fallback
    if status_class != 0 {
      guard let value = UInt8(exactly: status_class),
        let said = EnhancedStatusCode(class: value, subject: Int(status_subject), detail: Int(status_detail))
      else { throw .invalid("status \(status_class).\(status_subject).\(status_detail)") }
      code = said
    }
    guard required == nil || code.class == required else {
      throw .invalid("status \(code) in an answer of kind \(kind)")
    }
    let line = try Handed.statusText(text, octetsMax: Limits.statusTextOctetsMax) ?? ""
    var remote: RemoteReply?
    if let host = try Handed.statusText(remote_host, octetsMax: 255) {
      remote = RemoteReply(
        host: host, type: try Handed.statusText(remote_type, octetsMax: 64) ?? "",
        text: try Handed.statusText(remote_text, octetsMax: Limits.statusTextOctetsMax) ?? "")
    } else if let words = try Handed.statusText(remote_text, octetsMax: Limits.statusTextOctetsMax) {
      remote = RemoteReply(
        host: "", type: try Handed.statusText(remote_type, octetsMax: 64) ?? "", text: words)
    }
    return DeliveryStatus(code, line, remote: remote)
  }
}

import CInterchange
import MailModel
import PipelineConfig
import Platform
import Spoke
import Synchronization
import Testing

@testable import StageHost
@testable import StageKit

@Suite struct RunnerDraftTests {
  private let envelope = Envelope(
    reversePath: nil, recipients: [Recipient(.smtp("r@example.com"), attributes: [Attribute("k", "v")])],
    attributes: [Attribute("client.address", "192.0.2.1")])

  @Test func `an offered message comes with its content, and the verdict goes back`() throws {
    let fixture = try RunnerFixture(.source)
    let envelope = envelope
    var verdicts: [Verdict] = []
    fixture.script.start = { context throws(StageFailure) in
      for index in 0..<3 {
        guard let draft = context.makeDraft() else { throw .failed("no draft") }
        guard draft.setEnvelope(envelope) == .taken, draft.write([UInt8(index)]) == .taken,
          draft.write(Array(repeating: UInt8(index), count: 40_000)) == .taken, draft.offer({ verdicts.append($0) })
        else { throw .failed("refused") }
      }
    }
    try fixture.start()
    var offers: [UInt64] = []
    while offers.count < 3 {
      switch try fixture.next() {
      case .offer(let draft, 0, let came):
        #expect(came == envelope)
        #expect(fixture.contents[draft] == Array(repeating: UInt8(offers.count), count: 40_001))
        offers.append(draft)
      case .ready: break
      case let other: Issue.record("\(other)")
      }
    }
    let answers: [OfferVerdict] = [
      .accepted(QueueID(rawValue: 77)), .refused(DeliveryStatus(.systemFull, "full")),
      .refused(DeliveryStatus(.messageTooBig, "too big")),
    ]
    for (draft, answer) in zip(offers, answers).reversed() { try fixture.send(.verdict(draft: draft, answer)) }
    try fixture.send(.verdict(draft: 999, .accepted(QueueID(rawValue: 1))))
    try fixture.stop()
    #expect(
      verdicts == [
        .refused(.messageTooBig, text: "too big"), .refused(.systemFull, text: "full"),
        .accepted(queueID: QueueID(rawValue: 77).description),
      ])
  }

  @Test func `a write that finds no room takes nothing, and room is told when it comes`() throws {
    // Two chunks; the host gives none back at first.
    let fixture = try RunnerFixture(.source, chunks: 2)
    fixture.takesPieces = false
    let envelope = envelope
    let block = [UInt8](repeating: 9, count: SpokeRegion.chunkOctets)
    var outcomes: [Draft.Outcome] = []
    var kept: Draft?
    fixture.script.start = { context throws(StageFailure) in
      guard let draft = context.makeDraft() else { throw .failed("no draft") }
      kept = draft
      outcomes = [draft.setEnvelope(envelope), draft.write(block), draft.write(block), draft.write([1])]
      draft.onRoom {
        outcomes.append(draft.write([1]))
        outcomes.append(draft.offer { _ in } ? .taken : .refused)
        kept = nil
      }
    }
    try fixture.start()
    try fixture.ready()
    try fixture.nextPieces(atLeast: 2)
    #expect(fixture.held.count == 2)
    fixture.takesPieces = true
    guard case .offer(let draft, 0, _) = try fixture.next() else {
      Issue.record("no offer")
      return
    }
    #expect(fixture.contents[draft] == block + block + [1])
    try fixture.send(.verdict(draft: draft, .accepted(QueueID(rawValue: 1))))
    try fixture.stop()
    #expect(outcomes == [.taken, .taken, .taken, .noRoom, .taken, .taken])
    withExtendedLifetime(kept) {}
  }

  @Test func `slow drafts do not keep the arena for themselves`() throws {
    // Every chunk is held by a draft with one octet in it.
    let fixture = try RunnerFixture(.source, chunks: 4)
    let envelope = envelope
    var slow: [Draft] = []
    var quick: Draft?
    var outcomes: [Draft.Outcome] = []
    fixture.script.start = { context throws(StageFailure) in
      for index in 0..<4 {
        guard let draft = context.makeDraft() else { throw .failed("no draft") }
        outcomes.append(draft.write([UInt8(index)]))
        slow.append(draft)
      }
      guard let draft = context.makeDraft() else { throw .failed("no draft") }
      quick = draft
      outcomes += [draft.setEnvelope(envelope), draft.write(Array(repeating: 5, count: 20_000))]
      draft.onRoom {
        outcomes.append(draft.write(Array(repeating: 5, count: 20_000)))
        _ = draft.offer { _ in }
        quick = nil
      }
    }
    fixture.script.stop = { slow = [] }
    try fixture.start()
    try fixture.ready()
    guard case .offer(let draft, 0, _) = try fixture.next() else {
      Issue.record("no offer")
      return
    }
    #expect(fixture.contents[draft] == Array(repeating: 5, count: 20_000))
    try fixture.send(.verdict(draft: draft, .accepted(QueueID(rawValue: 1))))
    try fixture.stop()
    #expect(outcomes == [.taken, .taken, .taken, .taken, .taken, .noRoom, .taken])
    withExtendedLifetime(quick) {}
  }

  @Test func `drafts that wait for room get it in the order in which they asked`() throws {
    let fixture = try RunnerFixture(.source, chunks: 2)
    fixture.takesPieces = false
    let block = [UInt8](repeating: 1, count: SpokeRegion.chunkOctets)
    var drafts: [Draft] = []
    var served: [Int] = []
    var newcomer: Draft?
    fixture.script.start = { context throws(StageFailure) in
      guard let first = context.makeDraft() else { throw .failed("no draft") }
      guard first.write(block) == .taken, first.write(block) == .taken else { throw .failed("no room") }
      for index in 0..<20 {
        guard let draft = context.makeDraft() else { throw .failed("no draft") }
        drafts.append(draft)
        guard draft.write(block) == .noRoom else { throw .failed("room") }
        draft.onRoom {
          served.append(index)
          #expect(draft.write(block) == .taken)
          guard index == 0 else { return }
          // A chunk is left, and it is not the newcomer's.
          newcomer = context.makeDraft()
          #expect(newcomer?.write(block) == .noRoom)
        }
      }
      drafts.append(first)
    }
    fixture.script.stop = {
      drafts = []
      newcomer = nil
    }
    try fixture.start()
    try fixture.ready()
    try fixture.nextPieces(atLeast: 2)
    fixture.takesPieces = true
    while fixture.contents.count < 21 {
      fixture.host.awake()
      try fixture.receive()
      if fixture.contents.count < 21, try fixture.host.prepareToSleep() { try fixture.loop.runOnce(timeoutSeconds: 60) }
      try #require(MonotonicTime.now() < fixture.deadline, "the stage does nothing")
    }
    try fixture.stop()
    #expect(served == Array(0..<20))
  }

  @Test func `a filter waits for room on its stage thread, and loses no frame meanwhile`() throws {
    let fixture = try RunnerFixture(.filter, chunks: 2)
    fixture.takesPieces = false
    let octets = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 / 100) }
    fixture.script.submit = { context, job in
      defer { job.finish() }
      guard job.attempt == 1, job.queueID == QueueID(rawValue: 1).description, let draft = context.makeDraft() else {
        return job.answerRest(.forward(port: 0))
      }
      _ = draft.setEnvelope(job.envelope)
      guard draft.writeWaiting(octets) == .taken, let emission = job.emit(draft, port: 0) else { return }
      job.moved(0, to: emission)
    }
    try fixture.start()
    try fixture.ready()
    try fixture.job(1)
    try fixture.nextPieces(atLeast: 2)
    try fixture.job(2)
    try fixture.send(.askHealth)
    fixture.takesPieces = true
    let first = try fixture.outcome()
    #expect(first.job == 1 && first.answers == [.moved(emission: 0)])
    #expect(fixture.contents[try #require(first.emissions[0].draft)] == octets)
    #expect(try fixture.outcome().job == 2)
    #expect(try fixture.next() == .health(nil))
    try fixture.stop()
  }

  @Test func `a source's own thread waits for room, its stage thread must not`() throws {
    let fixture = try RunnerFixture(.source, chunks: 2)
    let envelope = envelope
    let octets = (0..<500_000).map { UInt8(truncatingIfNeeded: $0 / 99) }
    var onStage: Draft.Outcome?
    fixture.script.start = { context throws(StageFailure) in
      guard let draft = context.makeDraft() else { throw .failed("no draft") }
      onStage = draft.writeWaiting([1])
      _ = try? Platform.Thread.start(name: "writer") {
        guard draft.setEnvelope(envelope) == .taken, draft.writeWaiting(octets) == .taken else { return }
        _ = draft.offer { _ in }
      }
    }
    try fixture.start()
    while true {
      guard case .offer(let draft, _, _) = try fixture.next() else { continue }
      #expect(fixture.contents[draft] == octets)
      try fixture.send(.verdict(draft: draft, .accepted(QueueID(rawValue: 1))))
      break
    }
    try fixture.stop()
    #expect(onStage == .refused)
  }

  @Test func `content and recipients beyond the limit are too big, for good`() throws {
    let fixture = try RunnerFixture(.source)
    fixture.setup.contentOctetsMax = 1000
    fixture.setup.recipientsMax = 2
    var outcomes: [Draft.Outcome] = []
    fixture.script.start = { context throws(StageFailure) in
      guard let draft = context.makeDraft() else { throw .failed("no draft") }
      outcomes = [
        draft.write(Array(repeating: 0, count: 1001)), draft.write(Array(repeating: 0, count: 1000)), draft.write([1]),
        draft.setEnvelope(Envelope(reversePath: nil, recipients: (0..<3).map { Recipient(.smtp("r\($0)@x")) })),
        draft.setEnvelope(
          Envelope(reversePath: nil, recipients: [], attributes: (0...100).map { Attribute("a\($0)", "") })),
      ]
      #expect(context.contentOctetsMax == 1000 && context.recipientsMax == 2)
    }
    try fixture.start()
    // What was written of it is given up by the drop of the draft.
    try fixture.ready()
    try fixture.stop()
    #expect(outcomes == [.tooBig, .taken, .tooBig, .tooBig, .tooBig])
  }

  @Test func `drafts are bounded in number, and a discarded one makes room`() throws {
    let fixture = try RunnerFixture(.source)
    var drafts: [Draft] = []
    var isRefused = false
    fixture.script.start = { context throws(StageFailure) in
      for _ in 0..<RunnerLimits.draftsMax { if let draft = context.makeDraft() { drafts.append(draft) } }
      isRefused = context.makeDraft() == nil
      drafts.removeLast()
      isRefused = isRefused && context.makeDraft() != nil
      drafts = []
    }
    try fixture.start()
    try fixture.ready()
    try fixture.stop()
    #expect(isRefused)
  }

  @Test func `a draft that is abandoned half-way is discarded at the host`() throws {
    let fixture = try RunnerFixture(.source)
    fixture.script.start = { context throws(StageFailure) in
      guard let draft = context.makeDraft() else { throw .failed("no draft") }
      _ = draft.write(Array(repeating: 0, count: SpokeRegion.chunkOctets + 1))
      draft.discard()
    }
    try fixture.start()
    #expect(try fixture.next() == .discard(draft: 1))
    try fixture.stop()
  }

  @Test func `wrong drafts are refused, and a draft that is given away is gone`() throws {
    let fixture = try RunnerFixture(.source)
    var statuses: [ix_status] = []
    fixture.script.start = { context throws(StageFailure) in
      let drafts = context.drafts.pointee
      func recipient(_ draft: OpaquePointer?, _ change: (inout ix_recipient) -> Void = { _ in }) -> ix_status {
        var raw = ix_recipient()
        raw.size = MemoryLayout<ix_recipient>.size
        raw.address_kind = IX_ADDRESS_SMTP.rawValue
        raw.notify = IX_NOTIFY_UNSAID.rawValue
        change(&raw)
        return "r@example.com".lend { text in
          if raw.address.count == 0 { raw.address = text }
          return drafts.add_recipient(draft, &raw)
        }
      }
      let draft = drafts.create(context.host)
      let verdict: @convention(c) (UnsafeMutableRawPointer?, UnsafePointer<ix_verdict>?) -> Void = { _, _ in }
      let bad: [CChar] = [-64]
      bad.withUnsafeBufferPointer { octets in
        statuses = [
          recipient(draft) { $0.address_kind = 0 }, recipient(draft) { $0.address_kind = 4 },
          recipient(draft) { $0.notify = 8 }, recipient(draft) { $0.original_type = ix_text(octets: "x", count: 1) },
          recipient(draft) { $0.address = ix_text(octets: octets.baseAddress, count: 1) },
        ]
      }
      // No recipients; no such port; an instance's draft twice.
      statuses.append(context.ingest.pointee.offer(draft, 0, verdict, nil))
      statuses.append(recipient(draft))
      let second = drafts.create(context.host)
      _ = recipient(second)
      statuses.append(context.ingest.pointee.offer(second, 1, verdict, nil))
      statuses.append(drafts.write(second, ix_span(octets: nil, count: 0)))
      statuses.append(drafts.write(OpaquePointer(bitPattern: 0x42), ix_span(octets: nil, count: 0)))
    }
    try fixture.start()
    while try fixture.next() != .ready {}
    try fixture.stop()
    #expect(statuses == Array(repeating: IX_INVALID, count: 10))
  }

  @Test func `what the host has not judged by the end is still the peer's`() throws {
    let fixture = try RunnerFixture(.source)
    fixture.setup.stopSeconds = 0
    let envelope = envelope
    var verdict: Verdict?
    fixture.script.start = { context throws(StageFailure) in
      guard let draft = context.makeDraft() else { throw .failed("no draft") }
      _ = draft.setEnvelope(envelope)
      _ = draft.offer { verdict = $0 }
    }
    try fixture.start()
    try fixture.stop()
    #expect(verdict == .refused(EnhancedStatusCode(.persistentTransient, 3, 2), text: "the system is stopping"))
  }
}

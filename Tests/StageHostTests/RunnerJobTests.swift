import CInterchange
import MailModel
import PipelineConfig
import Platform
import Spoke
import Synchronization
import Testing

@testable import StageHost
@testable import StageKit

@Suite struct RunnerJobTests {
  @Test func `a job is shown, answered and given back`() throws {
    let fixture = try RunnerFixture(.filter)
    let envelope = Envelope(
      reversePath: .smtp("sender@example.com"),
      recipients: [
        Recipient(.smtp("one@example.com"), notify: [.failure], attributes: [Attribute("a", "1")]),
        Recipient(
          Address(.x400, "/C=DE/"), notify: .never, originalRecipient: OriginalRecipient(type: "x400", text: "/C=FR/")),
        Recipient(.smtp("three@example.com")),
      ], envelopeID: "id\u{7}", returnContent: .headers, bodyType: .eightBitMIME, smtputf8: true,
      attributes: [Attribute("client.address", "192.0.2.1"), Attribute("empty", "")])
    var seen: Envelope?
    var facts: [String] = []
    fixture.script.submit = { _, job in
      seen = job.envelope
      facts = [job.queueID, "\(job.attempt)", "\(job.acceptedAt.millisecondsSinceEpoch)"]
      job.answer(0, .forward(port: 1))
      job.answer(
        1, .deferred(DeliveryStatus(EnhancedStatusCode(.persistentTransient, 4, 1), "nobody"), retryAfterSeconds: 60))
      job.answerRest(
        .failed(
          DeliveryStatus(
            .badDestinationMailbox, "no such", remote: RemoteReply(host: "mx", type: "smtp", text: "550 no"))))
      job.finish()
    }
    try fixture.start()
    try fixture.ready()
    try fixture.job(7, envelope: envelope)
    let outcome = try fixture.outcome()
    #expect(
      outcome
        == OutcomeFrame(
          job: 7,
          runs: [
            .init(count: 1, answer: .answered(.forward(port: 1))),
            .init(
              count: 1,
              answer: .answered(
                .deferred(
                  DeliveryStatus(EnhancedStatusCode(.persistentTransient, 4, 1), "nobody"), retryAfterSeconds: 60))),
            .init(
              count: 1,
              answer: .answered(
                .failed(
                  DeliveryStatus(
                    .badDestinationMailbox, "no such", remote: RemoteReply(host: "mx", type: "smtp", text: "550 no"))))),
          ]))
    #expect(try fixture.stop() == .stopped)
    #expect(seen == envelope)
    #expect(facts == [QueueID(rawValue: 7).description, "1", "1000"])
  }

  @Test func `content is read across extents and segments, in runs as long as it lies`() throws {
    let fixture = try RunnerFixture(.sink)
    try fixture.addSegment(1, (0..<10_000).map { UInt8(truncatingIfNeeded: $0) })
    try fixture.addSegment(2, Array(repeating: 0xEE, count: 5000))
    var pieces: [[UInt8]] = []
    var atEnd = -1
    fixture.script.submit = { _, job in
      job.forEachPiece {
        pieces.append(Array($0))
        return true
      }
      job.withPiece(from: 350) { atEnd = $0.count }
      job.withPiece(from: 3) { pieces.append(Array($0)) }
      job.answerRest(.settled(.delivered, DeliveryStatus(.success, "")))
      job.finish()
    }
    try fixture.start()
    try fixture.ready()
    // The first two lie one behind the other.
    let extents = [
      ContentExtent(segment: 1, offset: 4090, count: 100), ContentExtent(segment: 1, offset: 4190, count: 100),
      ContentExtent(segment: 2, offset: 0, count: 50), ContentExtent(segment: 1, offset: 0, count: 100),
    ]
    try fixture.job(1, octets: 350, extents: extents)
    #expect(try fixture.outcome().answers == [.answered(.settled(.delivered, DeliveryStatus(.success, "")))])
    try fixture.stop()
    #expect(pieces.map(\.count) == [200, 50, 100, 197] && atEnd == 0)
    let whole = (4090..<4290).map { UInt8(truncatingIfNeeded: $0) }
    #expect(pieces[0] == whole && pieces[1].allSatisfy { $0 == 0xEE } && pieces[2] == (0..<100).map { UInt8($0) })
    #expect(pieces[3] == Array(whole[3...]))
  }

  @Test func `content that cannot be read is an error and not a crash`() throws {
    let fixture = try RunnerFixture(.sink)
    try fixture.addSegment(1, [1, 2, 3])
    var statuses: [ix_status] = []
    fixture.script.submit = { context, job in
      var span = ix_span()
      statuses.append(context.jobs.pointee.content(job.pointer, 0, &span))
      job.finish()
    }
    try fixture.start()
    try fixture.ready()
    try fixture.job(1, octets: 10, extents: [ContentExtent(segment: 9, offset: 0, count: 10)])
    try fixture.job(2, octets: 5000, extents: [ContentExtent(segment: 1, offset: 0, count: 5000)])
    try fixture.job(3, octets: 11, extents: [ContentExtent(segment: 1, offset: 0, count: 3)])
    try fixture.job(4, octets: 1, extents: [ContentExtent(segment: 1, offset: .max, count: 1)])
    for _ in 0..<4 { #expect(try fixture.outcome().answers == [.unanswered]) }
    try fixture.stop()
    #expect(statuses == Array(repeating: IX_INVALID, count: 4))
  }

  @Test func `ten thousand recipients are answered one by one and as a run`() throws {
    let fixture = try RunnerFixture(.filter)
    var last: String?
    fixture.script.submit = { _, job in
      last = job.recipient(9_999)?.address.text
      for index in stride(from: 0, to: 5000, by: 1) { job.answer(index, .forward(port: index == 2500 ? 1 : 0)) }
      job.answerRest(.held(reason: "later"))
      job.finish()
    }
    try fixture.start()
    try fixture.ready()
    try fixture.job(1, recipients: 10_000)
    let outcome = try fixture.outcome()
    try fixture.stop()
    #expect(outcome.runs.map(\.count) == [2500, 1, 2499, 5000])
    #expect(outcome.runs.last?.answer == .answered(.held(reason: "later")))
    #expect(last == "r9999@example.com")
  }

  @Test func `a second answer is refused and the first one stands`() throws {
    let fixture = try RunnerFixture(.filter)
    var taken: [Bool] = []
    fixture.script.submit = { _, job in
      taken = [job.answer(0, .forward(port: 0)), job.answer(0, .forward(port: 1)), job.answer(1, .forward(port: 1))]
      job.finish()
    }
    try fixture.start()
    try fixture.ready()
    try fixture.job(1)
    guard case .log(3, QueueID(rawValue: 1), let line) = try fixture.next() else {
      Issue.record("the breach was not logged")
      return
    }
    #expect(line.contains("a second answer for recipient 0"))
    #expect(try fixture.outcome().answers == [.answered(.forward(port: 0))])
    try fixture.stop()
    #expect(taken == [true, false, false])
  }

  @Test func `recipients without an answer come back unanswered`() throws {
    let fixture = try RunnerFixture(.filter)
    fixture.script.submit = { _, job in
      job.answer(1, .forward(port: 0))
      job.finish()
    }
    try fixture.start()
    try fixture.ready()
    try fixture.job(1, recipients: 3)
    #expect(try fixture.outcome().answers == [.unanswered, .answered(.forward(port: 0)), .unanswered])
    try fixture.stop()
  }

  @Test func `answers that contradict themselves are refused`() throws {
    let fixture = try RunnerFixture(.filter)
    var statuses: [ix_status] = []
    fixture.script.submit = { context, job in
      func answer(_ kind: ix_answer_kind, _ change: (inout ix_answer) -> Void = { _ in }) {
        var raw = ix_answer()
        raw.size = MemoryLayout<ix_answer>.size
        raw.kind = kind.rawValue
        change(&raw)
        statuses.append(context.jobs.pointee.answer(job.pointer, 0, &raw))
      }
      answer(IX_FORWARD) { $0.port = 2 }
      answer(IX_DEFERRED) { $0.status_class = 5 }
      answer(IX_REFUSED) { $0.status_class = 4 }
      answer(IX_DELIVERED) { $0.status_class = 4 }
      answer(IX_DEAD) { $0.status_class = 2 }
      answer(IX_REFUSED) { ($0.status_class, $0.status_subject) = (5, 1000) }
      answer(IX_REFUSED) { $0.status_class = 3 }
      answer(IX_DEFERRED) { $0.retry_after = .nan }
      answer(IX_DEFERRED) { $0.retry_after = -1 }
      answer(IX_MOVED) { $0.draft = 0 }
      answer(ix_answer_kind(rawValue: 99))
      answer(IX_REFUSED) { $0.size = 0 }
      let notUTF8: [CChar] = [-1, -2]
      notUTF8.withUnsafeBufferPointer { octets in
        answer(IX_REFUSED) { $0.text = ix_text(octets: octets.baseAddress, count: 2) }
      }
      answer(IX_REFUSED) { $0.text = ix_text(octets: nil, count: 2) }
      // A struct that ends after the port: the rest is zero.
      answer(IX_FORWARD) { ($0.size, $0.port, $0.status_class) = (16, 1, 77) }
      job.finish()
    }
    try fixture.start()
    try fixture.ready()
    try fixture.job(1)
    #expect(try fixture.outcome().answers == [.answered(.forward(port: 1))])
    try fixture.stop()
    #expect(statuses == Array(repeating: IX_INVALID, count: 14) + [IX_OK])
  }

  @Test func `a job that is finished, or never was, is refused`() throws {
    let fixture = try RunnerFixture(.filter)
    var results: [Bool] = []
    fixture.script.submit = { context, job in
      let jobs = context.jobs.pointee
      let stale = job.pointer
      job.finish()
      var raw = ix_answer()
      raw.size = MemoryLayout<ix_answer>.size
      raw.kind = IX_HELD.rawValue
      var recipient = ix_recipient()
      recipient.size = MemoryLayout<ix_recipient>.size
      var span = ix_span()
      for pointer in [stale, OpaquePointer(bitPattern: 0x1231)!, OpaquePointer(bitPattern: UInt.max)!] {
        results += [
          jobs.answer(pointer, 0, &raw) == IX_INVALID, jobs.recipient(pointer, 0, &recipient) == IX_INVALID,
          jobs.content(pointer, 0, &span) == IX_INVALID, jobs.recipient_count(pointer) == 0,
          jobs.queue_id(pointer).octets == nil,
        ]
        jobs.finish(pointer)
      }
    }
    try fixture.start()
    try fixture.ready()
    try fixture.job(1)
    #expect(try fixture.outcome().job == 1)
    try fixture.stop()
    #expect(results.count == 15 && results.allSatisfy { $0 })
  }

  @Test func `a job is finished from another thread`() throws {
    let fixture = try RunnerFixture(.filter)
    fixture.script.submit = { _, job in
      let thread = try? Platform.Thread.start(name: "finisher") {
        job.answerRest(.forward(port: 0))
        job.finish()
      }
      #expect(thread != nil)
    }
    try fixture.start()
    try fixture.ready()
    for number in 1...50 { try fixture.job(UInt64(number)) }
    var jobs: Set<UInt64> = []
    while jobs.count < 50 { jobs.insert(try fixture.outcome().job) }
    #expect(try fixture.stop() == .stopped)
  }

  @Test func `a stopping instance waits for a job that another thread finishes`() throws {
    let fixture = try RunnerFixture(.filter)
    let held = Mutex<Job?>(nil)
    fixture.script.submit = { _, job in held.withLock { $0 = job } }
    fixture.setup.stopSeconds = 1000
    try fixture.start()
    try fixture.ready()
    try fixture.job(1)
    try fixture.send(.stop)
    try fixture.send(.askHealth)
    #expect(try fixture.next() == .health(nil))
    // The stop has been seen: nothing but this keeps the instance, whose thread has nothing to do.
    let job = held.withLock { job in
      defer { job = nil }
      return job
    }
    job?.answerRest(.forward(port: 0))
    job?.finish()
    #expect(try fixture.outcome().answers == [.answered(.forward(port: 0))])
    #expect(try fixture.next() == .stopped)
    #expect(fixture.stage?.join() == .stopped)
  }

  @Test func `jobs that are open at the deadline are the host's again`() throws {
    let fixture = try RunnerFixture(.filter)
    var held: [Job] = []
    fixture.script.submit = { _, job in held.append(job) }
    fixture.setup.stopSeconds = 0
    try fixture.start()
    try fixture.ready()
    try fixture.job(1)
    try fixture.send(.stop)
    #expect(try fixture.next() == .stopped)
    #expect(fixture.stage?.join() == .stopped)
    // The stage's thread that comes too late.
    #expect(held.count == 1)
    held[0].answerRest(.forward(port: 0))
    held[0].finish()
  }

  @Test func `a cancelled job is the one that was submitted`() throws {
    let fixture = try RunnerFixture(.filter)
    var open: [Job] = []
    fixture.script.submit = { _, job in open.append(job) }
    fixture.script.cancel = { job in
      job.answerRest(.deferred(DeliveryStatus(.localFault, "cancelled"), retryAfterSeconds: nil))
      job.finish()
    }
    try fixture.start()
    try fixture.ready()
    try fixture.job(1)
    try fixture.job(2)
    try fixture.send(.cancel(job: 9))
    try fixture.send(.cancel(job: 2))
    #expect(try fixture.outcome().job == 2)
    try fixture.send(.cancel(job: 1))
    #expect(try fixture.outcome().job == 1)
    try fixture.stop()
    withExtendedLifetime(open) {}
  }

  @Test func `a filter emits a changed message and moves recipients to it`() throws {
    let fixture = try RunnerFixture(.filter)
    fixture.script.submit = { context, job in
      guard let draft = context.makeDraft(), let kept = context.makeDraft() else { return }
      var envelope = job.envelope
      envelope.recipients = [envelope.recipients[1]]
      #expect(draft.setEnvelope(envelope) == .taken)
      #expect(draft.writeWaiting(Array(repeating: 7, count: 100_000)) == .taken)
      #expect(kept.setEnvelope(envelope) == .taken)
      #expect(kept.keepContent(of: job) == .taken)
      #expect(kept.write([1]) == .refused)
      let first = job.emit(draft, port: 1)
      let second = job.emit(kept, port: 0)
      job.answer(0, .forward(port: 0))
      if let first { job.moved(1, to: first) }
      if let second { job.moved(2, to: second) }
      job.finish()
    }
    try fixture.start()
    try fixture.ready()
    try fixture.job(5, recipients: 3)
    let outcome = try fixture.outcome()
    try fixture.stop()
    #expect(outcome.answers == [.answered(.forward(port: 0)), .moved(emission: 0), .moved(emission: 1)])
    #expect(outcome.emissions.map(\.port) == [1, 0])
    #expect(outcome.emissions[1].draft == nil)
    #expect(outcome.emissions[0].envelope.recipients.map(\.address.text) == ["r1@example.com"])
    let draft = try #require(outcome.emissions[0].draft)
    #expect(fixture.contents[draft] == Array(repeating: 7, count: 100_000))
  }
}

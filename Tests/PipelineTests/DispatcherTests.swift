import MailModel
import PipelineConfig
import Spoke
import Spool
import Testing

@testable import Pipeline

private typealias Bench = DispatcherBench

@Suite struct AcceptanceTests {
  @Test func `nobody is told before the message is durable`() {
    let bench = DispatcherBench()
    bench.commits = nil
    bench.offer(to: ["b@example.com"])
    #expect(bench.verdicts.isEmpty)
    #expect(bench.jobs[Bench.filter, default: []].isEmpty)
    bench.commits = { _ in nil }
    bench.commitAll()
    bench.settle()
    #expect(bench.verdicts.count == 1)
    #expect(bench.jobs[Bench.filter, default: []].count == 1)
  }

  @Test func `a full disk refuses the offer and keeps nothing`() throws {
    let bench = DispatcherBench()
    bench.commits = { _ in .noSpace }
    bench.offer(to: ["b@example.com"])
    let verdict = try #require(bench.verdicts.first)
    #expect(verdict.1 == .refused(DeliveryStatus(.systemFull, "insufficient system storage")))
    #expect(bench.dispatcher.messages.isEmpty)
    #expect(bench.isBalanced)
  }

  @Test func `a message without recipients is refused`() throws {
    let bench = DispatcherBench()
    bench.offer(to: [])
    let verdict = try #require(bench.verdicts.first)
    guard case .refused(let status) = verdict.1 else {
      Issue.record("accepted")
      return
    }
    #expect(status.code.class == .permanent)
  }
}

@Suite struct WayTests {
  @Test func `recipients go by rules, each destination as a job of its own`() {
    let bench = DispatcherBench()
    bench.offer(to: ["a@one.example", "b@two.example", "c@other.example", "d@ONE.example"])
    bench.answer(Bench.filter, .forward(port: 0))
    let atSink = bench.jobs[Bench.sink, default: []].map { $0.envelope.recipients.map(\.address.text) }
    #expect(atSink == [["a@one.example", "d@ONE.example"], ["b@two.example"]])
    let atOther = bench.jobs[Bench.other, default: []].map { $0.envelope.recipients.map(\.address.text) }
    #expect(atOther == [["c@other.example"]])
  }

  @Test func `settled recipients end and the ledger balances`() {
    let bench = DispatcherBench()
    bench.offer(to: ["a@one.example", "c@other.example"])
    bench.answer(Bench.filter, .forward(port: 0))
    bench.answer(Bench.sink, .settled(.relayed, .fine))
    #expect(bench.dispatcher.messages.count == 1)
    bench.answer(Bench.other, .settled(.delivered, .fine))
    #expect(bench.dispatcher.messages.isEmpty)
    #expect(bench.dispatcher.ledger.relayed == 1 && bench.dispatcher.ledger.delivered == 1)
    #expect(bench.isBalanced)
  }

  @Test func `a changed message becomes a child, and its recipients move in one transaction`() throws {
    let bench = DispatcherBench()
    bench.offer(to: ["a@one.example", "b@one.example"])
    let job = try #require(bench.take(Bench.filter))
    bench.finish(
      Bench.filter, job,
      [.init(count: 1, answer: .moved(emission: 0)), .init(count: 1, answer: .answered(.failed(.gone)))],
      emissions: [
        .init(draft: nil, port: 0, envelope: Envelope(reversePath: nil, recipients: [Recipient(.smtp("x@one.example"))]))
      ])
    let transaction = try #require(bench.durable.last)
    #expect(transaction.accepts.count == 2)  // the child and the report
    #expect(bench.dispatcher.ledger.moved == 1)
    #expect(bench.jobs[Bench.sink, default: []].contains { $0.envelope.recipients[0].address.text == "x@one.example" })
    #expect(bench.isBalanced)
  }

  @Test func `an answer for a job that is not held is ignored`() throws {
    let bench = DispatcherBench()
    bench.offer(to: ["a@one.example"])
    let job = try #require(bench.take(Bench.filter))
    let runs: [OutcomeFrame.Run] = [.init(count: 1, answer: .answered(.forward(port: 0)))]
    bench.finish(Bench.filter, job, runs)
    bench.finish(Bench.filter, job, runs)
    #expect(bench.jobs[Bench.sink, default: []].count == 1)
    #expect(bench.isBalanced)
  }

  @Test func `a recipient without an answer is tried again`() throws {
    let bench = DispatcherBench()
    bench.offer(to: ["a@one.example", "b@one.example"])
    let job = try #require(bench.take(Bench.filter))
    bench.finish(Bench.filter, job, [.init(count: 1, answer: .answered(.forward(port: 0)))])
    #expect(bench.dispatcher.countLive().deferred == 1)
    bench.pass(seconds: 61)
    #expect(bench.jobs[Bench.filter]?.first?.envelope.recipients.map(\.address.text) == ["b@one.example"])
  }
}

@Suite struct EndTests {
  @Test func `a failure and its report are one transaction`() throws {
    let bench = DispatcherBench()
    bench.offer(to: ["a@one.example"])
    bench.answer(Bench.filter, .forward(port: 0))
    bench.answer(Bench.sink, .failed(.gone))
    let transaction = try #require(bench.durable.last)
    #expect(transaction.accepts.count == 1 && transaction.changes.count == 1)
    #expect(bench.dispatcher.ledger.failed == 1)
    #expect(bench.jobs[Bench.sink]?.last?.envelope.reversePath == nil)
    #expect(bench.isBalanced)
  }

  @Test(arguments: [nil, "a@example.org"]) func `who may not be told about goes to dead-letter`(sender: String?) {
    let bench = DispatcherBench()
    bench.offer(from: sender, to: ["a@one.example"], notify: sender == nil ? nil : Notify.never)
    bench.answer(Bench.filter, .forward(port: 0))
    bench.answer(Bench.sink, .failed(.gone))
    let job = bench.answer(Bench.dead, .settled(.delivered, .fine))
    #expect(job?.envelope.recipients[0].attributes.contains(Attribute("dead.code", "5.1.1")) == true)
    #expect(job?.envelope.recipients[0].attributes.contains(Attribute("dead.stage", "out")) == true)
    let history = job?.envelope.attribute("dead.history") ?? ""
    #expect(history.contains("accepted: a@one.example") && history.contains("buried at out: a@one.example; 5.1.1"))
    #expect(bench.dispatcher.ledger.dead == 1)
    #expect(bench.dispatcher.messages.isEmpty)
    #expect(bench.isBalanced)
  }

  @Test func `a report that fails makes no report`() {
    let bench = DispatcherBench()
    bench.offer(to: ["nobody@one.example"])
    bench.answer(Bench.filter, .forward(port: 0))
    #expect(bench.dispatcher.ledger.failed == 1)
    bench.answer(Bench.sink, .failed(.gone))
    bench.answer(Bench.dead, .settled(.delivered, .fine))
    #expect(bench.dispatcher.ledger.generated == 1)
    #expect(bench.dispatcher.messages.isEmpty)
    #expect(bench.isBalanced)
  }

  @Test func `without a dead-letter stage the message is held`() {
    let bench = DispatcherBench(hasDeadLetter: false)
    bench.offer(from: nil, to: ["a@one.example"])
    bench.answer(Bench.filter, .failed(.gone))
    #expect(bench.dispatcher.countLive().held == 1)
    #expect(bench.isBalanced)
  }

  @Test func `success is reported when it was asked for, unless the next system does it`() {
    for (settlement, reports) in [(Settlement.relayed, 1), (.delivered, 1), (.transferred, 0)] {
      let bench = DispatcherBench()
      bench.offer(to: ["a@one.example"], notify: .success)
      bench.answer(Bench.filter, .forward(port: 0))
      bench.answer(Bench.sink, .settled(settlement, .fine))
      #expect(bench.dispatcher.ledger.generated == reports)
    }
  }

  @Test func `a filter whose new content found no room does its work again`() throws {
    let bench = DispatcherBench()
    bench.offer(to: ["a@one.example", "b@one.example"])
    let job = try #require(bench.take(Bench.filter))
    bench.commits = { _ in .noSpace }
    bench.finish(
      Bench.filter, job,
      [.init(count: 1, answer: .moved(emission: 0)), .init(count: 1, answer: .answered(.failed(.gone)))],
      emissions: [
        .init(draft: 7, port: 0, envelope: Envelope(reversePath: nil, recipients: [Recipient(.smtp("x@one.example"))]))
      ])
    #expect(bench.isBalanced)
    bench.commits = { _ in nil }
    bench.pass(seconds: 2)
    #expect(bench.dispatcher.ledger.moved == 0, "the octets of the refused draft are gone")
    let again = bench.jobs[Bench.filter, default: []].flatMap { $0.envelope.recipients.map(\.address.text) }
    #expect(again.sorted() == ["a@one.example", "b@one.example"])
    #expect(bench.isBalanced)
  }

  @Test func `drafts that nobody will use are forgotten`() throws {
    let bench = DispatcherBench()
    let refused = bench.offer(to: [])
    #expect(bench.discarded == [refused])
    bench.offer(to: ["a@one.example"])
    let job = try #require(bench.take(Bench.filter))
    let envelope = Envelope(reversePath: nil, recipients: [Recipient(.smtp("x@one.example"))])
    bench.finish(
      Bench.filter, job, [.init(count: 1, answer: .moved(emission: 0))],
      emissions: [.init(draft: 7, port: 99, envelope: envelope)])
    #expect(bench.discarded == [refused, 7])
    #expect(bench.dispatcher.countLive().deferred == 1 && bench.isBalanced)
  }

  @Test func `an outcome that finds the disk full waits and is not asked for again`() {
    let bench = DispatcherBench()
    bench.offer(to: ["a@one.example"])
    bench.answer(Bench.filter, .forward(port: 0))
    bench.commits = { _ in .noSpace }
    bench.answer(Bench.sink, .failed(.gone))
    #expect(bench.jobs[Bench.sink, default: []].isEmpty)
    #expect(bench.isBalanced)
    bench.commits = { _ in nil }
    bench.pass(seconds: 2)
    #expect(bench.dispatcher.ledger.failed == 1)
    #expect(bench.isBalanced)
  }
}

@Suite struct RetryTests {
  @Test func `a deferral waits for its time and counts attempts`() {
    let bench = DispatcherBench()
    bench.offer(to: ["a@one.example"])
    bench.answer(Bench.filter, .forward(port: 0))
    #expect(bench.answer(Bench.sink, .deferred(.busy, retryAfterSeconds: nil))?.attempt == 1)
    bench.pass(seconds: 59)
    #expect(bench.jobs[Bench.sink, default: []].isEmpty)
    bench.pass(seconds: 2)
    #expect(bench.answer(Bench.sink, .deferred(.busy, retryAfterSeconds: nil))?.attempt == 2)
    bench.pass(seconds: 121)
    #expect(bench.jobs[Bench.sink]?.first?.attempt == 3)
  }

  @Test func `after its time a temporary failure is permanent and reported`() {
    let bench = DispatcherBench()
    bench.offer(to: ["a@one.example"])
    bench.answer(Bench.filter, .forward(port: 0))
    var attempts = 0
    while bench.dispatcher.ledger.failed == 0, attempts < 20 {
      bench.answer(Bench.sink, .deferred(.busy, retryAfterSeconds: nil))
      bench.pass(seconds: 125)
      attempts += 1
    }
    #expect(attempts == 6)  // 600 s old at the sixth
    #expect(bench.isBalanced)
  }

  @Test func `a clock that jumps ahead gives nothing up at the first attempt`() {
    let bench = DispatcherBench()
    bench.offer(to: ["a@one.example"])
    bench.answer(Bench.filter, .forward(port: 0))
    bench.now.wall = WallTime(millisecondsSinceEpoch: bench.now.wall.millisecondsSinceEpoch + 400 * 86_400_000)
    bench.answer(Bench.sink, .deferred(.busy, retryAfterSeconds: nil))
    #expect(bench.dispatcher.ledger.failed == 0)
    #expect(bench.dispatcher.countLive().deferred == 1)
  }

  @Test func `a job whose content was copied meanwhile is taken back, and handed over where it is now`() throws {
    let bench = DispatcherBench()
    bench.offer(to: ["a@one.example"])
    let job = try #require(bench.take(Bench.filter))
    bench.dispatcher.takeBack(job.job, bench.now)
    let place = ContentExtent(segment: 9, offset: 64, count: 10)
    bench.dispatcher.contentMoved(job.queueID, to: [place])
    bench.pass(seconds: 2)
    let again = try #require(bench.take(Bench.filter))
    #expect(again.extents == [place] && again.attempt == 1)
    #expect(bench.isBalanced)
  }

  @Test func `a slow destination does not hold up another`() {
    let bench = DispatcherBench(jobsMax: 8, jobsPerDestinationMax: 4)
    for index in 0..<20 { bench.offer(to: ["u\(index)@slow.example"]) }
    for _ in 0..<20 { bench.answer(Bench.filter, .forward(port: 0)) }
    #expect(bench.jobs[Bench.sink, default: []].count == 4)
    bench.offer(to: ["x@fast.example"])
    bench.answer(Bench.filter, .forward(port: 0))
    #expect(bench.jobs[Bench.sink]?.last?.envelope.recipients[0].address.text == "x@fast.example")
  }

  @Test func `a job held too long is asked for, and then its stage is killed`() {
    let bench = DispatcherBench()
    bench.offer(to: ["a@one.example"])
    bench.answer(Bench.filter, .forward(port: 0))
    bench.pass(seconds: 101)
    bench.dispatcher.checkDeadlines(bench.now)
    bench.settle()
    #expect(bench.cancelled.count == 1 && bench.killed.isEmpty)
    bench.pass(seconds: 10)
    bench.dispatcher.checkDeadlines(bench.now)
    bench.settle()
    #expect(bench.killed == [Bench.sink])
  }
}

@Suite struct CrashTests {
  @Test func `what a dead stage held is tried alone, and the guilty one is set aside`() {
    let bench = DispatcherBench()
    for index in 0..<5 { bench.offer(to: ["u\(index)@one.example"]) }
    for _ in 0..<5 { bench.answer(Bench.filter, .forward(port: 0)) }
    #expect(bench.jobs[Bench.sink, default: []].count == 5)
    bench.crash(Bench.sink)
    var crashes = 1
    var delivered = 0
    while let job = bench.jobs[Bench.sink]?.first {
      #expect(bench.jobs[Bench.sink]?.count == 1, "suspects go one at a time")
      if job.envelope.recipients[0].address.text == "u2@one.example" {
        bench.crash(Bench.sink)
        crashes += 1
      } else {
        bench.answer(Bench.sink, .settled(.relayed, .fine))
        delivered += 1
      }
    }
    #expect(crashes == 4)
    #expect(delivered == 4)
    #expect(bench.jobs[Bench.dead, default: []].count == 1)
    bench.answer(Bench.dead, .settled(.delivered, .fine))
    #expect(bench.dispatcher.ledger.dead == 1 && bench.isBalanced)
  }

  @Test func `the count of suspicions is written down`() throws {
    let bench = DispatcherBench()
    bench.offer(to: ["a@one.example"])
    bench.answer(Bench.filter, .forward(port: 0))
    bench.crash(Bench.sink)
    let notes = bench.durable.flatMap(\.notes)
    guard case .recipients(_, [0], .queued(stage: "out", attempts: _, suspicions: 1))? = notes.first else {
      Issue.record("no note of the suspicion: \(notes)")
      return
    }
  }
}

@Suite struct RestartTests {
  @Test func `each recipient goes on where its durable state says`() {
    let bench = DispatcherBench()
    let later = WallTime(millisecondsSinceEpoch: bench.now.wall.millisecondsSinceEpoch + 30_000)
    let stored = StoredMessage(
      id: QueueID(rawValue: 7), acceptedAt: bench.now.wall, origin: "in",
      envelope: Envelope(
        reversePath: .smtp("s@example.org"),
        recipients: ["a@x.example", "b@x.example", "c@x.example", "d@x.example", "e@x.example"].map {
          Recipient(.smtp($0))
        }), contentOctets: 1)
    bench.dispatcher.recovered(
      stored,
      [
        .queued(stage: "check", attempts: 0, suspicions: 0), .deferred(stage: "out", until: later, attempts: 1, .busy),
        .held(stage: "out", attempts: 0, reason: "by hand"), .settled(.relayed, .fine),
        .queued(stage: "no-longer-there", attempts: 0, suspicions: 0),
      ], [], bench.now)
    bench.settle()
    #expect(bench.jobs[Bench.filter, default: []].flatMap { $0.envelope.recipients.map(\.address.text) } == [
      "a@x.example", "e@x.example",
    ])
    let live = bench.dispatcher.countLive()
    #expect(live.deferred == 1 && live.held == 1 && live.queued == 2)
    bench.pass(seconds: 31)
    #expect(bench.jobs[Bench.sink]?.first?.attempt == 2)
    #expect(bench.isBalanced)
  }
}

@Suite struct OrderTests {
  @Test func `hold, release, retry and delete act on what waits`() throws {
    let bench = DispatcherBench()
    bench.offer(to: ["a@one.example"])
    bench.answer(Bench.filter, .forward(port: 0))
    let id = try #require(bench.dispatcher.messages.keys.first)
    #expect(bench.dispatcher.order(.hold(reason: "x"), id, isDryRun: false, bench.now)?.busy == 1)
    bench.answer(Bench.sink, .deferred(.busy, retryAfterSeconds: nil))
    #expect(bench.dispatcher.order(.hold(reason: "x"), id, isDryRun: true, bench.now)?.affected == 1)
    #expect(bench.dispatcher.countLive().deferred == 1)
    _ = bench.dispatcher.order(.hold(reason: "x"), id, isDryRun: false, bench.now)
    bench.settle()
    #expect(bench.dispatcher.countLive().held == 1)
    bench.pass(seconds: 200)
    #expect(bench.jobs[Bench.sink, default: []].isEmpty)
    _ = bench.dispatcher.order(.release, id, isDryRun: false, bench.now)
    bench.settle()
    #expect(bench.jobs[Bench.sink]?.count == 1)
    bench.answer(Bench.sink, .deferred(.busy, retryAfterSeconds: nil))
    _ = bench.dispatcher.order(.retry, id, isDryRun: false, bench.now)
    bench.settle()
    #expect(bench.jobs[Bench.sink]?.count == 1)
    bench.answer(Bench.sink, .deferred(.busy, retryAfterSeconds: nil))
    _ = bench.dispatcher.order(.delete(reason: "x"), id, isDryRun: false, bench.now)
    bench.settle()
    #expect(bench.dispatcher.messages.isEmpty && bench.dispatcher.ledger.deleted == 1)
    #expect(bench.isBalanced)
  }
}

import MailModel
import Spoke
import Testing

@testable import Pipeline

/// Random stages, a random committer and random operators, by seed: whatever they do, every recipient is somewhere.
@Suite struct ConservationTests {
  @Test(arguments: 1...40) func `no recipient is lost or doubled whatever stages answer`(seed: UInt64) {
    let bench = DispatcherBench(jobsMax: 16, jobsPerDestinationMax: 4, seed: seed)
    var random = SeededRandom(seed: seed &* 7919)
    for step in 0..<400 {
      switch Int.random(in: 0..<12, using: &random) {
      case 0...3:
        let count = Int.random(in: 1...4, using: &random)
        bench.offer(
          from: Bool.random(using: &random) ? "s@example.org" : nil,
          to: (0..<count).map { _ in
            ["a", "nobody", "b"].randomElement(using: &random)! + "@"
              + ["one.example", "two.example", "other.example"].randomElement(using: &random)!
          })
      case 4...9:
        let lane = [1, 3, 5, 6].randomElement(using: &random)!
        answerAtRandom(bench, lane, &random)
      case 10: if Bool.random(using: &random) { bench.crash([1, 3, 5, 6].randomElement(using: &random)!) }
      default:
        let full = Bool.random(using: &random)
        bench.commits = { _ in full ? .noSpace : nil }
        bench.pass(seconds: Double.random(in: 0..<200, using: &random))
      }
      #expect(bench.isBalanced, "seed \(seed), step \(step)")
    }
    drain(bench)
    #expect(bench.dispatcher.messages.isEmpty, "seed \(seed): something stays for ever")
    #expect(bench.isBalanced, "seed \(seed)")
  }

  private func answerAtRandom(_ bench: DispatcherBench, _ lane: Int, _ random: inout SeededRandom) {
    guard let job = bench.take(lane) else { return }
    var runs: [OutcomeFrame.Run] = []
    var left = UInt32(job.envelope.recipients.count)
    while left > 0 {
      let count = UInt32.random(in: 1...left, using: &random)
      left -= count
      let answers: [StageAnswer] = [
        .answered(.forward(port: Int.random(in: 0...2, using: &random))), .answered(.settled(.delivered, .fine)),
        .answered(.settled(.relayed, .fine)), .answered(.deferred(.busy, retryAfterSeconds: nil)),
        .answered(.failed(.gone)), .answered(.dead(.gone)), .moved(emission: 0), .unanswered,
      ]
      runs.append(.init(count: count, answer: answers.randomElement(using: &random)!))
    }
    // A moved recipient needs a child; sometimes there is none, which is the stage's fault.
    let emissions =
      Bool.random(using: &random)
      ? [OutcomeFrame.Emission(draft: nil, port: 0, envelope: job.envelope)] : []
    bench.finish(lane, job, runs, emissions: emissions)
  }

  /// Every stage delivers from now on.
  private func drain(_ bench: DispatcherBench) {
    bench.commits = { _ in nil }
    for _ in 0..<200 {
      bench.pass(seconds: 300)
      var worked = true
      while worked {
        worked = false
        if bench.answer(DispatcherBench.filter, .forward(port: 0)) != nil { worked = true }
        for lane in [3, 5, 6] where bench.answer(lane, .settled(.delivered, .fine)) != nil { worked = true }
      }
      for (id, _) in bench.dispatcher.messages {
        _ = bench.dispatcher.order(.release, id, isDryRun: false, bench.now)
      }
      bench.settle()
      if bench.dispatcher.messages.isEmpty { return }
    }
  }
}

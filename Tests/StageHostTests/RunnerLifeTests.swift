import CInterchange
import Glibc
import MailModel
import PipelineConfig
import Platform
import Spoke
import Synchronization
import Testing

@testable import StageHost
@testable import StageKit

@Suite struct RunnerLifeTests {
  @Test func `an instance is made, started, stopped and destroyed in this order`() throws {
    let fixture = try RunnerFixture(.sink)
    var steps: [String] = []
    fixture.script.made = { context, _ throws(StageFailure) in
      steps.append("made \(context.instanceID) \(context.nodeName)")
    }
    fixture.script.start = { _ throws(StageFailure) in steps.append("start") }
    fixture.script.stop = { steps.append("stop") }
    try fixture.start()
    try fixture.ready()
    #expect(try fixture.stop() == .stopped)
    #expect(steps == ["made \(fixture.setup.instanceID) gw1.example.com", "start", "stop"])
  }

  @Test func `complaints about the configuration come with their places, and the start fails`() throws {
    let mark = ConfigMark(file: "p.yaml", line: 4, column: 7)
    let config = ConfigValue(
      .mapping([
        .init(key: "listen", keyMark: mark, value: ConfigValue(.list([ConfigValue(.string("x"), at: mark)]), at: mark)),
        .init(key: "size", keyMark: mark, value: ConfigValue(.size(octets: 5), at: mark)),
        .init(key: "wait", keyMark: mark, value: ConfigValue(.duration(nanoseconds: 1_500_000_000), at: mark)),
        .init(key: "on", keyMark: mark, value: ConfigValue(.boolean(true), at: mark)),
        .init(
          key: "to", keyMark: mark, value: ConfigValue(.endpoint(Endpoint(host: "::1", port: 25)), at: mark)),
      ]), at: ConfigMark(file: "p.yaml", line: 3, column: 5))
    let fixture = try RunnerFixture(.sink, config: config)
    var seen: [String] = []
    fixture.script.made = { context, config throws(StageFailure) in
      seen = [
        config["listen"].elements.first?.text ?? "-", "\(config["size"].integer ?? 0)", "\(config["wait"].real ?? 0)",
        "\(config["on"].boolean ?? false)", config["to"].text ?? "-", "\(config["none"].isPresent)",
        config.entries.map(\.key).joined(separator: ","), "\(config["size"].text ?? "-")", "\(config["si"].isPresent)",
      ]
      context.complain(.error, at: config["size"], "too small")
      context.complain(.warning, at: config["none"], "missing")
      throw .configuration
    }
    try fixture.start()
    #expect(try fixture.next() == .diagnostic(severity: 4, line: 4, column: 7, "too small"))
    #expect(try fixture.next() == .diagnostic(severity: 3, line: 3, column: 5, "missing"))
    #expect(try fixture.next() == .startFailed("the configuration was refused (IX_INVALID)"))
    #expect(try fixture.next() == .stopped)
    #expect(fixture.stage?.join() == .createFailed("the configuration was refused (IX_INVALID)"))
    #expect(seen == ["x", "5", "1.5", "true", "[::1]:25", "false", "listen,size,wait,on,to", "-", "false"])
  }

  @Test func `a start that fails says why`() throws {
    let fixture = try RunnerFixture(.source)
    fixture.script.start = { _ throws(StageFailure) in throw .failed("port 25 is taken") }
    try fixture.start()
    #expect(try fixture.next() == .log(severity: 4, nil, "port 25 is taken"))
    #expect(try fixture.next() == .startFailed("the stage did not start (IX_FAILED)"))
    #expect(try fixture.next() == .stopped)
    guard case .startFailed = fixture.stage?.join() else {
      Issue.record("\(String(describing: fixture.stage?.end))")
      return
    }
  }

  @Test func `a check makes and destroys, and never starts`() throws {
    let fixture = try RunnerFixture(.source)
    fixture.setup.isCheckOnly = true
    var isStarted = false
    fixture.script.start = { _ throws(StageFailure) in isStarted = true }
    try fixture.start()
    #expect(try fixture.next() == .stopped)
    #expect(fixture.stage?.join() == .stopped && !isStarted)
  }

  @Test func `timers, posts and watches come back on the stage thread`() throws {
    let fixture = try RunnerFixture(.source)
    var steps: [String] = []
    var watch: Watch?
    var ends: [Int32] = [0, 0]
    try #require(pipe(&ends) == 0)
    fixture.script.start = { context throws(StageFailure) in
      let stageThread = pthread_self()
      func note(_ step: String) {
        steps.append(pthread_equal(stageThread, pthread_self()) != 0 ? step : "\(step) elsewhere")
        if steps.count == 3 { context.log(.info, "done") }
      }
      watch = context.watch(ends[0], .readable) { events in
        note("readable \(events.rawValue)")
        watch?.cancel()
      }
      let cancelled = context.timer(after: 0) { note("cancelled") }
      cancelled.cancel()
      _ = context.timer(after: 0.001) {
        note("timer")
        _ = write(ends[1], "x", 1)
      }
      let post = UncheckedCall { note("post") }
      _ = try? Platform.Thread.start(name: "poster") { context.post { post.call() } }
    }
    fixture.script.stop = { watch = nil }
    try fixture.start()
    try fixture.ready()
    #expect(try fixture.next() == .log(severity: 2, nil, "done"))
    try fixture.stop()
    close(ends[0])
    close(ends[1])
    #expect(Set(steps) == ["timer", "post", "readable 1"] && steps.count == 3)
  }

  @Test func `a loop call from another thread, or for a bad descriptor, is refused`() throws {
    let fixture = try RunnerFixture(.source)
    let statuses = Mutex<[Bool]>([])
    fixture.script.start = { context throws(StageFailure) in
      let loop = context.loopFunctions.pointee
      let host = context.host
      let badDescriptor = loop.watch(host, 9999, 1, { _, _ in }, nil) == IX_INVALID
      statuses.withLock { $0 = [badDescriptor, loop.watch(host, 0, 1, nil, nil) == IX_INVALID] }
      let box = UncheckedCall {
        let results = [
          loop.watch(host, 0, 1, { _, _ in }, nil) == IX_INVALID, loop.timer(host, 1, { _ in }, nil) == 0,
          !loop.cancel_timer(host, 1),
        ]
        statuses.withLock { $0 += results }
      }
      let thread = try? Platform.Thread.start(name: "other") { box.call() }
      thread?.join()
    }
    try fixture.start()
    while try fixture.next() != .ready {}
    try fixture.stop()
    #expect(statuses.withLock { $0 } == Array(repeating: true, count: 5))
  }

  @Test func `metrics gather, and wrong names are refused`() throws {
    let fixture = try RunnerFixture(.source)
    fixture.script.start = { context throws(StageFailure) in
      for _ in 0..<1000 { context.count("messages.accepted", 2) }
      context.gauge("sessions", 7)
      context.gauge("sessions", 5)
      for name in ["Upper", "a..b", ".a", "a.", "1a", "", String(repeating: "a", count: 65)] { context.count(name) }
    }
    fixture.script.health = "tired"
    try fixture.start()
    for _ in 0..<7 {
      guard case .log(3, nil, let line) = try fixture.next() else {
        Issue.record("no breach")
        return
      }
      #expect(line.contains("in metrics"))
    }
    try fixture.ready()
    try fixture.send(.askHealth)
    #expect(try fixture.next() == .metric(name: "messages.accepted", value: 2000, isGauge: false))
    #expect(try fixture.next() == .metric(name: "sessions", value: 5, isGauge: true))
    #expect(try fixture.next() == .health("tired"))
    try fixture.stop()
  }

  @Test func `congestion is seen when the host has said it`() throws {
    let fixture = try RunnerFixture(.source)
    var seen: [Congestion] = []
    fixture.script.start = { context throws(StageFailure) in seen.append(context.congestion) }
    let script = fixture.script
    fixture.script.made = { context, _ throws(StageFailure) in script.stop = { seen.append(context.congestion) } }
    try fixture.start()
    try fixture.ready()
    try fixture.send(.congestion(2))
    try fixture.stop()
    #expect(seen == [.flowing, .full])
  }

  @Test func `a thread that the stage leaves behind finds every call refused`() throws {
    let fixture = try RunnerFixture(.source)
    var left: StageContext?
    fixture.script.start = { context throws(StageFailure) in left = context }
    try fixture.start()
    try fixture.ready()
    try fixture.stop()
    let context = try #require(left)
    #expect(context.makeDraft() == nil && !context.post {} && context.congestion == .shut && context.nodeName == "")
    context.log(.info, "too late")
    context.count("late")
  }

  @Test func `an abandoned instance ends without being asked`() throws {
    let fixture = try RunnerFixture(.filter)
    var held: [Job] = []
    fixture.script.submit = { held.append($1) }
    try fixture.start()
    try fixture.ready()
    try fixture.job(1)
    fixture.stage?.abandon()
    #expect(fixture.stage?.join() == .abandoned)
    withExtendedLifetime(held) {}
  }

  @Test func `a flood of frames beyond the ring's room arrives whole and in order`() throws {
    let fixture = try RunnerFixture(.filter)
    fixture.script.submit = { context, job in
      if job.attempt == 1 {
        for index in 0..<20_000 { context.log(.warning, "line \(index) of a flood that the ring cannot hold") }
      }
      job.finish()
    }
    try fixture.start()
    try fixture.ready()
    try fixture.job(1)
    var count = 0
    while true {
      guard case .log(_, _, let line) = try fixture.next() else { break }
      if line.hasPrefix("line ") {
        #expect(line.hasPrefix("line \(count) "))
        count += 1
      }
    }
    #expect(count == 20_000)
    try fixture.stop()
  }

  @Test func `the state directory is made, for nobody else to read`() throws {
    let root = "/tmp/interchange-runner-\(getpid())"
    defer {
      rmdir("\(root)/a/b")
      rmdir("\(root)/a")
      rmdir(root)
    }
    let fixture = try RunnerFixture(.sink)
    fixture.setup.stateDirectory = "\(root)/a/b"
    try fixture.start()
    try fixture.ready()
    try fixture.stop()
    var status = stat()
    #expect(stat("\(root)/a/b", &status) == 0 && status.st_mode & 0o777 == 0o700)
    let second = try RunnerFixture(.sink)
    second.setup.stateDirectory = "/dev/null/x"
    try second.start()
    guard case .startFailed(let line) = try second.next() else {
      Issue.record("started")
      return
    }
    #expect(line.contains("/dev/null/x") && line.contains("Not a directory"))
  }
}

/// A closure that a test passes to another thread on purpose.
private final class UncheckedCall: @unchecked Sendable {
  let call: () -> Void
  init(_ call: @escaping () -> Void) { self.call = call }
}

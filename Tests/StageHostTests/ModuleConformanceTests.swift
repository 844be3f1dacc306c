import Testing

@testable import StageHost

@Suite struct `Examining a module` {
  let fixture: ModuleFixture
  init() throws { fixture = try ModuleFixture() }

  func report(_ definitions: String..., configurations: [String: String] = [:]) throws -> StageCheckReport {
    let path = try fixture.build("module.so", defining: definitions)
    return StageConformance.check(path, configurations: configurations, executable: ModuleFixture.host)
  }

  /// All that did not pass, as the command line shows it.
  func complaints(_ report: StageCheckReport) -> [String] {
    report.checks.filter { $0.outcome != .passed || !$0.reason.isEmpty }.map(\.description)
  }

  @Test func `a good one passes every check`() throws {
    let report = try report()
    #expect(complaints(report) == [])
    #expect(report.isPassed)
    #expect(report.checks.map(\.kind) == StageCheckKind.allCases)
    #expect(report.module?.name == "good")
  }

  @Test func `of another level, the rest is skipped`() throws {
    let report = try report("LEVEL=2")
    #expect(!report.isPassed && report.module == nil)
    #expect(report.checks.map(\.outcome) == [.passed, .failed, .skipped, .skipped, .skipped, .skipped])
    #expect(report.checks[1].reason == "is built for level 2 of the stage interface; this host speaks level 0")
  }

  @Test(arguments: [
    ("CRASH_CONSTRUCTOR", StageCheckKind.loads), ("SMALL_STRIDE", .layout), ("WILD_STAGES", .layout),
    ("MODULE_NAME=\"\"", .names), ("NO_SUBMIT", .stages), ("BAD_KIND", .settings),
  ]) func `what is wrong with a description has a name`(_ definition: String, _ kind: StageCheckKind) throws {
    #expect(try report(definition).checks.filter { $0.outcome == .failed }.map(\.kind) == [kind])
  }

  @Test func `a default that does not fit its setting`() throws {
    let report = try report("BAD_DEFAULT")
    let check = try #require(report.checks.first { $0.kind == .settings })
    #expect(check.outcome == .failed && check.reason.contains("'soon'") && check.reason.contains("'wait'"))
  }

  @Test func `another exported symbol is a warning`() throws {
    let report = try report("EXTRA_SYMBOL")
    #expect(report.isPassed)
    #expect(
      complaints(report) == [
        "warned  exports: exports another besides ix_module_v1: they can collide with another module's"
      ])
  }

  @Test func `a crash fails the checks in which it happens`() throws {
    let report = try report("CRASH_SUBMIT")
    let failed = report.checks.filter { $0.outcome == .failed }
    #expect(failed.map(\.kind) == StageCheckKind.allCases.filter(\.needsJob))
    #expect(failed.allSatisfy { $0.reason == "crashed while it was being used (SIGABRT)" })
  }

  @Test func `a recipient without an answer`() throws {
    let report = try report("NO_ANSWER")
    #expect(
      report.checks.first { $0.kind == .thousandRecipients }?.reason == "1000 of 1000 recipients have no answer")
  }

  @Test func `descriptors left open`() throws {
    #expect(complaints(try report("LEAK_DESCRIPTOR")) == ["failed  filter: leaks: 4 instances left 4 descriptors open"])
  }

  @Test func `without what it requires, a stage is not examined`() throws {
    let bare = try report("REQUIRED")
    #expect(bare.isPassed)
    #expect(bare.checks.filter { $0.outcome == .skipped }.map(\.kind) == StageCheckKind.ofStage)
    #expect(complaints(try report("REQUIRED", configurations: ["filter": "must: yes, really"])) == [])
    #expect(!(try report("REQUIRED", configurations: ["filter": "mast: x"])).isPassed)
  }
}

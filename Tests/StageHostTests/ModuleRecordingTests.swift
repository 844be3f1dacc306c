import Foundation
import MailModel
import PipelineConfig
import Spoke
import Testing

@testable import StageHost

/// The examples at work, in the host that records.
@Suite struct `The keyword filter` {
  let fixture: ModuleFixture
  let module: LoadedModule

  init() throws {
    fixture = try ModuleFixture()
    let source = try String(contentsOfFile: "\(ModuleFixture.root)/plugins/examples/c/keyword.c", encoding: .utf8)
    module = try ModuleLoader.load(try fixture.build("libkeyword.so", source))
  }

  func host(_ config: String) throws -> RecordingHost {
    var diagnostics = Diagnostics()
    let root = ConfigDocument.parse(config, file: "test", diagnostics: &diagnostics)?.root
    let settings = try #require(module.description.stage(named: "filter")).settings
    let value = SettingValidator.validate(root, against: settings, owner: .nowhere, diagnostics: &diagnostics)
    try #require(!diagnostics.hasErrors, "\(diagnostics.render())")
    return try RecordingHost(
      try #require(module.stageClass(named: "filter")), config: value, stateDirectory: fixture.path("state"))
  }

  func outcome(_ config: String, _ content: String, extentOctets: Int = 1 << 20) throws -> RecordingHost.Outcome {
    let host = try host(config)
    try #require(try host.start())
    let envelope = Envelope(
      reversePath: .smtp("a@a.invalid"),
      recipients: [
        Recipient(.smtp("b@b.invalid"), notify: .success, attributes: [Attribute("k", "v")]),
        Recipient(.smtp("c@c.invalid"), originalRecipient: OriginalRecipient(type: "rfc822", text: "d@d.invalid")),
      ], envelopeID: "id", returnContent: .headers, bodyType: .eightBitMIME, attributes: [Attribute("x", "y")])
    let job = try host.submit(envelope, content: Array(content.utf8), extentOctets: extentOctets)
    try #require(host.wait(seconds: 10) { $0.outcomes[job] != nil })
    #expect(host.violations == [])
    let outcome = try #require(host.outcomes[job])
    for emission in outcome.emissions { #expect(emission.envelope == envelope) }
    #expect(host.stop() == .stopped)
    return outcome
  }

  @Test func `a word is found wherever the content is cut`() throws {
    let content = "Subject: x\r\n\r\nwin the lottery now\r\n"
    let refused = StageAnswer.answered(
      .failed(
        DeliveryStatus(EnhancedStatusCode(.permanent, 7, 1), "the message holds a word that is not accepted here")))
    for octets in 1...content.utf8.count {
      let outcome = try outcome("words: [lottery, z]", content, extentOctets: octets)
      #expect(outcome.answers == [refused, refused], "extents of \(octets)")
    }
  }

  @Test func `a message without a word goes on as it is`() throws {
    let outcome = try outcome("words: [lottery, lotterz]", "lotter lotte\r\n", extentOctets: 2)
    #expect(outcome.answers == Array(repeating: .answered(.forward(port: 0)), count: 2))
    #expect(outcome.emissions == [])
  }

  @Test func `a marked message is a new one to which all recipients move`() throws {
    let body = String(repeating: "0123456789\r\n", count: 20_000)
    let outcome = try outcome("header: \"X-Checked: words\"", body, extentOctets: 9_999)
    #expect(outcome.answers == [.moved(emission: 0), .moved(emission: 0)])
    #expect(outcome.emissions.map(\.port) == [0])
    #expect(outcome.emissions[0].content == Array(("X-Checked: words\r\n" + body).utf8))
  }

  @Test func `a header that is none is complained about, at its place`() throws {
    let host = try host("header: no colon\nwords: ['']")
    #expect(try !host.start())
    #expect(
      host.complaints.map(\.text) == [
        "is not a header line (Name: text, in ASCII)", "is empty or longer than 1,024 octets",
      ])
  }
}

@Suite struct `A template of a stage` {
  let fixture: ModuleFixture
  init() throws { fixture = try ModuleFixture() }

  func template(_ language: StageTemplate.Language, _ name: String) throws -> StageTemplate {
    try #require(
      StageTemplate(
        language, name: name, includeDirectory: ModuleFixture.include, packageDirectory: ModuleFixture.root))
  }

  @Test func `in C builds with the line that is printed and passes every check`() throws {
    let template = try template(.c, "mail-room")
    let directory = fixture.path("new")
    try template.write(to: directory)
    let result = try fixture.run("sh", ["-c", "cd \(directory) && \(template.buildCommand) -Werror"])
    try #require(result.status == 0, "\(result.output)")
    #expect(result.output == "")
    let report = StageConformance.check("\(directory)/\(template.library)", executable: ModuleFixture.host)
    #expect(report.checks.filter { $0.outcome != .passed } == [])
    #expect(report.module?.name == "mail-room")
  }

  @Test func `in Swift is a package that depends on this one`() throws {
    let template = try template(.swift, "mail-room")
    #expect(
      template.files.map(\.path) == [
        "Package.swift", "Sources/MailRoom/MailRoom.swift", "stage.map", "README.md",
      ])
    #expect(template.files[0].text.contains(".package(path: \"\(ModuleFixture.root)\")"))
    #expect(template.files[0].text.contains("--version-script=\\(Context.packageDirectory)/stage.map"))
    #expect(template.files[1].text.contains("final class MailRoom: Stage"))
  }

  /// Builds StageKit anew, which takes a minute: only with SLOW_TESTS in the environment.
  @Test(.enabled(if: ProcessInfo.processInfo.environment["SLOW_TESTS"] != nil))
  func `in Swift builds and passes every check`() throws {
    let template = try template(.swift, "mail-room")
    let directory = fixture.path("new")
    try template.write(to: directory)
    let result = try fixture.run("sh", ["-c", "cd \(directory) && \(template.buildCommand)"])
    try #require(result.status == 0, "\(result.output)")
    let report = StageConformance.check("\(directory)/\(template.library)", executable: ModuleFixture.host)
    #expect(report.checks.filter { $0.outcome != .passed } == [])
    #expect(report.module?.name == "mail-room")
  }

  @Test func `overwrites nothing`() throws {
    let template = try template(.c, "x")
    try template.write(to: fixture.directory)
    #expect(throws: (any Error).self) { try template.write(to: fixture.directory) }
  }

  @Test(arguments: ["", "9", "a b", "a/b", "a\"b", "ä"]) func `no name`(_ name: String) {
    #expect(StageTemplate(.c, name: name, includeDirectory: "/", packageDirectory: "/") == nil)
  }

  @Test func `a path with a quote is one word of the line`() throws {
    let template = try #require(
      StageTemplate(.c, name: "x", includeDirectory: "/o'k dir", packageDirectory: "/"))
    #expect(template.buildCommand.contains("-I '/o'\\''k dir' "))
  }
}

internal import CInterchange
internal import Glibc
internal import MailModel
internal import PipelineConfig
internal import Platform
internal import Spoke

/// The child's side of one check: hosts the stage with ``RecordingHost`` and looks at what it does.
///
/// A job has ``answerSeconds``; when it is open then the stage is asked to give it back, as the host would, and has
/// ``cancelSeconds`` more.
struct StageExamination {
  static let answerSeconds = 8.0
  static let cancelSeconds = 5.0

  let stageClass: UnsafePointer<ix_stage_class>
  let stage: StageDescription
  let config: ConfigValue
  let directory: String

  /// Why a check is not passed.
  struct Finding: Error {
    var outcome = StageCheckResult.Outcome.failed
    var reason: String
    init(_ reason: String) { self.reason = reason }
  }

  /// `probe --check KIND STAGE DIRECTORY FILE`: DIRECTORY holds the configuration in `config`, and is where the stage works.
  static func childMain(_ arguments: [String], _ answer: ModuleChildAnswer) -> Int32 {
    guard arguments.count == 4, let kind = StageCheckKind(rawValue: arguments[0]) else { return 2 }
    let directory = arguments[2]
    do throws(ModuleError) {
      let module = try ModuleLoader.load(try ModuleFile.check(arguments[3])) { answer.send($0) }
      guard let stage = module.description.stage(named: arguments[1]),
        let stageClass = module.stageClass(named: arguments[1]),
        let config = config(in: directory), chdir(directory) == 0
      else { return 2 }
      answer.send(.checking)
      let examination = StageExamination(stageClass: stageClass, stage: stage, config: config, directory: directory)
      var outcome = StageCheckResult.Outcome.passed
      var reason = ""
      do throws(Finding) { reason = try examination.run(kind) } catch {
        (outcome, reason) = (error.outcome, error.reason)
      }
      var writer = WireWriter()
      writer.write(outcome.rawValue)
      writer.write(reason)
      answer.send(.answer, writer.octets)
    } catch {
      var writer = WireWriter()
      writer.write(error.reason)
      answer.send(.refusal, writer.octets)
    }
    _exit(0)
  }

  private static func config(in directory: String) -> ConfigValue? {
    let number = open("\(directory)/config", O_RDONLY | O_CLOEXEC)
    guard number >= 0 else { return nil }
    let file = FileDescriptor(owning: number)
    var octets: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 64 * 1024)
    while octets.count < ModuleLimits.descriptionOctetsMax {
      let count = read(file.rawValue, &buffer, buffer.count)
      guard count > 0 else { break }
      octets += buffer[..<count]
    }
    do throws(WireCodingError) { return try ConfigValue(encoded: octets) } catch { return nil }
  }

  // MARK: Checks

  /// - Returns: What there is to say about a check that is passed.
  private func run(_ kind: StageCheckKind) throws(Finding) -> String {
    switch kind {
    case .create: return try create()
    case .createDestroy:
      for _ in 0..<100 { _ = try create() }
      return ""
    case .leaks:
      try leaks()
      return ""
    case .oneRecipient: return try job(addresses: [.smtp("one@host.invalid")], content: Self.message(octets: 500))
    case .thousandRecipients:
      return try job(
        addresses: (1...1000).map { .smtp("user\($0)@host\($0 % 7).invalid") }, content: Self.message(octets: 2_000))
    case .oddAddresses: return try job(addresses: Self.oddAddresses, content: Self.message(octets: 500))
    case .emptyContent: return try job(addresses: [.smtp("one@host.invalid")], content: [])
    case .largeContent:
      return try job(
        addresses: [.smtp("one@host.invalid")], content: Self.message(octets: 1 << 20), extentOctets: 4_099)
    case .loads, .level, .layout, .names, .stages, .settings, .exports:
      throw Finding("is no check of a stage")
    }
  }

  private func host(isCheckOnly: Bool = false) throws(Finding) -> RecordingHost {
    do throws(RecordingHostError) {
      return try RecordingHost(
        stageClass, config: config, stateDirectory: "\(directory)/state", isCheckOnly: isCheckOnly)
    } catch { throw Finding("the examination itself failed: \(error)") }
  }

  private func create() throws(Finding) -> String {
    let host = try host(isCheckOnly: true)
    let isMade = try start(host)
    try requireRules(host)
    guard !isMade else { return "" }
    guard let line = host.startFailure else { throw Finding("create or destroy did not come back") }
    guard !host.complaints.isEmpty || !host.logs.isEmpty else {
      throw Finding("\(line), without a complaint or a line in the log")
    }
    return "refuses this configuration: \(host.complaints.first?.text ?? host.logs[0].text)"
  }

  private func start(_ host: RecordingHost) throws(Finding) -> Bool {
    do throws(RecordingHostError) { return try host.start() } catch {
      throw Finding("the examination itself failed: \(error)")
    }
  }

  /// Sources are only made and destroyed: started, they would listen where the host does.
  private func leaks() throws(Finding) {
    let isSource = stage.kind == .source
    func cycle() throws(Finding) {
      let host = try host(isCheckOnly: isSource)
      guard try start(host) else { throw Finding(host.startFailure ?? "create did not come back") }
      guard host.stop() != nil else { throw Finding("did not stop within 10 s") }
      try requireRules(host)
    }
    // The first may fill caches that belong to the module.
    try cycle()
    let before = Self.resources()
    for _ in 0..<4 { try cycle() }
    var after = Self.resources()
    // A thread that has been joined can still be seen for a moment.
    for _ in 0..<100 where after.threads > before.threads || after.descriptors > before.descriptors {
      usleep(10_000)
      after = Self.resources()
    }
    if after.threads > before.threads {
      throw Finding("4 instances left \(after.threads - before.threads) threads behind")
    }
    if after.descriptors > before.descriptors {
      throw Finding("4 instances left \(after.descriptors - before.descriptors) descriptors open")
    }
  }

  private static func resources() -> (threads: Int, descriptors: Int) {
    (directoryEntries("/proc/self/task").count, directoryEntries("/proc/self/fd").count)
  }

  private func job(
    addresses: [Address], content: [UInt8], extentOctets: Int = 1 << 20
  ) throws(Finding) -> String {
    let host = try host()
    guard try start(host) else {
      var finding = Finding("not examined: \(host.startFailure ?? "start did not come back")")
      if host.startFailure != nil { finding.outcome = .skipped }
      throw finding
    }
    let envelope = Envelope(
      reversePath: .smtp("sender@gateway.invalid"), recipients: addresses.map { Recipient($0) }, envelopeID: "check",
      attributes: [Attribute("client.address", "192.0.2.1")])
    let job: UInt64
    do throws(RecordingHostError) {
      job = try host.submit(envelope, content: content, extentOctets: extentOctets)
    } catch { throw Finding("the examination itself failed: \(error)") }
    var note = ""
    if !host.wait(seconds: Self.answerSeconds, until: { $0.outcomes[job] != nil }) {
      host.cancel(job)
      guard host.wait(seconds: Self.cancelSeconds, until: { $0.outcomes[job] != nil }) else {
        throw Finding(
          "the job was not finished within \(Self.answerSeconds) s, nor within \(Self.cancelSeconds) s of cancel")
      }
      note = "finished only when asked by cancel"
    }
    guard let outcome = host.outcomes[job] else { throw Finding("no outcome") }
    let unanswered = outcome.answers.filter { $0 == .unanswered }.count
    guard outcome.answers.count == addresses.count, unanswered == 0 else {
      throw Finding("\(unanswered) of \(addresses.count) recipients have no answer")
    }
    try requireRules(host)
    try requireEmissions(outcome)
    guard host.stop() != nil else { throw Finding("did not stop within 10 s") }
    try requireRules(host)
    return note
  }

  /// Recipients of a job that moved are recipients of what was emitted.
  private func requireEmissions(_ outcome: RecordingHost.Outcome) throws(Finding) {
    for emission in outcome.emissions where emission.envelope.recipients.isEmpty {
      throw Finding("emitted a message without recipients")
    }
    for (index, emission) in outcome.emissions.enumerated() {
      let moved = outcome.answers.filter { $0 == .moved(emission: UInt32(index)) }.count
      guard moved <= emission.envelope.recipients.count || moved == 0 else {
        throw Finding("\(moved) recipients moved to a message that has \(emission.envelope.recipients.count)")
      }
    }
  }

  private func requireRules(_ host: RecordingHost) throws(Finding) {
    guard let first = host.violations.first else { return }
    throw Finding(
      "broke a rule: \(first)" + (host.violations.count > 1 ? " (and \(host.violations.count - 1) more)" : ""))
  }

  // MARK: Messages

  /// A message of RFC 5322 of so many octets, lines of 78.
  private static func message(octets: Int) -> [UInt8] {
    var content = Array("From: <sender@gateway.invalid>\r\nSubject: check\r\n\r\n".utf8)
    let line = Array(repeating: UInt8(ascii: "x"), count: 76) + [13, 10]
    while content.count + line.count <= octets { content += line }
    return content
  }

  /// Addresses that peers have sent or could: quoted, literal, long, in UTF-8, of other kinds, and no addresses at all.
  private static let oddAddresses: [Address] = [
    .smtp("postmaster"), .smtp("\"quoted local\"@host.invalid"), .smtp("a@[192.0.2.1]"), .smtp("a@[IPv6:2001:db8::1]"),
    .smtp("grüße@bücher.invalid"), .smtp("@"), .smtp("a@b@c.invalid"), .smtp("\r\nRCPT TO:<x@host.invalid>"),
    .smtp("nul\0@host.invalid"), .smtp(String(repeating: "l", count: 300) + "@host.invalid"),
    .smtp("a@" + String(repeating: "d.", count: 2_000) + "invalid"), .smtp(String(repeating: "x", count: 60_000)),
    .smtp(" "), .smtp("%n%s%p@host.invalid"),
    Address(.x400, "C=ZZ;ADMD= ;PRMD=TEST;O=CHECK;S=NOBODY"), Address(.x400, "not an O/R address"),
    Address(.msmail, "NET/OFFICE/NOBODY"), Address(.msmail, "//"), Address(.other, "FAX:+1"),
  ]
}

import CInterchange
import Foundation
import Glibc
import MailModel
import Platform
import Testing

/// A configuration as a stage sees it.
indirect enum TestConfig {
  case text(String)
  case integer(Int64)
  case seconds(Double)
  case boolean(Bool)
  case list([TestConfig])
  case record([String: TestConfig])
}

extension TestConfig: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByDictionaryLiteral,
  ExpressibleByArrayLiteral, ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral
{
  init(stringLiteral value: String) { self = .text(value) }
  init(integerLiteral value: Int64) { self = .integer(value) }
  init(floatLiteral value: Double) { self = .seconds(value) }
  init(booleanLiteral value: Bool) { self = .boolean(value) }
  init(arrayLiteral elements: TestConfig...) { self = .list(elements) }
  init(dictionaryLiteral elements: (String, TestConfig)...) {
    self = .record(Dictionary(uniqueKeysWithValues: elements))
  }
}

final class TestNode {
  let value: TestConfig
  private(set) var children: [(key: String, node: TestNode)] = []

  init(_ value: TestConfig) {
    self.value = value
    switch value {
    case .list(let elements): children = elements.map { ("", TestNode($0)) }
    case .record(let members): children = members.sorted { $0.key < $1.key }.map { ($0.key, TestNode($0.value)) }
    default: break
    }
  }

  static func of(_ pointer: OpaquePointer?) -> TestNode? {
    pointer.map { Unmanaged<TestNode>.fromOpaque(UnsafeRawPointer($0)).takeUnretainedValue() }
  }

  var pointer: OpaquePointer { OpaquePointer(Unmanaged.passUnretained(self).toOpaque()) }
}

struct TestMessage {
  var reversePath: String?
  var body: UInt32
  var recipients: [String]
  var attributes: [String: String]
  var content: [UInt8]

  var text: String { String(decoding: content, as: UTF8.self) }
}

final class TestDraft {
  unowned let host: LoopHost
  var message = TestMessage(reversePath: nil, body: 0, recipients: [], attributes: [:], content: [])
  var room: (() -> Void)?

  init(_ host: LoopHost) { self.host = host }

  static func of(_ pointer: OpaquePointer) -> TestDraft {
    Unmanaged<TestDraft>.fromOpaque(UnsafeRawPointer(pointer)).takeUnretainedValue()
  }
}

struct TestAnswer {
  var kind: UInt32
  var code: String
  var text: String
  var remoteHost: String?
  var remoteText: String?
  var retryAfter: Double
}

final class TestJob {
  let envelope: Envelope
  let content: [UInt8]
  /// The content is lent in pieces of so many octets.
  let pieceOctets: Int
  private(set) var answers: [Int: TestAnswer] = [:]
  fileprivate(set) var isFinished = false
  fileprivate let storage: UnsafeMutableBufferPointer<UInt8>

  init(_ envelope: Envelope, _ content: String, pieceOctets: Int = 4096) {
    self.envelope = envelope
    self.content = Array(content.utf8)
    self.pieceOctets = pieceOctets
    storage = .allocate(capacity: max(1, self.content.count))
    _ = storage.update(from: self.content)
  }

  deinit { storage.deallocate() }

  static func of(_ pointer: OpaquePointer) -> TestJob {
    Unmanaged<TestJob>.fromOpaque(UnsafeRawPointer(pointer)).takeUnretainedValue()
  }

  fileprivate func answer(_ recipient: Int, _ raw: ix_answer) -> ix_status {
    guard !isFinished, answers[recipient] == nil, envelope.recipients.indices.contains(recipient) else {
      return IX_INVALID
    }
    answers[recipient] = TestAnswer(
      kind: raw.kind, code: "\(raw.status_class).\(raw.status_subject).\(raw.status_detail)",
      text: swift(raw.text) ?? "",
      remoteHost: swift(raw.remote_host), remoteText: swift(raw.remote_text), retryAfter: raw.retry_after)
    return IX_OK
  }
}

func swift(_ text: ix_text) -> String? {
  text.octets.map { octets in
    String(decoding: UnsafeRawBufferPointer(start: octets, count: text.count), as: UTF8.self)
  }
}

/// Text that lives as long as the process, as tests do.
func eternal(_ text: String?) -> ix_text {
  guard let text else { return ix_text(octets: nil, count: 0) }
  return ix_text(octets: strdup(text), count: text.utf8.count)
}

/// The host that one stage instance sees, on an event loop that the test turns by hand. Its clock can be moved ahead.
final class LoopHost {
  enum Verdict {
    case accept
    case refuse(UInt32, UInt32, UInt32, String)
    /// Kept in `held`, until the test decides.
    case hold
  }

  struct HostMemory {
    var host: ix_host
    var owner: UnsafeRawPointer
  }

  let loop: EventLoop
  private let memory = UnsafeMutablePointer<HostMemory>.allocate(capacity: 1)
  private var stage: UnsafePointer<ix_stage_class>?
  private var instance: OpaquePointer?
  private var config = TestNode(.record([:]))
  var nodeName = "gw.example"
  var congestion = IX_FLOWING.rawValue
  var contentOctetsMax: UInt64 = 1 << 30
  var recipientsMax = 1000
  var verdict = Verdict.accept
  /// Octets that drafts may still take.
  var room = Int.max
  var refusesDrafts = false
  /// Timers of half a second and more never fire: nothing may depend on the tick that is not about time.
  var stopsTicking = false
  /// Seconds by which this host's monotonic clock is ahead.
  var clockAheadSeconds = 0.0
  private(set) var logs: [String] = []
  private(set) var complaints: [String] = []
  private(set) var metrics: [String: Int64] = [:]
  private(set) var accepted: [TestMessage] = []
  private(set) var openDrafts: [ObjectIdentifier: TestDraft] = [:]
  private(set) var held: [(IX: (UnsafePointer<ix_verdict>) -> Void, message: TestMessage)] = []
  private var jobs: [TestJob] = []

  init(_ loop: EventLoop) {
    self.loop = loop
    memory.initialize(
      to: HostMemory(
        host: ix_host(
          size: MemoryLayout<ix_host>.size, level: UInt32(IX_LEVEL), flags: 0,
          get_extension: { _, id in id.flatMap { tables[String(cString: $0)] } }),
        owner: UnsafeRawPointer(Unmanaged.passUnretained(self).toOpaque())))
  }

  deinit {
    if let instance { stage?.pointee.destroy(instance) }
    memory.deallocate()
  }

  static func of(_ host: UnsafePointer<ix_host>) -> LoopHost {
    let memory = UnsafeRawPointer(host).assumingMemoryBound(to: HostMemory.self)
    return Unmanaged<LoopHost>.fromOpaque(memory.pointee.owner).takeUnretainedValue()
  }

  private var host: UnsafePointer<ix_host> { UnsafeRawPointer(memory).assumingMemoryBound(to: ix_host.self) }

  /// Makes an instance of the module's stage.
  func create(_ module: UnsafePointer<ix_module>, _ name: String, _ config: TestConfig) -> ix_status {
    let stages = UnsafeBufferPointer(start: module.pointee.stages, count: module.pointee.stage_count)
    guard let index = stages.firstIndex(where: { swift($0.name) == name }) else { return IX_FAILED }
    self.config = TestNode(config)
    stage = module.pointee.stages + index
    return stage?.pointee.create(stage, host, self.config.pointer, &instance) ?? IX_FAILED
  }

  func start() -> ix_status { stage?.pointee.start(instance) ?? IX_FAILED }
  func stop() { stage?.pointee.stop(instance) }

  func destroy() {
    if let instance { stage?.pointee.destroy(instance) }
    instance = nil
  }

  func submit(_ job: TestJob) {
    jobs.append(job)
    stage?.pointee.submit(instance, OpaquePointer(Unmanaged.passUnretained(job).toOpaque()))
  }

  func cancel(_ job: TestJob) {
    stage?.pointee.cancel(instance, OpaquePointer(Unmanaged.passUnretained(job).toOpaque()))
  }

  /// Lets drafts that found no room try again.
  func makeRoom() {
    room = .max
    for draft in openDrafts.values {
      let room = draft.room
      draft.room = nil
      room?()
    }
  }

  var listeningAddress: SocketAddress? {
    guard let line = logs.first(where: { $0.hasPrefix("listening on ") }) else { return nil }
    return Endpoint(String(line.dropFirst("listening on ".count)))?.address
  }

  fileprivate func make() -> OpaquePointer? {
    guard !refusesDrafts else { return nil }
    let draft = TestDraft(self)
    openDrafts[ObjectIdentifier(draft)] = draft
    return OpaquePointer(Unmanaged.passUnretained(draft).toOpaque())
  }

  fileprivate func forget(_ draft: TestDraft) { openDrafts[ObjectIdentifier(draft)] = nil }

  fileprivate func log(_ line: String) { logs.append(line) }
  fileprivate func complain(_ line: String) { complaints.append(line) }
  fileprivate func add(_ name: String, _ delta: Int64) { metrics[name, default: 0] += delta }

  fileprivate func offer(_ draft: TestDraft, _ tell: @escaping (UnsafePointer<ix_verdict>) -> Void) {
    forget(draft)
    let message = draft.message
    switch verdict {
    case .accept:
      _ = loop.post { self.accept(message, tell) }
    case .refuse(let first, let second, let third, let text):
      _ = loop.post {
        var verdict = ix_verdict()
        verdict.size = MemoryLayout<ix_verdict>.size
        verdict.status = first == 4 ? IX_AGAIN : IX_INVALID
        verdict.status_class = first
        verdict.status_subject = second
        verdict.status_detail = third
        verdict.text = eternal(text)
        tell(&verdict)
      }
    case .hold: held.append((tell, message))
    }
  }

  private func accept(_ message: TestMessage, _ tell: (UnsafePointer<ix_verdict>) -> Void) {
    accepted.append(message)
    var verdict = ix_verdict()
    verdict.size = MemoryLayout<ix_verdict>.size
    verdict.status = IX_OK
    verdict.queue_id = eternal("Q\(accepted.count)")
    tell(&verdict)
  }

  func acceptHeld() {
    let waiting = held
    held = []
    for (tell, message) in waiting { accept(message, tell) }
  }
}

/// Turns the loop until the condition holds; false when it does not within a few seconds.
func turn(_ loop: EventLoop, seconds: Double = 5, until condition: () -> Bool) throws -> Bool {
  let end = MonotonicTime.now().advanced(bySeconds: seconds)
  while !condition() {
    guard MonotonicTime.now() < end else { return false }
    try loop.runOnce(timeoutSeconds: 0.02)
  }
  return true
}

// The tables of interchange.h. SAFETY: made once, never changed.

private func eternalTable<Table>(_ table: Table) -> UnsafeRawPointer {
  let memory = UnsafeMutablePointer<Table>.allocate(capacity: 1)
  memory.initialize(to: table)
  return UnsafeRawPointer(memory)
}

nonisolated(unsafe) private let tables: [String: UnsafeRawPointer] = [
  IX_JOB: eternalTable(jobFunctions()), IX_DRAFT: eternalTable(draftFunctions()),
  IX_INGEST: eternalTable(ingestFunctions()), IX_LOOP: eternalTable(loopFunctions()),
  IX_CONFIG: eternalTable(configFunctions()), IX_DIAGNOSTICS: eternalTable(diagnosticsFunctions()),
  IX_LOG: eternalTable(logFunctions()), IX_METRICS: eternalTable(metricsFunctions()),
]

private func jobFunctions() -> ix_job_functions {
  var table = ix_job_functions()
  table.size = MemoryLayout<ix_job_functions>.size
  table.queue_id = { _ in eternal("QJOB") }
  table.attempt = { _ in 1 }
  table.envelope = { job, out in
    guard let job, let out else { return }
    let envelope = TestJob.of(job).envelope
    out.pointee.reverse_path_kind = UInt32(envelope.reversePath?.kind.rawValue ?? 0)
    out.pointee.reverse_path = eternal(envelope.reversePath?.text)
    out.pointee.envelope_id = eternal(envelope.envelopeID)
    out.pointee.return_content = UInt32(envelope.returnContent?.rawValue ?? 0)
    out.pointee.body = UInt32(envelope.bodyType.rawValue)
    out.pointee.smtputf8 = envelope.smtputf8 ? 1 : 0
  }
  table.recipient_count = { job in job.map { TestJob.of($0).envelope.recipients.count } ?? 0 }
  table.recipient = { job, index, out in
    guard let job, let out else { return IX_INVALID }
    let recipient = TestJob.of(job).envelope.recipients[index]
    out.pointee.address_kind = UInt32(recipient.address.kind.rawValue)
    out.pointee.address = eternal(recipient.address.text)
    out.pointee.notify = recipient.notify.map { UInt32($0.rawValue) } ?? IX_NOTIFY_UNSAID.rawValue
    out.pointee.original_type = eternal(recipient.originalRecipient?.type)
    out.pointee.original_address = eternal(recipient.originalRecipient?.text)
    return IX_OK
  }
  table.attribute_count = { _, _ in 0 }
  table.attribute = { _, _, _, _, _ in IX_INVALID }
  table.accepted_at = { _ in 0 }
  table.content_octets = { job in job.map { UInt64(TestJob.of($0).content.count) } ?? 0 }
  table.content = { job, offset, out in
    guard let job, let out else { return IX_INVALID }
    let test = TestJob.of(job)
    let start = Int(offset)
    out.pointee = ix_span(
      octets: test.storage.baseAddress?.advanced(by: start),
      count: max(0, min(test.pieceOctets, test.content.count - start)))
    return IX_OK
  }
  table.answer = { job, recipient, answer in
    guard let job, let answer else { return IX_INVALID }
    return TestJob.of(job).answer(recipient, answer.pointee)
  }
  table.answer_rest = { job, answer in
    guard let job, let answer else { return IX_INVALID }
    let test = TestJob.of(job)
    for index in test.envelope.recipients.indices { _ = test.answer(index, answer.pointee) }
    return IX_OK
  }
  table.emit = { _, _, _, _ in IX_INVALID }
  table.finish = { job in if let job { TestJob.of(job).isFinished = true } }
  return table
}

private func draftFunctions() -> ix_draft_functions {
  var table = ix_draft_functions()
  table.size = MemoryLayout<ix_draft_functions>.size
  table.create = { host in host.flatMap { LoopHost.of($0).make() } }
  table.set_envelope = { draft, envelope in
    guard let draft, let envelope else { return IX_INVALID }
    TestDraft.of(draft).message.reversePath = swift(envelope.pointee.reverse_path)
    TestDraft.of(draft).message.body = envelope.pointee.body
    return IX_OK
  }
  table.add_recipient = { draft, recipient in
    guard let draft, let recipient else { return IX_INVALID }
    TestDraft.of(draft).message.recipients.append(swift(recipient.pointee.address) ?? "")
    return IX_OK
  }
  table.add_attribute = { draft, _, name, value in
    guard let draft else { return IX_INVALID }
    TestDraft.of(draft).message.attributes[swift(name) ?? ""] = swift(value) ?? ""
    return IX_OK
  }
  table.copy_envelope = { _, _ in IX_INVALID }
  table.write = { draft, span in
    guard let draft else { return IX_INVALID }
    let test = TestDraft.of(draft)
    guard span.count <= test.host.room else { return IX_AGAIN }
    test.host.room -= span.count
    test.message.content.append(contentsOf: UnsafeRawBufferPointer(start: span.octets, count: span.count))
    return test.message.content.count > test.host.contentOctetsMax ? IX_TOO_BIG : IX_OK
  }
  table.write_waiting = { _, _ in IX_INVALID }
  table.keep_content = { _, _ in IX_INVALID }
  table.discard = { draft in
    guard let draft else { return }
    let test = TestDraft.of(draft)
    test.host.forget(test)
  }
  table.on_room = { draft, room, user in
    guard let draft, let room else { return }
    TestDraft.of(draft).room = { room(user) }
  }
  return table
}

private func ingestFunctions() -> ix_ingest_functions {
  ix_ingest_functions(
    size: MemoryLayout<ix_ingest_functions>.size,
    offer: { draft, _, verdict, user in
      guard let draft, let verdict else { return IX_INVALID }
      let test = TestDraft.of(draft)
      test.host.offer(test) { verdict(user, $0) }
      return IX_OK
    },
    congestion: { host in host.map { LoopHost.of($0).congestion } ?? 0 },
    content_octets_max: { host in host.map { LoopHost.of($0).contentOctetsMax } ?? 0 },
    recipients_max: { host in host.map { LoopHost.of($0).recipientsMax } ?? 0 })
}

private func loopFunctions() -> ix_loop_functions {
  ix_loop_functions(
    size: MemoryLayout<ix_loop_functions>.size,
    watch: { host, descriptor, events, ready, user in
      guard let host, let ready else { return IX_INVALID }
      do {
        try LoopHost.of(host).loop.watch(descriptor, DescriptorEvents(rawValue: events)) { ready(user, $0.rawValue) }
        return IX_OK
      } catch {
        return IX_FAILED
      }
    },
    unwatch: { host, descriptor in if let host { LoopHost.of(host).loop.unwatch(descriptor) } },
    timer: { host, seconds, fire, user in
      guard let host, let fire else { return 0 }
      let never = LoopHost.of(host).stopsTicking && seconds >= 0.5
      return LoopHost.of(host).loop.timer(afterSeconds: never ? 1e6 : seconds) { fire(user) }.rawValue
    },
    cancel_timer: { host, number in
      guard let host else { return false }
      return LoopHost.of(host).loop.cancel(TimerNumber(rawValue: number))
    },
    post: { host, call, user in
      guard let host, let call else { return IX_INVALID }
      return LoopHost.of(host).loop.post { call(user) } ? IX_OK : IX_CLOSED
    },
    monotonic: { host in
      MonotonicTime.now().nanoseconds + Int64((host.map { LoopHost.of($0).clockAheadSeconds } ?? 0) * 1e9)
    },
    wall: { _ in WallTime.now().millisecondsSinceEpoch })
}

private func configFunctions() -> ix_config_functions {
  var table = ix_config_functions()
  table.size = MemoryLayout<ix_config_functions>.size
  table.kind = { node in
    switch TestNode.of(node)?.value {
    case .text: IX_SETTING_STRING.rawValue
    case .integer: IX_SETTING_INTEGER.rawValue
    case .seconds: IX_SETTING_DURATION.rawValue
    case .boolean: IX_SETTING_BOOLEAN.rawValue
    case .list: IX_SETTING_LIST.rawValue
    case .record: IX_SETTING_RECORD.rawValue
    case nil: 0
    }
  }
  table.member = { node, key in
    guard let key else { return nil }
    let name = String(cString: key)
    return TestNode.of(node)?.children.first { $0.key == name }?.node.pointer
  }
  table.count = { node in TestNode.of(node)?.children.count ?? 0 }
  table.element = { node, index in TestNode.of(node)?.children[index].node.pointer }
  table.key = { node, index in eternal(TestNode.of(node)?.children[index].key) }
  table.text = { node, fallback in
    if case .text(let text) = TestNode.of(node)?.value { eternal(text) } else { fallback }
  }
  table.integer = { node, fallback in
    if case .integer(let number) = TestNode.of(node)?.value { number } else { fallback }
  }
  table.real = { node, fallback in
    switch TestNode.of(node)?.value {
    case .seconds(let seconds): seconds
    case .integer(let number): Double(number)
    default: fallback
    }
  }
  table.boolean = { node, fallback in
    if case .boolean(let value) = TestNode.of(node)?.value { value } else { fallback }
  }
  table.position = { _, _, _, _ in }
  table.node_name = { host in eternal(host.map { LoopHost.of($0).nodeName }) }
  table.instance_id = { _ in eternal("test") }
  table.state_directory = { _ in eternal("/nonexistent") }
  return table
}

private func diagnosticsFunctions() -> ix_diagnostics_functions {
  ix_diagnostics_functions(
    size: MemoryLayout<ix_diagnostics_functions>.size,
    report: { host, _, _, text in if let host { LoopHost.of(host).complain(swift(text) ?? "") } })
}

private func logFunctions() -> ix_log_functions {
  ix_log_functions(
    size: MemoryLayout<ix_log_functions>.size,
    log: { host, _, _, text in if let host { LoopHost.of(host).log(swift(text) ?? "") } })
}

private func metricsFunctions() -> ix_metrics_functions {
  ix_metrics_functions(
    size: MemoryLayout<ix_metrics_functions>.size,
    add: { host, name, delta in if let host { LoopHost.of(host).add(swift(name) ?? "", delta) } },
    set: { _, _, _ in })
}

import Foundation
import MailModel
import Platform
import Testing

@testable import DeadLetterStore

@Suite struct DeadLetterStoreTests {
  @Test func `a letter is a directory that anyone can read`() throws {
    let directory = try TemporaryDirectory()
    let store = try DeadLetterStore(path: directory.path)
    let id = try store.store(letter())
    #expect(id.description == "\(QueueID(rawValue: 1 << 40))-1")
    #expect(directory.names == [".lock", id.description])
    #expect(directory.octets("\(id)/content.eml") == sampleContent)
    #expect(
      String(decoding: try #require(directory.octets("\(id)/letter.txt")), as: UTF8.self) == """
        interchange-dead-letter: 1
        id: \(id)
        stored: 1795210220000 2026-11-20T21:30:20Z
        content-octets: \(sampleContent.count)
        accepted: 1795210000000 2026-11-20T21:26:40Z
        stage: imc_out
        code: 5.1.1
        reason: no such mailbox
        reverse-path: smtp alice@example.org
        body: 7bit

        recipient: smtp bob@example.net
        code: 5.1.1
        reason: no such mailbox

        """)
    #expect(
      String(decoding: try #require(directory.octets("\(id)/history.txt")), as: UTF8.self)
        == "1795210000000 2026-11-20T21:26:40Z  accepted by imc_in\n")
    #expect(try store.read(id) == letter())
    #expect(try store.content(of: id) == sampleContent)
    let listed = try store.list()
    #expect(listed.map(\.id) == [id])
    #expect(listed[0].storedAt == letter().storedAt)
  }

  @Test(arguments: [
    "", " ", "\r\n.\r\nid: x", "\0", "\\", "\\u{41}", "\u{202E}ü\u{85}", "a: b", " two  spaces ", "null",
    String(repeating: "(", count: 65536),
  ])
  func `what comes from outside stays in its line and comes back as it was`(_ text: String) throws {
    let directory = try TemporaryDirectory()
    let store = try DeadLetterStore(path: directory.path)
    var hostile = letter()
    hostile.stage = text
    hostile.envelope = Envelope(
      reversePath: Address(.x400, text), recipients: [], envelopeID: text, returnContent: .headers,
      bodyType: .binaryMIME, smtputf8: true, attributes: [Attribute(text, text), Attribute("b", "c")])
    hostile.entries = [
      DeadLetter.Entry(
        Recipient(
          .smtp(text), notify: [.failure, .delay], originalRecipient: OriginalRecipient(type: text, text: text),
          attributes: [Attribute(text, text)]),
        DeliveryStatus(.unableToRoute, text, remote: RemoteReply(host: text, type: text, text: text))),
      DeadLetter.Entry(Recipient(Address(.other, text), notify: .never), DeliveryStatus(.success, "")),
    ]
    hostile.history = [DeadLetter.Event(at: hostile.storedAt, text), DeadLetter.Event(at: hostile.storedAt, "x")]
    let id = try store.store(hostile)
    #expect(try store.read(id) == hostile)
    for name in ["letter.txt", "history.txt"] {
      let octets = try #require(directory.octets("\(id)/\(name)"))
      #expect(octets.allSatisfy { $0 >= 0x20 || $0 == 0x0A })
    }
    var null = letter(2 << 40)
    null.envelope.reversePath = nil
    #expect(try store.read(try store.store(null)).envelope.reversePath == nil)
  }

  @Test func `the same letter again is the letter that is there`() throws {
    let directory = try TemporaryDirectory()
    let store = try DeadLetterStore(path: directory.path)
    let first = try store.store(letter(to: ["a@x", "b@x"]))
    #expect(try store.store(letter(to: ["b@x", "a@x"], storedAt: 5)) == first)
    let second = try store.store(letter(to: ["a@x"]))
    #expect(second.number == 2)
    #expect(try store.store(letter(to: ["a@x"])) == second)
    #expect(try store.store(letter(3 << 40, to: ["a@x"])).number == 1)
    #expect(try store.list().count == 3)
    // One whose text is damaged is taken for another: rather twice than not at all.
    try Data("x".utf8).write(to: URL(fileURLWithPath: "\(directory.path)/\(second)/letter.txt"))
    #expect(try store.store(letter(to: ["a@x"])).number == 3)
    #expect(throws: DeadLetterError.damaged("letter.txt:1")) { try store.read(second) }
    #expect(try store.list().first { $0.id == second }?.storedAt == nil)
  }

  @Test func `after a failure at any call the letter is whole or absent, and can be stored again`() throws {
    for crashes in [false, true] {
      var failing = 1
      while true {
        let directory = try TemporaryDirectory()
        let calls = FaultingFileCalls(failing: failing, crashes: crashes)
        let store = try DeadLetterStore(path: directory.path, calls: calls)
        let stored = try? store.store(letter())
        if calls.count < failing {
          #expect(stored != nil)
          break
        }
        #expect(stored == nil, "call \(failing)")
        let after = try DeadLetterStore(path: directory.path)
        for summary in try after.list() {
          #expect(try after.read(summary.id) == letter())
          #expect(try after.content(of: summary.id) == sampleContent)
        }
        let id = try after.store(letter())
        #expect(directory.names == [".lock", id.description], "call \(failing)")
        #expect(try after.content(of: id) == sampleContent)
        failing += 1
      }
      #expect(failing > 20)
    }
  }

  @Test func `a letter is synced before it has its name, and named before it is said to be stored`() throws {
    let directory = try TemporaryDirectory()
    let calls = FaultingFileCalls(failing: Int.max, crashes: false)
    let store = try DeadLetterStore(path: directory.path, calls: calls)
    _ = try store.store(letter())
    let steps = calls.made.filter { ["mkdirat", "fdatasync", "fsync", "renameat"].contains($0) }
    #expect(steps == ["mkdirat", "fdatasync", "fdatasync", "fdatasync", "fsync", "renameat", "fsync"])
  }

  @Test func `content of another length than announced is not a letter`() throws {
    let directory = try TemporaryDirectory()
    let store = try DeadLetterStore(path: directory.path)
    for announced in [sampleContent.count - 1, sampleContent.count + 1, 0] {
      #expect(throws: DeadLetterError.self) { try store.store(letter(octets: announced)) }
      #expect(directory.names == [".lock"])
    }
    let empty = try store.store(letter(octets: 0), octets: [])
    #expect(try store.content(of: empty) == [])
  }

  @Test func `quotas refuse the letter and leave the message where it was`() throws {
    let directory = try TemporaryDirectory()
    let two = try DeadLetterStore(path: directory.path, settings: .init(lettersMax: 2))
    let first = try two.store(letter(1 << 30))
    _ = try two.store(letter(2 << 30))
    #expect(throws: DeadLetterError.quota("2 letters")) { try two.store(letter(3 << 30)) }
    #expect(try two.store(letter(1 << 30)) == first)
    let used = try two.list().reduce(0) { $0 + $1.octets }
    let small = try DeadLetterStore(path: directory.path, settings: .init(octetsMax: used + 100))
    #expect(throws: DeadLetterError.quota("\(used + 100) octets")) { try small.store(letter(3 << 30)) }
    let large = try DeadLetterStore(path: directory.path, settings: .init(octetsMax: used + 1000))
    _ = try large.store(letter(3 << 30))
    try two.drop(first)
    #expect(throws: DeadLetterError.quota("2 letters")) { try two.store(letter(4 << 30)) }
  }

  @Test func `letters leave by age, and the caller hears which`() throws {
    let directory = try TemporaryDirectory()
    let store = try DeadLetterStore(path: directory.path)
    let old = try store.store(letter(1 << 30, storedAt: 1000))
    let edge = try store.store(letter(2 << 30, storedAt: 10_000))
    let damaged = try store.store(letter(3 << 30, storedAt: 1000))
    try Data("stored: soon\n".utf8).write(to: URL(fileURLWithPath: "\(directory.path)/\(damaged)/letter.txt"))
    let now = WallTime(millisecondsSinceEpoch: 70_000)
    #expect(try store.sweep(keepSeconds: .infinity, now: now).isEmpty)
    #expect(try store.sweep(keepSeconds: 60, now: now).map(\.id) == [old])
    #expect(directory.names == [".lock", edge.description, damaged.description])
  }

  @Test func `dropped is gone, exported is a copy`() throws {
    let directory = try TemporaryDirectory()
    let target = try TemporaryDirectory()
    let store = try DeadLetterStore(path: directory.path)
    let id = try store.store(letter())
    try store.export(id, to: target.path)
    try store.drop(id)
    #expect(directory.names == [".lock"])
    #expect(target.octets("\(id)/content.eml") == sampleContent)
    #expect(try DeadLetterStore(path: target.path).read(id) == letter())
    #expect(throws: DeadLetterError.noSuchLetter) { try store.drop(id) }
    #expect(throws: DeadLetterError.noSuchLetter) { try store.read(id) }
    #expect(throws: DeadLetterError.noSuchLetter) { try store.export(id, to: target.path) }
  }

  @Test func `reasons that came as attributes become statuses`() {
    let why = [
      Attribute("dead.code", "5.4.4"), Attribute("x", "y"), Attribute("dead.text", "no route"),
      Attribute("dead.remote", "mx: 550 no"),
    ]
    let envelope = Envelope(
      reversePath: nil,
      recipients: [
        Recipient(.smtp("a@x"), attributes: why), Recipient(.smtp("b@x"), attributes: [Attribute("dead.code", "x")]),
        Recipient(.smtp("c@x")),
      ])
    let made = DeadLetter(
      queueID: QueueID(rawValue: 1), acceptedAt: letter().acceptedAt, storedAt: letter().storedAt, buried: envelope,
      contentOctets: 0)
    #expect(
      made.entries == [
        DeadLetter.Entry(
          Recipient(.smtp("a@x"), attributes: [Attribute("x", "y")]),
          DeliveryStatus(.unableToRoute, "no route (mx: 550 no)")),
        DeadLetter.Entry(
          Recipient(.smtp("b@x")), DeliveryStatus(EnhancedStatusCode(.permanent, 0, 0), "no reason was given")),
        DeadLetter.Entry(
          Recipient(.smtp("c@x")), DeliveryStatus(EnhancedStatusCode(.permanent, 0, 0), "no reason was given")),
      ])
  }

  @Test func `one writer at a time`() throws {
    let directory = try TemporaryDirectory()
    let one = try DeadLetterStore(path: directory.path)
    let other = try DeadLetterStore(path: directory.path)
    let id = try one.store(letter(octets: 0)) { _ throws(DeadLetterError) in
      #expect(throws: DeadLetterError.busy) { try other.store(letter(2 << 40)) }
      #expect(throws: DeadLetterError.busy) { try other.drop(LetterID(QueueID(rawValue: 1), 1)) }
    }
    #expect(try other.list().map(\.id) == [id])
  }

  @Test func `other things in the directory are left alone`() throws {
    let directory = try TemporaryDirectory()
    for name in ["notes", "\(QueueID(rawValue: 1))-0", "\(QueueID(rawValue: 1))-01", "x-1"] {
      try FileManager.default.createDirectory(atPath: "\(directory.path)/\(name)", withIntermediateDirectories: true)
    }
    let store = try DeadLetterStore(path: directory.path)
    #expect(try store.list().isEmpty)
    _ = try store.sweep(keepSeconds: 0, now: WallTime(millisecondsSinceEpoch: Int64.max))
    #expect(directory.names.count == 5)
    #expect(LetterID("\(QueueID(rawValue: 1))-1")?.number == 1)
    #expect(throws: DeadLetterError.self) { try DeadLetterStore(path: "\(directory.path)/missing") }
  }
}

import MailModel
import Spool
import SpoolTesting
import Testing

/// What every engine must do; written against the protocol, run over each engine by its fixture.
struct ConformanceTests {
  static let fixtures: [@Sendable () -> any SpoolFixture] = [{ LogFixture() }]

  @Test(arguments: 0..<fixtures.count)
  func `a committed message comes back with its envelope, its content and its states`(_ engine: Int) throws {
    let fixture = Self.fixtures[engine]()
    let spool = try fixture.open()
    #expect(try spool.recovered().isEmpty)
    try spool.accept(1, recipients: 3, octets: 5000)
    try spool.commit()
    let status = DeliveryStatus(
      .noAnswer, "no answer", remote: RemoteReply(host: "mx", type: "smtp", text: "421 busy"))
    let deferred = RecipientState.deferred(
      stage: "out", until: WallTime(millisecondsSinceEpoch: 99), attempts: 2, status)
    try spool.append([.recipients(id(1), [1], deferred), .recipients(id(1), [2], done)])
    try spool.commit()
    #expect(try fixture.octets(try #require(spool.extents(of: id(1))), of: spool) == content(1, octets: 5000))
    fixture.kill(spool)
    let again = try fixture.open()
    let all = try again.recovered()
    #expect(all.map(\.message) == [stored(1, recipients: 3, contentOctets: 5000)])
    #expect(all.first?.states == [.queued(stage: "route", attempts: 0, suspicions: 0), deferred, done])
    #expect(try fixture.octets(try #require(all.first).extents, of: again) == content(1, octets: 5000))
    #expect(again.lastQueueID == id(1))
  }

  @Test(arguments: 0..<fixtures.count)
  func `a message whose recipients have all ended does not come back`(_ engine: Int) throws {
    let fixture = Self.fixtures[engine]()
    let spool = try fixture.open()
    _ = try spool.recovered()
    try spool.accept(1, recipients: 2)
    try spool.accept(2)
    try spool.end(1, [0])
    try spool.end(1, [1])
    try spool.commit()
    #expect(spool.extents(of: id(1)) == nil)
    fixture.kill(spool)
    let again = try fixture.open()
    #expect(try again.recovered().map(\.message.id) == [id(2)])
    #expect(again.lastQueueID == id(2))
  }

  @Test(arguments: 0..<fixtures.count)
  func `every state survives a restart`(_ engine: Int) throws {
    let fixture = Self.fixtures[engine]()
    let status = DeliveryStatus(.badDestinationMailbox, "unknown")
    let states: [RecipientState] = [
      .queued(stage: "a", attempts: 7, suspicions: 2),
      .deferred(stage: "b", until: WallTime(millisecondsSinceEpoch: -5), attempts: 1, status),
      .held(stage: "c", attempts: 3, reason: "rule 7"), done, .failed(status, report: id(900)),
      .failed(status, report: nil), .dead(status), .moved(to: id(901)), .deleted(reason: "operator"),
    ]
    for closes in [false, true] {
      let spool = try fixture.open()
      if !closes {
        _ = try spool.recovered()
        try spool.accept(1, recipients: states.count)
        try spool.append(states.enumerated().map { .recipients(id(1), [$0.offset], $0.element) })
        try spool.commit()
        fixture.kill(spool)
      } else {
        #expect(try spool.recovered().first?.states == states)
        try spool.close()
        fixture.kill(spool)
      }
    }
    #expect(try fixture.open().recovered().first?.states == states)
  }

  @Test(arguments: 0..<fixtures.count)
  func `changes given together are there together`(_ engine: Int) throws {
    let fixture = Self.fixtures[engine]()
    let spool = try fixture.open()
    _ = try spool.recovered()
    try spool.accept(1)
    let child = spool.beginContent()
    try spool.write(content(2, octets: 10), to: child)
    try spool.append([
      .accept(stored(2, contentOctets: 10), content: child, stage: "route"),
      .recipients(id(1), [0], .moved(to: id(2))),
    ])
    try spool.commit()
    fixture.kill(spool)
    #expect(try fixture.open().recovered().map(\.message.id) == [id(2)])
  }

  @Test(arguments: 0..<fixtures.count)
  func `contents written by turns do not mix`(_ engine: Int) throws {
    let fixture = Self.fixtures[engine]()
    let spool = try fixture.open()
    _ = try spool.recovered()
    let contents = (0..<5).map { _ in spool.beginContent() }
    for round in 0..<20 {
      for (number, identifier) in contents.enumerated() {
        let part = content(number, octets: 2000)[round * 100..<round * 100 + 100]
        try spool.write(Array(part), to: identifier, piece: 33)
      }
    }
    spool.abandon(contents[4])
    for number in 0..<4 {
      try spool.append([
        .accept(stored(number + 1, contentOctets: 2000), content: contents[number], stage: "route")
      ])
    }
    try spool.commit()
    fixture.kill(spool)
    let again = try fixture.open()
    let all = try again.recovered()
    #expect(all.map(\.message.id) == (1...4).map(id))
    for (number, message) in all.enumerated() {
      #expect(try fixture.octets(message.extents, of: again) == content(number, octets: 2000))
    }
  }

  @Test(arguments: 0..<fixtures.count)
  func `an empty content is a content`(_ engine: Int) throws {
    let fixture = Self.fixtures[engine]()
    let spool = try fixture.open()
    _ = try spool.recovered()
    try spool.accept(1, octets: 0)
    try spool.commit()
    #expect(spool.extents(of: id(1)) == [])
    fixture.kill(spool)
    #expect(try fixture.open().recovered().count == 1)
  }

  @Test(arguments: 0..<fixtures.count)
  func `messages are handed over oldest first`(_ engine: Int) throws {
    let fixture = Self.fixtures[engine]()
    let spool = try fixture.open()
    _ = try spool.recovered()
    for number in [5, 3, 9, 1] { try spool.accept(number) }
    try spool.close()
    fixture.kill(spool)
    #expect(try fixture.open().recovered().map(\.message.id) == [1, 3, 5, 9].map(id))
  }
}

import MailModel
import Platform
import Spoke
import Spool
import SpoolTesting
import Testing

@testable import Pipeline

/// A committer over the real engine on a simulated disk.
private final class Desk {
  let disk: SimulatedDisk
  let spool: LogSpool
  let committer: Committer
  let region: SpokeRegion

  init(capacity: UInt64 = 64 << 20) throws {
    disk = SimulatedDisk(capacity: capacity)
    disk.addDirectory("spool")
    var settings = SpoolSettings()
    settings.segmentOctets = 1 << 20
    settings.reserve = .octets(0)
    spool = try LogSpool(path: "/spool", settings: settings, files: disk)
    try spool.recover { _, _, _ in }
    committer = Committer(spool) { _ in }
    region = try SpokeRegion(creatingWithChunks: 2, name: "test")
  }

  func piece(_ octets: [UInt8], _ key: DraftKey) throws {
    let chunk = try #require(region.chunk(0))
    chunk.copyBytes(from: octets)
    try committer.write(.piece(key, region, chunk: 0, octets: octets.count, lane: 0))
  }

  func offer(_ key: DraftKey, id: UInt64 = 1, octets: Int) throws -> Transaction {
    let transaction = Transaction(.offer(key))
    let stored = StoredMessage(
      id: QueueID(rawValue: id), acceptedAt: WallTime(millisecondsSinceEpoch: 0), origin: "in",
      envelope: Envelope(reversePath: nil, recipients: [Recipient(.smtp("a@example.org"))]),
      contentOctets: UInt64(octets))
    transaction.accepts = [.init(stored: stored, content: .draft(key), lane: 1, stage: "check")]
    try committer.write(.transaction(transaction))
    return transaction
  }
}

@Suite struct CommitterTests {
  private let key = DraftKey(link: 1, draft: 1)

  @Test func `the pieces of a draft become the content, in order`() throws {
    let desk = try Desk()
    try desk.piece(Array("first ".utf8), key)
    try desk.piece(Array("other draft".utf8), DraftKey(link: 1, draft: 2))
    try desk.piece(Array("second".utf8), key)
    let transaction = try desk.offer(key, octets: 12)
    try desk.committer.commit()
    #expect(transaction.failure == nil)
    #expect(transaction.extents[0].reduce(0) { $0 + Int($1.count) } == 12)
  }

  @Test func `a batch of offers costs one sync`() throws {
    let desk = try Desk()
    _ = try desk.offer(key, id: 1, octets: 0)
    try desk.committer.commit()
    let before = desk.disk.syncCount
    for number in 2...50 { _ = try desk.offer(DraftKey(link: 1, draft: UInt64(number)), id: UInt64(number), octets: 0) }
    try desk.committer.commit()
    #expect(desk.disk.syncCount == before + 1)
    try desk.committer.commit()
    #expect(desk.disk.syncCount == before + 1, "nothing was written, so nothing is synced")
  }

  @Test func `a piece that finds no room refuses its message and no other`() throws {
    let desk = try Desk(capacity: 8 << 20)
    let large = [UInt8](repeating: 0x41, count: SpokeRegion.chunkOctets)
    for _ in 0..<600 { try desk.piece(large, key) }
    let refused = try desk.offer(key, id: 1, octets: 600 * SpokeRegion.chunkOctets)
    #expect(refused.failure == .noSpace)
  }

  @Test func `a draft whose octets are not there does not become an empty message`() throws {
    let desk = try Desk()
    #expect(try desk.offer(key, octets: 12).failure == .noSpace)
    #expect(try desk.offer(key, octets: 0).failure == nil)
  }

  @Test func `after a failed sync nothing is handed back, and the reason is known`() throws {
    let desk = try Desk()
    var intake = Intake {}
    _ = intake.hub.put(.discard(key))
    let transaction = Transaction(.offer(key))
    transaction.accepts = [
      .init(
        stored: StoredMessage(
          id: QueueID(rawValue: 9), acceptedAt: WallTime(millisecondsSinceEpoch: 0), origin: "in",
          envelope: Envelope(reversePath: nil, recipients: [Recipient(.smtp("a@example.org"))]), contentOctets: 0),
        content: .draft(key), lane: 1, stage: "check")
    ]
    _ = intake.hub.put(.transaction(transaction))
    _ = intake.hub.put(.close)
    desk.disk.fault = (desk.disk.callCount + 1, .forGood(errno: 5))
    let isSound = intake.committer.serve(desk.committer, idleSeconds: 0.01) {}
    #expect(!isSound)
    let handedBack = intake.hub.take() != nil
    #expect(!handedBack)
    let failure = intake.hub.failure
    guard case .io = failure else {
      Issue.record("\(String(describing: failure))")
      return
    }
  }

  @Test func `what was put is handed back in order once it is durable`() throws {
    let desk = try Desk()
    var intake = Intake {}
    for number in 1...3 { _ = intake.hub.put(.discard(DraftKey(link: 1, draft: UInt64(number)))) }
    _ = intake.hub.put(.close)
    let isSound = intake.committer.serve(desk.committer, idleSeconds: 0.01) {}
    #expect(isSound)
    var drafts: [UInt64] = []
    while let entry = intake.hub.take() {
      if case .discard(let key) = entry { drafts.append(key.draft) }
    }
    #expect(drafts == [1, 2, 3])
    let isIdle = intake.hub.isIdle
    #expect(isIdle)
  }
}

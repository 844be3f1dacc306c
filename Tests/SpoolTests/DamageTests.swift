import MailModel
import Platform
import Spool
import SpoolTesting
import Testing

/// Torn ends and flipped bits (recovery cases R2, R9, R12, R13).
struct DamageTests {
  /// A spool of `count` messages, each committed, in one segment; and where each commit ended in it.
  private func filled(_ count: Int, octets: Int = 40) throws -> (disk: SimulatedDisk, ends: [Int]) {
    let fixture = LogFixture()
    let spool = try fixture.openLog()
    _ = try (spool as any SpoolEngine).recovered()
    var ends: [Int] = []
    for number in 1...count {
      try spool.accept(number, octets: octets)
      try spool.commit()
      let image = try #require(fixture.disk.octets(Self.segment))
      ends.append(try #require(image.lastIndex { $0 != 0 }) / 8 * 8 + 8)
    }
    fixture.disk.endProcess()
    return (fixture.disk, ends)
  }

  private static let segment = "spool/segment-00000001"

  private func recover(_ disk: SimulatedDisk) throws -> (spool: LogSpool, found: [Recovered], fixture: LogFixture) {
    let fixture = LogFixture(disk)
    let spool = try fixture.openLog()
    return (spool, try (spool as any SpoolEngine).recovered(), fixture)
  }

  @Test func `a log torn at any octet of its last two records gives exactly the whole ones`() throws {
    let (disk, ends) = try filled(4)
    let (from, last, end) = (ends[1], ends[2], ends[3])
    for octet in from..<end {
      for isTruncated in [true, false] {
        let torn = disk.copy()
        torn.alter(Self.segment) { octets in
          if isTruncated {
            octets.removeLast(octets.count - octet)
          } else {
            for index in octet..<octets.count { octets[index] = 0 }
          }
        }
        let (spool, found, _) = try recover(torn)
        // Padding is zero, so that a record whose padding alone is cut off by zeros is whole.
        let whole = found.count
        #expect(
          whole == (octet < last ? 2 : 3) || (!isTruncated && octet > end - 8 && whole == 4)
            || (!isTruncated && octet > last - 8 && octet < last && whole == 3))
        #expect(spool.recoveryNotes.allSatisfy { $0.kind == .tornEnd })
        try spool.accept(9)
        try spool.commit()
        torn.cutPower(seed: UInt64(octet))
        let again = try recover(torn)
        #expect(again.found.count == whole + 1)
        #expect(again.spool.recoveryNotes.isEmpty)
      }
    }
  }

  @Test func `what was cut does not come back behind new records of the same size`() throws {
    let (disk, ends) = try filled(5)
    // The third message's records are lost, those behind it are there, and none of them knew it durable: not synced.
    let unsynced = LogFixture()
    let spool = try unsynced.openLog()
    _ = try (spool as any SpoolEngine).recovered()
    for number in 1...5 {
      try spool.accept(number, octets: 40)
      if number == 2 { try spool.commit() }
    }
    try spool.commit()
    unsynced.disk.endProcess()
    unsynced.disk.alter(Self.segment) { $0[ends[1] + 50] ^= 0xFF }
    let first = try recover(unsynced.disk)
    #expect(first.found.map(\.message.id) == [id(1), id(2)])
    #expect(first.spool.recoveryNotes.map(\.kind) == [.tornEnd])
    try first.spool.accept(3, octets: 40)
    try first.spool.commit()
    unsynced.disk.endProcess()
    #expect(try recover(unsynced.disk).found.map(\.message.id) == [1, 2, 3].map(id))
    _ = disk
  }

  @Test func `a flipped bit anywhere is found, and harms no message but the one it hit`() throws {
    let (disk, ends) = try filled(6, octets: 24)
    let begins = [1024] + ends
    for octet in stride(from: 0, to: ends[5], by: testScale == 1 ? 3 : 1) {
      // Octets of the header page that belong to no header mean nothing.
      if octet < 1024, !(octet < 64 || (512..<576).contains(octet)) { continue }
      let flipped = disk.copy()
      flipped.alter(Self.segment) { $0[octet] ^= UInt8(1 << (octet % 8)) }
      let report = try SpoolInspection.verify("/spool", files: flipped)
      let (spool, found, _) = try recover(flipped)
      #expect(!spool.recoveryNotes.isEmpty, "a flip at \(octet) is not noticed")
      #expect(!report.problems.isEmpty || report.tornEnd != nil, "a flip at \(octet) is not found by verifying")
      let hit = (0..<6).first { begins[$0] <= octet && octet < begins[$0 + 1] }.map { $0 + 1 }
      // A flip in an identifier makes another one of it, for an operator to judge.
      for one in found where one.message.id > id(6) {
        #expect(one.states.allSatisfy { if case .held = $0 { true } else { false } })
      }
      for one in found where one.message.id != hit.map(id) && one.message.id <= id(6) {
        #expect(one.message == stored(Int(one.message.id.rawValue), contentOctets: 24))
        // Nothing that is whole is held.
        #expect(one.states == [.queued(stage: "route", attempts: 0, suspicions: 0)])
      }
      let missing = Set((1...6).map(id)).subtracting(found.map(\.message.id))
      #expect(missing.isSubset(of: Set(hit.map(id).map { [$0] } ?? [])))
      if let message = found.first(where: { $0.message.id == hit.map(id) }) {
        #expect(message.states.allSatisfy { if case .held = $0 { true } else { false } })
      }
    }
  }

  @Test func `a message with damaged content is held once, and an operator's release stands`() throws {
    let (disk, _) = try filled(3, octets: 500)
    disk.alter(Self.segment) { $0[1024 + 100] ^= 1 }
    let first = try recover(disk)
    #expect(first.found.count == 3)
    guard case .held("route", 0, let reason)? = first.found.first?.states.first else {
      Issue.record("the message with damaged content is not held")
      return
    }
    #expect(reason.contains("segment-00000001"))
    #expect(first.spool.recoveryNotes.contains { $0.kind == .damage && $0.offset == 1024 })
    #expect(first.spool.recoveryNotes.contains { $0.kind == .held && $0.messages == [id(1)] })
    let released = RecipientState.queued(stage: "route", attempts: 0, suspicions: 0)
    try first.spool.append([.recipients(id(1), [0], released)])
    try first.spool.commit()
    disk.endProcess()
    #expect(try recover(disk).found.first?.states == [released])
  }

  @Test func `a damaged accept that can still be understood is held and survives from then on`() throws {
    let (disk, ends) = try filled(3)
    // In the text of the sender's address of message 2.
    let image = try #require(disk.octets(Self.segment))
    let place = try #require((ends[0]..<ends[1]).first { image[$0...].starts(with: Array("from@".utf8)) })
    disk.alter(Self.segment) { $0[place] ^= 1 }
    for _ in 0..<2 {
      let (spool, found, _) = try recover(disk)
      #expect(found.map(\.message.id) == [1, 2, 3].map(id))
      guard case .held? = found.dropFirst().first?.states.first else {
        Issue.record("the message with a damaged envelope is not held")
        return
      }
      try spool.accept(4 + found.count)
      disk.endProcess()
    }
  }

  @Test func `a damaged snapshot is noted and the whole log read`() throws {
    let fixture = LogFixture()
    let spool = try fixture.openLog()
    _ = try (spool as any SpoolEngine).recovered()
    for number in 1...50 { try spool.accept(number) }
    for number in 1...20 { try spool.end(number) }
    try spool.close()
    let size = try #require(fixture.disk.octets("spool/snapshot")).count
    for octet in stride(from: 0, to: size, by: testScale == 1 ? 97 : 1) {
      let flipped = fixture.disk.copy()
      flipped.alter("spool/snapshot") { $0[octet] ^= 4 }
      let (spool, found, _) = try recover(flipped)
      #expect(found.map(\.message.id) == (21...50).map(id))
      #expect(spool.recoveryNotes.map(\.file) == ["snapshot"])
      #expect(spool.lastQueueID == id(50))
    }
  }

  @Test func `a missing segment is noted and its messages are named`() throws {
    let fixture = LogFixture()
    let spool = try fixture.openLog()
    _ = try (spool as any SpoolEngine).recovered()
    for number in 1...60 { try spool.accept(number, octets: 1500) }
    try spool.close()
    #expect(spool.segmentCount > 3)
    let directory = try fixture.disk.openDirectory("/spool")
    try fixture.disk.unlink("segment-00000002", in: directory)
    let (again, found, _) = try recover(fixture.disk)
    let lost = again.unreadableMessages
    #expect(found.count + lost.count == 60 && !lost.isEmpty)
    #expect(again.recoveryNotes.contains { $0.file == "segment-00000002" })
  }

  @Test func `octets at random never trap a recovery`() throws {
    let (disk, ends) = try filled(8, octets: 300)
    var random = SeededRandom(seed: 8)
    for _ in 0..<(100 * testScale) {
      let garbled = disk.copy()
      garbled.alter(Self.segment) { octets in
        for _ in 0..<(1 + random.next() % 40) {
          octets[1024 + Int(random.next() % UInt64(ends[7] - 1024))] = UInt8(truncatingIfNeeded: random.next())
        }
      }
      _ = try SpoolInspection.verify("/spool", files: garbled)
      try SpoolInspection.dump("/spool", files: garbled) { _ = $0.description }
      let (spool, found, fixture) = try recover(garbled)
      #expect(found.count <= 8)
      for one in found where one.states == [.queued(stage: "route", attempts: 0, suspicions: 0)] {
        #expect(try fixture.octets(one.extents, of: spool) == content(Int(one.message.id.rawValue), octets: 300))
      }
    }
  }
}

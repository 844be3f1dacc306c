import Glibc
import MailModel
import Platform
import Spool
import SpoolTesting
import Testing

/// What is the embedded engine's own: its directory, its bounds, its housekeeping.
struct LogSpoolTests {
  private func opened(_ fixture: LogFixture) throws -> LogSpool {
    let spool = try fixture.openLog()
    _ = try (spool as any SpoolEngine).recovered()
    return spool
  }

  // MARK: The directory

  @Test func `a directory that is unfit is refused with one line that names it`() {
    func refusal(_ prepare: (SimulatedDisk) -> Void) -> String {
      let disk = SimulatedDisk()
      prepare(disk)
      do throws(SpoolError) {
        _ = try LogSpool(path: "/spool", settings: .small, files: disk)
        return ""
      } catch {
        guard case .unusable(let text) = error else { return "\(error)" }
        return text
      }
    }
    #expect(refusal { _ in } == "/spool: the spool directory does not exist")
    #expect(refusal { $0.addDirectory("spool", owner: 7) } == "/spool: belongs to user 7, the host runs as user 1000")
    #expect(refusal { $0.addDirectory("spool", mode: 0o750) }.hasPrefix("/spool: mode 750 lets others in"))
    #expect(refusal { $0.addSymbolicLink("spool") } == "/spool: the spool must be a directory and not a symbolic link")
  }

  @Test func `files that others may open, own or name twice are refused`() throws {
    for prepare: (SimulatedDisk) -> Void in [
      { $0.setMode("spool/segment-00000001", 0o644) }, { $0.setLinks("spool/segment-00000001", 2) },
      { $0.setMode("spool/snapshot", 0o660) }, { $0.setMode("spool/lock", 0o604) },
    ] {
      let fixture = LogFixture()
      let spool = try opened(fixture)
      try spool.accept(1)
      try spool.close()
      prepare(fixture.disk)
      #expect(throws: SpoolError.self) { try opened(fixture) }
      #expect(fixture.disk.openCount == 0 || fixture.disk.openCount < 4)
    }
  }

  @Test func `two hosts cannot share a spool`() throws {
    let fixture = LogFixture()
    let first = try opened(fixture)
    #expect(throws: SpoolError.unusable("/spool: another host uses this spool")) { try fixture.openLog() }
    #expect(throws: SpoolError.unusable("/spool: another host uses this spool")) {
      try SpoolInspection.verify("/spool", files: fixture.disk)
    }
    try first.close()
    _ = try opened(fixture)
  }

  @Test func `a spool works on the system's own files`() throws {
    var template = Array("/tmp/spool-test-XXXXXX".utf8CString)
    let path = String(cString: try #require(mkdtemp(&template)))
    defer { removeTree(path) }
    try LogSpool.createDirectory("\(path)/spool")
    let files = SystemFileCalls()
    for round in 1...3 {
      let spool = try LogSpool(path: "\(path)/spool", settings: .small, files: files)
      let found = try (spool as any SpoolEngine).recovered()
      #expect(found.count == (round - 1) * 30)
      for one in found {
        var octets: [UInt8] = []
        for extent in one.extents {
          let descriptor = try #require(spool.descriptor(ofSegment: extent.segment))
          octets += try files.readAll(descriptor, count: Int(extent.count), at: extent.offset)
        }
        #expect(octets == content(Int(one.message.id.rawValue), octets: 3000))
      }
      for number in 1...30 { try spool.accept(number + (round - 1) * 30, octets: 3000) }
      try spool.commit()
      try spool.tidy()
      #expect(throws: SpoolError.unusable("\(path)/spool: another host uses this spool")) {
        try LogSpool(path: "\(path)/spool", settings: .small)
      }
      if round == 1 { try spool.close() }
    }
    #expect(try SpoolInspection.verify("\(path)/spool").liveMessages == 90)
    let link = "\(path)/link"
    #expect(symlink("spool", link) == 0)
    #expect(throws: SpoolError.unusable("\(link): the spool must be a directory and not a symbolic link")) {
      try LogSpool(path: link)
    }
    #expect(chmod("\(path)/spool", 0o755) == 0)
    #expect(throws: SpoolError.self) { try LogSpool(path: "\(path)/spool") }
  }

  // MARK: Bounds

  @Test func `a content of 100 MiB goes through a buffer of one`() throws {
    var settings = SpoolSettings()
    settings.reserve = .octets(0)
    settings.sparesMin = 1
    let fixture = LogFixture(capacity: 512 << 20, settings: settings)
    let spool = try opened(fixture)
    let piece = content(1, octets: 1 << 20)
    let identifier = spool.beginContent()
    for _ in 0..<100 { try spool.write(piece, to: identifier, piece: piece.count) }
    try spool.append([.accept(stored(1, contentOctets: 100 << 20), content: identifier, stage: "route")])
    try spool.commit()
    #expect(fixture.disk.largestWriteOctets <= settings.bufferOctets + 16)
    let extents = try #require(spool.extents(of: id(1)))
    #expect(extents.reduce(0) { $0 + Int($1.count) } == 100 << 20)
    #expect(Set(extents.map(\.segment)).count == 2)
    #expect(try fixture.octets([extents[3]], of: spool).count == Int(extents[3].count))
  }

  @Test func `an envelope larger than a segment is taken and comes back`() throws {
    let fixture = LogFixture()
    let spool = try opened(fixture)
    try spool.accept(1, recipients: 3000)
    try spool.accept(2)
    try spool.end(1, Array(0..<2999))
    try spool.commit()
    fixture.disk.endProcess()
    let again = try fixture.openLog()
    let found = try (again as any SpoolEngine).recovered()
    #expect(found.map(\.message.envelope.recipients.count) == [3000, 1])
    #expect(found.first?.states.count(where: \.isLive) == 1)
  }

  @Test func `seventy thousand messages come back, with and without the snapshot`() throws {
    var settings = SpoolSettings()
    settings.segmentOctets = 4 << 20
    settings.reserve = .octets(0)
    let fixture = LogFixture(capacity: 256 << 20, settings: settings)
    let spool = try opened(fixture)
    let empty = StoredMessage(
      id: id(1), acceptedAt: WallTime(millisecondsSinceEpoch: 1), origin: "in",
      envelope: Envelope(reversePath: nil, recipients: [Recipient(.smtp("a"))]), contentOctets: 0)
    for group in 0..<3500 {
      var changes: [SpoolChange] = []
      for number in 1...20 {
        var message = empty
        message.id = id(group * 20 + number)
        changes.append(.accept(message, content: spool.beginContent(), stage: "route"))
      }
      try spool.append(changes)
    }
    // Ends among the first and the last, also beyond 32,767 and 65,535.
    for number in [1, 32_768, 65_536, 70_000] { try spool.end(number) }
    try spool.commit()
    let killed = fixture.disk.copy()
    try spool.close()
    for disk in [killed, fixture.disk] {
      let again = try LogFixture(disk, settings: settings).openLog()
      var count = 0
      var last = QueueID(rawValue: 0)
      var isAscending = true
      try again.recover { message, _, _ in
        count += 1
        isAscending = isAscending && last < message.id
        last = message.id
      }
      #expect(count == 69_996 && isAscending && last == id(69_999))
      #expect(again.lastQueueID == id(70_000))
    }
  }

  // MARK: Room

  @Test func `a full disk refuses new messages, takes every end, and then takes messages again`() throws {
    let fixture = LogFixture(capacity: 20 * 32 << 10)
    var spool = try opened(fixture)
    var accepted = 0
    do {
      while true {
        try spool.accept(accepted + 1, octets: 1000)
        accepted += 1
        if accepted % 10 == 0 { try spool.tidy() }
      }
    } catch SpoolError.noSpace {
    }
    #expect(accepted > 100)
    #expect(spool.octetsAvailable() < 4096 + 2000)
    try spool.commit()
    // A restart on the full disk hands everything over and can still drain.
    fixture.disk.endProcess()
    spool = try fixture.openLog()
    #expect(try (spool as any SpoolEngine).recovered().count == accepted)
    #expect(throws: SpoolError.noSpace) {
      for number in 1...1000 { try spool.accept(accepted + number, octets: 1000) }
    }
    let kept = spool.messageCount
    for number in 1...accepted {
      try spool.append([
        .recipients(
          id(number), [0],
          .deferred(
            stage: "out", until: WallTime(millisecondsSinceEpoch: 1), attempts: 1, DeliveryStatus(.noAnswer, "no")))
      ])
      try spool.end(number)
      if number % 20 == 0 {
        try spool.commit()
        try spool.tidy()
      }
    }
    for _ in 0..<20 { try spool.tidy() }
    #expect(spool.messageCount == kept - accepted)
    #expect(spool.octetsAvailable() > 100_000)
    try spool.accept(5000, octets: 10_000)
    try spool.commit()
    fixture.disk.cutPower(seed: 3)
    let again = try fixture.openLog()
    #expect(try (again as any SpoolEngine).recovered().last?.message.id == id(5000))
  }

  @Test func `nothing is written when there is no room above the reserve`() throws {
    let fixture = LogFixture(capacity: 4 << 20)
    fixture.settings.reserve = .percent(100)
    let spool = try opened(fixture)
    #expect(spool.octetsAvailable() < 0)
    let written = fixture.disk.octetsWritten
    let identifier = spool.beginContent()
    #expect(throws: SpoolError.noSpace) { try spool.write([1, 2, 3], to: identifier) }
    spool.abandon(identifier)
    let empty = spool.beginContent()
    #expect(throws: SpoolError.noSpace) {
      try spool.append([.accept(stored(1, contentOctets: 0), content: empty, stage: "route")])
    }
    try spool.commit()
    #expect(fixture.disk.octetsWritten == written)
    fixture.disk.capacity = 4 << 30
    fixture.settings.reserve = .octets(0)
    spool.abandon(empty)
  }

  // MARK: Housekeeping

  @Test func `freed segments are used again and the spool does not grow`() throws {
    let fixture = LogFixture()
    let spool = try opened(fixture)
    for number in 1...2000 {
      try spool.accept(number, octets: 1000)
      if number > 10 { try spool.end(number - 10) }
      try spool.commit()
      if number % 5 == 0 { try spool.tidy() }
    }
    #expect(spool.segmentCount <= 6)
    let names = fixture.disk.names(inDirectory: "spool")
    #expect(names.count <= 14)
    #expect(names.contains { $0.hasPrefix("spare-") })
    #expect(spool.extents(of: id(1999))?.first.map { $0.segment > 50 } == true)
  }

  @Test func `a long-lived message among short ones is copied forward and readers keep its old octets`() throws {
    let fixture = LogFixture()
    fixture.settings.copyForwardSegmentsMin = 2
    fixture.settings.sparesMax = 2
    let spool = try opened(fixture)
    try spool.accept(1, recipients: 2, octets: 3000)
    try spool.append([.recipients(id(1), [1], .held(stage: "out", attempts: 1, reason: "kept"))])
    let old = try #require(spool.extents(of: id(1)))
    let segment = try #require(old.first?.segment)
    let descriptor = try #require(spool.descriptor(ofSegment: segment))
    var number = 1
    while spool.extents(of: id(1)) == old, number < 3000 {
      number += 1
      try spool.accept(number, octets: 1000)
      // A slow drain: something lives in every segment.
      if number % 20 != 0 { try spool.end(number) }
      try spool.commit()
      try spool.tidy()
    }
    let moved = try #require(spool.extents(of: id(1)))
    #expect(moved != old)
    #expect(spool.takeMoved().contains { $0.id == id(1) && $0.extents == moved })
    #expect(spool.takeMoved().isEmpty)
    #expect(try fixture.octets(moved, of: spool) == content(1, octets: 3000))
    // The old file is unlinked at some time, and still readable by who holds it.
    for _ in 0..<10 { try spool.tidy() }
    var octets: [UInt8] = []
    for extent in old { octets += try fixture.disk.readAll(descriptor, count: Int(extent.count), at: extent.offset) }
    #expect(octets == content(1, octets: 3000))
    for _ in 0..<20 { try spool.tidy() }
    fixture.disk.cutPower(seed: 4)
    let again = try fixture.openLog()
    let found = try (again as any SpoolEngine).recovered()
    #expect(
      found.first?.states == [
        .queued(stage: "route", attempts: 0, suspicions: 0), .held(stage: "out", attempts: 1, reason: "kept"),
      ])
    #expect(try fixture.octets(try #require(found.first).extents, of: again) == content(1, octets: 3000))
  }

  @Test func `one commit is one write and one sync`() throws {
    let fixture = LogFixture()
    let spool = try opened(fixture)
    try spool.accept(1)
    try spool.commit()
    let (syncs, calls) = (fixture.disk.syncCount, fixture.disk.callCount)
    for number in 2...6 { try spool.accept(number) }
    try spool.commit()
    #expect(fixture.disk.syncCount == syncs + 1)
    #expect(fixture.disk.callCount == calls + 2)
    try spool.commit()
    #expect(fixture.disk.callCount == calls + 2)
  }

  @Test func `a start after a close reads the snapshot and little of the log`() throws {
    let fixture = LogFixture()
    let spool = try opened(fixture)
    for number in 1...100 { try spool.accept(number, octets: 2000) }
    try spool.close()
    // Damage in what a replay would read is not met.
    fixture.disk.alter("spool/segment-00000001") { $0[1024 + 60] ^= 1 }
    let again = try fixture.openLog()
    #expect(try (again as any SpoolEngine).recovered().count == 100)
    #expect(again.recoveryNotes.isEmpty)
    #expect(again.lastQueueID == id(100))
  }
}

private func removeTree(_ path: String) {
  if let directory = opendir(path) {
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { removeTree("\(path)/\(name)") }
    }
    closedir(directory)
  }
  _ = path.withCString { remove($0) }
}

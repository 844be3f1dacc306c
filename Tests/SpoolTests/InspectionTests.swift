import MailModel
import Platform
import Spool
import SpoolTesting
import Testing

struct InspectionTests {
  @Test func `verifying counts what there is and follows messages to their end`() throws {
    let fixture = LogFixture()
    let spool = try fixture.openLog()
    _ = try (spool as any SpoolEngine).recovered()
    for number in 1...30 { try spool.accept(number, recipients: 2, octets: 2000) }
    for number in 1...10 { try spool.end(number, [0, 1]) }
    try spool.end(11, [1])
    try spool.close()
    let written = fixture.disk.octetsWritten
    let report = try SpoolInspection.verify("/spool", files: fixture.disk)
    #expect(report.isSound && report.tornEnd == nil)
    #expect(report.accepts == 30 && report.recipientChanges == 11)
    #expect(report.pieceOctets == 60_000)
    #expect(report.liveMessages == 20 && report.liveRecipients == 39)
    #expect(report.snapshotMessages == 20)
    #expect(fixture.disk.octetsWritten == written && fixture.disk.openCount == 0)
  }

  @Test func `damage is reported with its file and offset, and the message it concerns`() throws {
    let fixture = LogFixture()
    let spool = try fixture.openLog()
    _ = try (spool as any SpoolEngine).recovered()
    for number in 1...3 { try spool.accept(number, octets: 200) }
    try spool.close()
    fixture.disk.alter("spool/segment-00000001") { $0[1024 + 100] ^= 0x10 }
    let problems = try SpoolInspection.verify("/spool", files: fixture.disk).problems
    #expect(problems.map(\.file) == ["segment-00000001", "segment-00000001"])
    #expect(problems.map(\.offset) == [1024, 1072])
    #expect(problems.last?.messages == [id(1)])
    #expect(problems.first?.description == "segment-00000001:1024: damaged: record 1 was here")
  }

  @Test func `a dump names every record`() throws {
    let fixture = LogFixture()
    let spool = try fixture.openLog()
    _ = try (spool as any SpoolEngine).recovered()
    try spool.accept(7, octets: 10)
    try spool.append([.recipients(id(7), [0], .held(stage: "out", attempts: 0, reason: "asked"))])
    try spool.close()
    var lines: [String] = []
    try SpoolInspection.dump("/spool", files: fixture.disk) { lines.append($0.description) }
    #expect(
      lines == [
        "segment-00000001:1024 #1 piece content=1 octets=10",
        "segment-00000001:1088 #2 accept id=0000000000007 parent= origin=in accepted_at=7 from=from@example.com "
          + "to=to0@example.net content_octets=10 extents=1:1072+10 stage=route",
        "segment-00000001:1264 #3 recipients id=0000000000007 recipients=0 state=held "
          + "detail=held(stage: \"out\", attempts: 0, reason: \"asked\")",
      ])
  }
}

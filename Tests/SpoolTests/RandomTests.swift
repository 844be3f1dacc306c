import MailModel
import Spool
import SpoolTesting
import Testing

/// Long random uses against the model: rolling, snapshots, freeing, recycling and copying forward.
struct RandomTests {
  @Test(arguments: 1...UInt64(12 * testScale))
  func `a random use and any number of restarts give what the model says`(_ seed: UInt64) throws {
    let settings: SpoolSettings = seed % 2 == 0 ? .small : .smallest
    let fixture = LogFixture(settings: settings)
    var workload = Workload(seed: seed)
    var spool = try reopen(fixture, &workload)
    for round in 0..<600 {
      try workload.step(spool)
      if round % 60 == 59 {
        switch round / 60 % 3 {
        case 0: fixture.disk.cutPower(seed: seed &+ UInt64(round))
        case 1: fixture.disk.endProcess()
        default:
          try workload.close(spool)
          #expect(fixture.disk.openCount == 0)
        }
        spool = try reopen(fixture, &workload)
      }
    }
  }

  @Test(arguments: 1...UInt64(12 * testScale))
  func `the whole log tells the same as the snapshot`(_ seed: UInt64) throws {
    let settings: SpoolSettings = seed % 2 == 0 ? .small : .smallest
    let fixture = LogFixture(settings: settings)
    var workload = Workload(seed: seed)
    let spool = try reopen(fixture, &workload)
    for round in 0..<800 {
      try workload.step(spool)
      guard round % 50 == 49 else { continue }
      try spool.commit()
      var twin = workload
      let other = LogFixture(fixture.disk.copy(), settings: settings)
      if other.disk.octets("spool/snapshot") != nil { other.disk.alter("spool/snapshot") { $0[50] ^= 1 } }
      let log = try other.openLog()
      try twin.check((log as any SpoolEngine).recovered(), other, log)
      #expect(log.recoveryNotes.allSatisfy { $0.file == "snapshot" })
    }
  }
}

import Glibc
import MailModel
import Platform
import Spool
import SpoolTesting
import Testing

/// Every call that can fail fails, once and for good, and the power goes at every call (failure mode C1, promise 1).
struct FaultTests {
  static let steps = 250

  /// Runs the workload until the fault stops it; then restarts by `restart`, checks, goes on, and checks again.
  private func run(
    seed: UInt64, fault: (at: Int, SimulatedDisk.Fault)?, capacity: UInt64 = 4 << 20,
    restart: (SimulatedDisk) -> Void
  ) throws -> Int {
    let fixture = LogFixture(capacity: capacity, settings: .smallest)
    fixture.disk.fault = fault
    var workload = Workload(seed: seed)
    do {
      var spool = try reopen(fixture, &workload)
      for step in 1...Self.steps {
        if step == Self.steps / 2 {
          try workload.close(spool)
          spool = try reopen(fixture, &workload)
        }
        try workload.step(spool)
      }
      // Something to lose.
      try workload.step(spool)
    } catch is SpoolError {
    } catch is SystemError {
      // The fault met the test's own reading.
    }
    let calls = fixture.disk.callCount
    restart(fixture.disk)
    var spool = try reopen(fixture, &workload)
    for _ in 0..<10 { try workload.step(spool) }
    fixture.disk.cutPower(seed: seed &+ 99)
    spool = try reopen(fixture, &workload)
    try workload.close(spool)
    _ = try reopen(fixture, &workload)
    return calls
  }

  private func forEveryCall(_ body: (Int, UInt64) throws -> Int) throws {
    for seed in 1...UInt64(testScale) {
      var at = 1 + Int(seed % 3)
      // The short run takes every third call.
      while try body(at, seed) >= at { at += testScale == 1 ? 3 : 1 }
    }
  }

  @Test func `no single failing call loses or invents a message, whether the power goes with it or the process`() throws
  {
    try forEveryCall { at, seed in
      let code = at % 2 == 0 ? EIO : ENOSPC
      return try run(seed: seed, fault: (at, .once(errno: code))) { disk in
        if at % 4 < 2 { disk.cutPower(seed: UInt64(at)) } else { disk.endProcess() }
      }
    }
  }

  @Test func `no call that fails for good loses or invents a message`() throws {
    try forEveryCall { at, seed in
      try run(seed: seed, fault: (at, .forGood(errno: at % 2 == 0 ? EIO : ENOSPC))) { disk in
        if at % 4 < 2 { disk.endProcess() }
        disk.cutPower(seed: UInt64(at))
      }
    }
  }

  @Test func `a power cut at any call loses nothing that was committed and leaves no group in half`() throws {
    try forEveryCall { at, seed in
      try run(seed: seed, fault: (at, .powerCut)) { $0.cutPower(seed: UInt64(at) &+ seed &* 7919) }
    }
  }

  @Test func `writes that take a part only leave whole records`() throws {
    for octets in [1, 7, 512, 4000] {
      _ = try run(seed: 3, fault: (1, .shortWrites(octets: octets))) { $0.cutPower(seed: 5) }
    }
  }

  @Test func `after a failed sync nothing more is taken`() throws {
    let fixture = LogFixture()
    let spool = try fixture.openLog()
    _ = try (spool as any SpoolEngine).recovered()
    try spool.accept(1)
    fixture.disk.fault = (fixture.disk.callCount + 2, .once(errno: EIO))
    let failure = SpoolError.io(operation: "fdatasync", errno: EIO)
    #expect(throws: failure) { try spool.commit() }
    #expect(throws: failure) { try spool.commit() }
    #expect(throws: failure) { try spool.accept(2) }
    #expect(throws: failure) { try spool.end(1) }
    #expect(throws: failure) { try spool.tidy() }
    #expect(throws: failure) { try spool.close() }
  }

  @Test func `what a failed sync left in the page cache is written again before it is believed`() throws {
    let fixture = LogFixture()
    let spool = try fixture.openLog()
    _ = try (spool as any SpoolEngine).recovered()
    try spool.accept(1)
    try spool.commit()
    try spool.accept(2)
    fixture.disk.fault = (fixture.disk.callCount + 2, .once(errno: EIO))
    #expect(throws: SpoolError.self) { try spool.commit() }
    fixture.disk.endProcess()
    let again = try fixture.openLog()
    #expect(try (again as any SpoolEngine).recovered().map(\.message.id) == [id(1), id(2)])
    fixture.disk.cutPower(seed: 1)
    #expect(try fixture.open().recovered().map(\.message.id) == [id(1), id(2)])
  }
}

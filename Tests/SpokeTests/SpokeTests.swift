import MailModel
import Platform
import Ring
import Testing

@testable import Spoke

/// Both ends of a spoke in one process.
private final class Pair {
  let region: SpokeRegion
  let host: SpokeHostEnd
  let stage: SpokeStageEnd
  let hostBell: EventFD
  let stageBell: EventFD

  init(chunks: Int = 4) throws {
    let region = try SpokeRegion(creatingWithChunks: chunks, name: "test")
    let hostBell = try EventFD()
    let stageBell = try EventFD()
    let host = try SpokeHostEnd(region, stageBell: stageBell.rawValue)
    let attached = try SpokeRegion(attaching: region.duplicateFile(), chunkCount: chunks)
    let stage = try SpokeStageEnd(attached, hostBell: hostBell.rawValue)
    self.region = region
    self.host = host
    self.stage = stage
    self.hostBell = hostBell
    self.stageBell = stageBell
  }

  func hostHeard() -> Bool { hostBell.drain() }
  func stageHeard() -> Bool { stageBell.drain() }
}


@Suite struct SpokeTests {
  @Test func `frames arrive in order, both ways`() throws {
    let pair = try Pair()
    for frame in DownFrame.samples { try pair.host.send(frame) }
    for frame in UpFrame.samples { try pair.stage.send(frame) }
    for frame in DownFrame.samples { #expect(try pair.stage.receive() == frame) }
    for frame in UpFrame.samples { #expect(try pair.host.receive() == frame) }
    #expect(try pair.stage.receive() == nil && pair.host.receive() == nil)
  }

  @Test func `an envelope many times larger than the ring passes in fragments`() throws {
    let pair = try Pair()
    let job = DownFrame.job(.sample(recipients: 20_000))
    try pair.host.send(job)
    try pair.host.send(.cancel(job: 1))
    var received: [DownFrame] = []
    var rounds = 0
    while received.count < 2, rounds < 10_000 {
      rounds += 1
      while let frame = try pair.stage.receive() { received.append(frame) }
      try pair.stage.endCycle()
      try pair.host.endCycle()
    }
    #expect(received == [job, .cancel(job: 1)])
    #expect(rounds > 3, "it should not have fitted into the ring at once")
  }

  @Test func `a sleeping side is woken once there is something, and not before`() throws {
    let pair = try Pair()
    #expect(try pair.stage.prepareToSleep())
    try pair.host.endCycle()
    var heard = pair.stageHeard()
    #expect(!heard)
    try pair.stage.send(.ready)
    _ = try pair.host.receive()
    try pair.host.endCycle()
    heard = pair.stageHeard()
    #expect(!heard, "the host has read something, which is nothing to the stage")
    try pair.host.send(.stop)
    try pair.host.endCycle()
    heard = pair.stageHeard()
    #expect(heard)
    pair.stage.awake()
    #expect(try pair.stage.receive() == .stop)
    #expect(try pair.host.prepareToSleep())
    try pair.stage.send(.ready)
    heard = pair.hostHeard()
    #expect(heard)
  }

  @Test func `a side that has something to read does not sleep`() throws {
    let pair = try Pair()
    try pair.host.send(.stop)
    try pair.host.endCycle()
    #expect(try !pair.stage.prepareToSleep())
  }

  @Test func `a sender without room is woken when the other side has read`() throws {
    let pair = try Pair()
    var sent = 0
    while try pair.host.prepareToSleep(), sent < 1_000_000 {
      pair.host.awake()
      for _ in 0..<1000 { try pair.host.send(.cancel(job: UInt64(sent))) }
      sent += 1000
      if sent > 8000 { break }
    }
    #expect(try pair.host.prepareToSleep())
    var heard = pair.hostHeard()
    #expect(!heard)
    var received = 0
    while try pair.stage.receive() != nil { received += 1 }
    try pair.stage.endCycle()
    #expect(received < sent)
    heard = pair.hostHeard()
    #expect(heard)
    pair.host.awake()
    while received < sent {
      try pair.host.endCycle()
      while try pair.stage.receive() != nil { received += 1 }
      try pair.stage.endCycle()
    }
    #expect(received == sent)
  }

  @Test func `a fragment that claims more than was published is corruption`() throws {
    let region = try SpokeRegion(creatingWithChunks: 1, name: "test")
    var producer = try RingProducer(attaching: region.up, capacity: SpokeRegion.ringCapacity)
    let bell = try EventFD()
    let host = try SpokeHostEnd(region, stageBell: bell.rawValue)
    #expect(try producer.claim(1) == 1)
    let header: UInt64 = 5000 | 1 << 32
    withUnsafeBytes(of: header) { producer.copyIn(offsetOctets: 0, from: $0) }
    producer.publish(1)
    #expect(throws: SpokeError.corrupt) { try host.receive() }
  }

  @Test func `chunks are the stage's until sent, and not given out twice`() throws {
    let pool = ChunkPool(chunkCount: 3)
    let taken = [pool.take(), pool.take(), pool.take()].compactMap { $0 }
    #expect(Set(taken) == [0, 1, 2])
    #expect(pool.take() == nil)
    pool.give([1, 77])
    #expect(pool.take() == 1)
    #expect(pool.take() == nil)
  }
}

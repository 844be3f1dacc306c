import Glibc
import MailModel
import Ring
import Synchronization

/// The host's end of a spoke. Thread: the hub's.
///
/// A cycle is: ``receive()`` until nil, send, then ``endCycle()`` once, which wakes the stage if it sleeps.
public final class SpokeHostEnd {
  public let region: SpokeRegion
  private var sender: FrameSender
  private var receiver: FrameReceiver
  /// The stage's doorbell. Borrowed: whoever made it outlives this end.
  private let stageBell: Int32

  public init(_ region: SpokeRegion, stageBell: Int32) throws(SpokeError) {
    self.region = region
    self.stageBell = stageBell
    do throws(RingError) {
      sender = FrameSender(try RingProducer(attaching: region.down, capacity: SpokeRegion.ringCapacity))
      receiver = FrameReceiver(try RingConsumer(attaching: region.up, capacity: SpokeRegion.ringCapacity))
    } catch { throw .corrupt }
  }

  public func send(_ frame: DownFrame) throws(SpokeError) {
    let (kind, payload) = frame.encode()
    do throws(RingError) { try sender.send(kind: kind, payload: payload) } catch { throw .corrupt }
  }

  /// The next frame from the stage, or nil.
  public func receive() throws(SpokeError) -> UpFrame? {
    guard let (kind, payload) = try receiver.next() else { return nil }
    do throws(WireCodingError) { return try UpFrame(kind: kind, payload: payload) } catch { throw .frame("\(error)") }
  }

  /// After a round of receiving and sending: sends what had no room, wakes the stage where it waits.
  public func endCycle() throws(SpokeError) {
    do throws(RingError) {
      try sender.flush()
    } catch { throw .corrupt }
    let wantsFrames = sender.takeWakeRequest()
    let wantsRoom = receiver.takeWakeRequest()
    if wantsFrames || wantsRoom { ring(stageBell) }
  }

  /// Before the hub sleeps. False when there is something to do after all; otherwise the host's bell will ring.
  public func prepareToSleep() throws(SpokeError) -> Bool {
    guard try receiver.prepareToSleep() else { return false }
    do throws(RingError) {
      guard try sender.prepareToSleep() else {
        receiver.awake()
        return false
      }
    } catch { throw .corrupt }
    return true
  }

  public func awake() {
    receiver.awake()
    sender.awake()
  }
}

/// The stage's end of a spoke. Receiving and sleeping: the stage thread. Sending: any thread.
public final class SpokeStageEnd: Sendable {
  public let region: SpokeRegion
  private let sender: Mutex<FrameSender>
  private let receiver: Mutex<FrameReceiver>
  /// The host's doorbell. Borrowed: whoever received it outlives this end.
  private let hostBell: Int32

  public init(_ region: SpokeRegion, hostBell: Int32) throws(SpokeError) {
    self.region = region
    self.hostBell = hostBell
    do throws(RingError) {
      sender = Mutex(FrameSender(try RingProducer(attaching: region.up, capacity: SpokeRegion.ringCapacity)))
      receiver = Mutex(FrameReceiver(try RingConsumer(attaching: region.down, capacity: SpokeRegion.ringCapacity)))
    } catch { throw .corrupt }
  }

  /// Sends a frame; with `wakesHost` false the host may sleep on until ``endCycle()``, which the stage thread calls
  /// after each round, so that a round of frames costs one wake-up.
  public func send(_ frame: UpFrame, wakesHost: Bool = true) throws(SpokeError) {
    let (kind, payload) = frame.encode()
    let wants = try sender.withLock { sender throws(SpokeError) in
      do throws(RingError) {
        try sender.send(kind: kind, payload: payload)
        return wakesHost ? sender.takeWakeRequest() : false
      } catch { throw .corrupt }
    }
    if wants { ring(hostBell) }
  }

  /// Frames wait for room in the ring; ``endCycle()`` on the stage thread sends them. Thread: any.
  public var isBlocked: Bool { sender.withLock { $0.isBlocked } }

  /// The next frame from the host, or nil. Thread: stage.
  public func receive() throws(SpokeError) -> DownFrame? {
    guard let (kind, payload) = try receiver.withLock({ (r) throws(SpokeError) in try r.next() }) else { return nil }
    do throws(WireCodingError) { return try DownFrame(kind: kind, payload: payload) } catch { throw .frame("\(error)") }
  }

  /// After a round of receiving and sending: sends what had no room, wakes the host where it waits. Thread: stage.
  public func endCycle() throws(SpokeError) {
    let wantsFrames = try sender.withLock { sender throws(SpokeError) in
      do throws(RingError) {
        try sender.flush()
        return sender.takeWakeRequest()
      } catch { throw .corrupt }
    }
    let wantsRoom = receiver.withLock { $0.takeWakeRequest() }
    if wantsFrames || wantsRoom { ring(hostBell) }
  }

  /// Before the stage thread sleeps. False when there is something to do after all; otherwise the stage's bell will ring.
  public func prepareToSleep() throws(SpokeError) -> Bool {
    guard try receiver.withLock({ (r) throws(SpokeError) in try r.prepareToSleep() }) else { return false }
    let sleeps = try sender.withLock { sender throws(SpokeError) in
      do throws(RingError) { return try sender.prepareToSleep() } catch { throw .corrupt }
    }
    if !sleeps { receiver.withLock { $0.awake() } }
    return sleeps
  }

  public func awake() {
    receiver.withLock { $0.awake() }
    sender.withLock { $0.awake() }
  }
}

/// Rings a doorbell (eventfd). EAGAIN means that it rings already.
private func ring(_ bell: Int32) {
  var one: UInt64 = 1
  _ = write(bell, &one, MemoryLayout<UInt64>.size)
}

import MailModel
import Ring

/// Sends frames through a ring: each as one or more fragments of consecutive slots.
///
///     fragment: u32 octets of payload in it │ u16 kind │ u16 flags (1: more fragments follow) │ payload …
///
/// A frame is cut so that no fragment takes more than a quarter of the ring. What finds no room waits in the outbox, in
/// order, and goes with ``flush()``; how much may wait is bounded by whoever bounds the jobs and drafts that are open.
struct FrameSender: ~Copyable {
  private var producer: RingProducer
  private var outbox: [Frame] = []
  /// Frames at the front of the outbox that are gone, removed when half of it is.
  private var outboxStart = 0
  /// Something was published since the other side was last asked whether it sleeps.
  private var hasPublished = false

  private struct Frame {
    let kind: UInt16
    let payload: [UInt8]
    var sent = 0
  }

  static let headerOctets = 8

  init(_ producer: consuming RingProducer) { self.producer = producer }

  var isBlocked: Bool { outboxStart < outbox.count }

  mutating func send(kind: UInt16, payload: [UInt8]) throws(RingError) {
    var frame = Frame(kind: kind, payload: payload)
    if isBlocked {
      outbox.append(frame)
      return
    }
    if try !push(&frame) { outbox.append(frame) }
  }

  /// Sends what waits; true when nothing waits any more.
  @discardableResult
  mutating func flush() throws(RingError) -> Bool {
    while outboxStart < outbox.count {
      var frame = outbox[outboxStart]
      let isGone = try push(&frame)
      outbox[outboxStart].sent = frame.sent
      guard isGone else { break }
      outboxStart += 1
    }
    if outboxStart > 64 && outboxStart * 2 > outbox.count || outboxStart == outbox.count {
      outbox.removeFirst(outboxStart)
      outboxStart = 0
    }
    return !isBlocked
  }

  private mutating func push(_ frame: inout Frame) throws(RingError) -> Bool {
    let fragmentMax = producer.capacity / 4 * RingMemory.slotOctets - Self.headerOctets
    repeat {
      let octets = min(frame.payload.count - frame.sent, fragmentMax)
      let slots = Self.slots(forPayload: octets)
      guard try producer.claim(slots) == slots else { return false }
      let isLast = frame.sent + octets == frame.payload.count
      let header = UInt64(octets) | UInt64(frame.kind) << 32 | (isLast ? 0 : 1) << 48
      withUnsafeBytes(of: header.littleEndian) { producer.copyIn(offsetOctets: 0, from: $0) }
      frame.payload.withUnsafeBytes { payload in
        producer.copyIn(
          offsetOctets: Self.headerOctets,
          from: UnsafeRawBufferPointer(rebasing: payload[frame.sent..<frame.sent + octets]))
      }
      producer.publish(slots)
      hasPublished = true
      frame.sent += octets
    } while frame.sent < frame.payload.count
    return true
  }

  static func slots(forPayload octets: Int) -> Int {
    (octets + headerOctets + RingMemory.slotOctets - 1) / RingMemory.slotOctets
  }

  /// After sending: whether the other side sleeps and wants its doorbell rung. Nothing sent, nobody woken: a sleeper
  /// must not be fetched from its sleep because this side has read something.
  mutating func takeWakeRequest() -> Bool {
    guard hasPublished else { return false }
    hasPublished = false
    return producer.takeWakeRequest()
  }

  /// Before this side sleeps: asks to be woken when there is room for what waits. False when there is room already.
  mutating func prepareToSleep() throws(RingError) -> Bool {
    guard isBlocked else { return true }
    return try producer.prepareToSleep(forSpace: producer.capacity / 4)
  }

  mutating func awake() { producer.awake() }
}

import MailModel
import Ring

/// Puts frames together again out of a ring's fragments (``FrameSender``). What the ring holds was written by the other
/// side and is checked: a fragment that claims more than is there, changes its kind half-way, or makes a frame longer
/// than ``frameOctetsMax`` is ``SpokeError/corrupt``.
struct FrameReceiver: ~Copyable {
  private var consumer: RingConsumer
  private var partial: [UInt8] = []
  private var partialKind: UInt16?
  /// Slots were given back since the other side was last asked whether it waits for room.
  private var hasReleased = false

  /// An envelope, the extents of its content, and some room.
  static let frameOctetsMax = Limits.envelopeOctetsMax + (64 << 20)

  init(_ consumer: consuming RingConsumer) { self.consumer = consumer }

  /// The next whole frame, or nil when there is none yet.
  mutating func next() throws(SpokeError) -> (kind: UInt16, payload: [UInt8])? {
    while true {
      guard try available(1) == 1 else { return nil }
      var header: UInt64 = 0
      withUnsafeMutableBytes(of: &header) { consumer.copyOut(offsetOctets: 0, into: $0) }
      header = UInt64(littleEndian: header)
      let octets = Int(header & 0xFFFF_FFFF)
      let kind = UInt16(truncatingIfNeeded: header >> 32)
      let hasMore = header >> 48 & 1 == 1
      guard octets <= consumer.capacity / 4 * 64, partial.count + octets <= Self.frameOctetsMax,
        partialKind == nil || partialKind == kind
      else { throw .corrupt }
      let slots = FrameSender.slots(forPayload: octets)
      // A fragment is published whole, so a part of one is a lie.
      guard try available(slots) == slots else { throw .corrupt }
      let start = partial.count
      if start == 0 && !hasMore {
        let payload = [UInt8](unsafeUninitializedCapacity: octets) { buffer, count in
          consumer.copyOut(offsetOctets: FrameSender.headerOctets, into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<octets]))
          count = octets
        }
        consumer.release(slots)
        hasReleased = true
        return (kind, payload)
      }
      partial.append(contentsOf: repeatElement(0, count: octets))
      partial.withUnsafeMutableBytes { buffer in
        consumer.copyOut(
          offsetOctets: FrameSender.headerOctets, into: UnsafeMutableRawBufferPointer(rebasing: buffer[start...]))
      }
      consumer.release(slots)
      hasReleased = true
      partialKind = kind
      if !hasMore {
        defer {
          partial = []
          partialKind = nil
        }
        return (kind, partial)
      }
    }
  }

  private mutating func available(_ count: Int) throws(SpokeError) -> Int {
    do throws(RingError) { return try consumer.available(count) } catch { throw .corrupt }
  }

  /// After receiving: whether the other side waits for room and wants its doorbell rung.
  mutating func takeWakeRequest() -> Bool {
    guard hasReleased else { return false }
    hasReleased = false
    return consumer.takeWakeRequest()
  }

  /// False when there is something to read after all.
  mutating func prepareToSleep() throws(SpokeError) -> Bool {
    do throws(RingError) { return try consumer.prepareToSleep() } catch { throw .corrupt }
  }

  mutating func awake() { consumer.awake() }
}

/// The other side of a spoke broke the protocol; nothing that it says is believed any more.
public enum SpokeError: Error, Equatable, Sendable {
  /// Cursors or fragments that cannot be.
  case corrupt
  /// A frame that does not decode.
  case frame(String)
}

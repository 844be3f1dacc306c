internal import CInterchange
internal import MailModel

extension ix_text {
  static var absent: ix_text { ix_text(octets: nil, count: 0) }
}

/// Octets that stay where they are for as long as a stage may look at them.
final class LentMemory: @unchecked Sendable {
  // SAFETY: written while it is built, by one thread; then only read, until the owner is freed.
  private let base: UnsafeMutablePointer<CChar>
  private let octets: Int
  private var used = 0

  init(octets: Int) {
    self.octets = octets
    base = .allocate(capacity: max(1, octets))
  }

  /// Copies a text, which must fit in what was asked for.
  func lend(_ text: String) -> ix_text {
    var copy = text
    return copy.withUTF8 { source in
      precondition(source.count <= octets - used, "more text than was measured")
      let start = base + used
      // SAFETY: the room was checked above; CChar and UInt8 have one layout.
      UnsafeMutableRawBufferPointer(start: start, count: source.count).copyMemory(from: UnsafeRawBufferPointer(source))
      used += source.count
      return ix_text(octets: start, count: source.count)
    }
  }

  func lend(_ text: String?) -> ix_text { text.map { lend($0) } ?? .absent }

  /// One text alone.
  static func of(_ text: String) -> (memory: LentMemory, text: ix_text) {
    let memory = LentMemory(octets: text.utf8.count)
    return (memory, memory.lend(text))
  }

  deinit { base.deallocate() }
}

/// An envelope as the structs of interchange.h, all in one piece of memory.
final class LentEnvelope: @unchecked Sendable {
  // SAFETY: filled in init, then only read.
  let queueID: ix_text
  let envelope: ix_envelope
  let recipients: [ix_recipient]
  /// Those of the envelope first, then those of each recipient; `attributeStarts[i]` is where i's start.
  private let attributes: [(name: ix_text, value: ix_text)]
  private let attributeStarts: [Int]
  private let memory: LentMemory

  init(_ source: Envelope, queueID: QueueID) {
    let identity = queueID.description
    memory = LentMemory(octets: identity.utf8.count + Self.octets(of: source))
    self.queueID = memory.lend(identity)
    var envelope = ix_envelope()
    envelope.size = MemoryLayout<ix_envelope>.size
    envelope.reverse_path_kind = UInt32(source.reversePath?.kind.rawValue ?? 0)
    envelope.return_content = UInt32(source.returnContent?.rawValue ?? 0)
    envelope.body = UInt32(source.bodyType.rawValue)
    envelope.smtputf8 = source.smtputf8 ? 1 : 0
    envelope.reverse_path = memory.lend(source.reversePath?.text)
    envelope.envelope_id = memory.lend(source.envelopeID)
    self.envelope = envelope
    var recipients: [ix_recipient] = []
    recipients.reserveCapacity(source.recipients.count)
    var attributes: [(name: ix_text, value: ix_text)] = []
    var starts = [0]
    starts.reserveCapacity(source.recipients.count + 2)
    for attribute in source.attributes {
      attributes.append((memory.lend(attribute.name), memory.lend(attribute.value)))
    }
    starts.append(attributes.count)
    for recipient in source.recipients {
      var raw = ix_recipient()
      raw.size = MemoryLayout<ix_recipient>.size
      raw.address_kind = UInt32(recipient.address.kind.rawValue)
      raw.notify = recipient.notify.map { UInt32($0.rawValue) } ?? UInt32(IX_NOTIFY_UNSAID.rawValue)
      raw.address = memory.lend(recipient.address.text)
      raw.original_type = memory.lend(recipient.originalRecipient?.type)
      raw.original_address = memory.lend(recipient.originalRecipient?.text)
      recipients.append(raw)
      for attribute in recipient.attributes {
        attributes.append((memory.lend(attribute.name), memory.lend(attribute.value)))
      }
      starts.append(attributes.count)
    }
    self.recipients = recipients
    self.attributes = attributes
    self.attributeStarts = starts
  }

  private static func octets(of source: Envelope) -> Int {
    var octets = source.reversePath?.text.utf8.count ?? 0
    octets += source.envelopeID?.utf8.count ?? 0
    for attribute in source.attributes { octets += attribute.name.utf8.count + attribute.value.utf8.count }
    for recipient in source.recipients {
      octets += recipient.address.text.utf8.count
      if let original = recipient.originalRecipient { octets += original.type.utf8.count + original.text.utf8.count }
      for attribute in recipient.attributes { octets += attribute.name.utf8.count + attribute.value.utf8.count }
    }
    return octets
  }

  /// The attributes of a recipient, or of the envelope for `IX_ENVELOPE`; nil when there is no such recipient.
  func attributes(of recipient: Int) -> ArraySlice<(name: ix_text, value: ix_text)>? {
    let index = recipient == envelopeIndex ? 0 : recipient + 1
    guard recipient == envelopeIndex || recipients.indices.contains(recipient) else { return nil }
    return attributes[attributeStarts[index]..<attributeStarts[index + 1]]
  }
}

/// `IX_ENVELOPE`, as Swift imports a `size_t`.
let envelopeIndex = Int(bitPattern: UInt.max)

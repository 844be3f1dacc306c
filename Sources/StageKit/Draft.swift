import CInterchange
public import MailModel

/// A message being made: by a source, to be offered, or by a filter, to be emitted. Dropping it discards it.
/// Thread: any, one at a time.
public final class Draft: @unchecked Sendable {
  // SAFETY: the host keeps the draft until it is given away or discarded; `raw` is nil after that.
  private var raw: OpaquePointer?
  private let context: StageContext
  /// Lent to the host while it may call it, which it does not after the draft is given away.
  private var room: CallBox?

  init(_ raw: OpaquePointer, _ context: StageContext) {
    self.raw = raw
    self.context = context
  }

  private var functions: ix_draft_functions { context.drafts.pointee }

  /// What came of handing something to a draft.
  public enum Outcome: Equatable, Sendable {
    case taken
    /// Not now; nothing was taken.
    case noRoom
    /// A limit is passed, for good.
    case tooBig
    /// The host is stopping, or the call was wrong.
    case refused

    init(_ status: ix_status) {
      switch status {
      case IX_OK: self = .taken
      case IX_AGAIN: self = .noRoom
      case IX_TOO_BIG: self = .tooBig
      default: self = .refused  // an open C enumeration, not ours
      }
    }
  }

  /// Sender, options, recipients and attributes.
  public func setEnvelope(_ envelope: Envelope) -> Outcome {
    guard let raw else { return .refused }
    var options = ix_envelope()
    options.size = MemoryLayout<ix_envelope>.size
    options.reverse_path_kind = UInt32(envelope.reversePath?.kind.rawValue ?? 0)
    options.return_content = UInt32(envelope.returnContent?.rawValue ?? 0)
    options.body = UInt32(envelope.bodyType.rawValue)
    options.smtputf8 = envelope.smtputf8 ? 1 : 0
    var status = (envelope.reversePath?.text).lend { path in
      envelope.envelopeID.lend { id in
        options.reverse_path = path
        options.envelope_id = id
        return functions.set_envelope(raw, &options)
      }
    }
    guard status == IX_OK else { return Outcome(status) }
    for attribute in envelope.attributes {
      status = add(attribute, to: envelopeIndex, of: raw)
      guard status == IX_OK else { return Outcome(status) }
    }
    for (index, recipient) in envelope.recipients.enumerated() {
      status = add(recipient, at: index, to: raw)
      guard status == IX_OK else { return Outcome(status) }
    }
    return .taken
  }

  private func add(_ attribute: Attribute, to recipient: Int, of raw: OpaquePointer) -> ix_status {
    attribute.name.lend { name in
      attribute.value.lend { value in functions.add_attribute(raw, recipient, name, value) }
    }
  }

  private func add(_ recipient: Recipient, at index: Int, to raw: OpaquePointer) -> ix_status {
    var entry = ix_recipient()
    entry.size = MemoryLayout<ix_recipient>.size
    entry.address_kind = UInt32(recipient.address.kind.rawValue)
    entry.notify = recipient.notify.map { UInt32($0.rawValue) } ?? IX_NOTIFY_UNSAID.rawValue
    let status = recipient.address.text.lend { address in
      (recipient.originalRecipient?.type).lend { type in
        (recipient.originalRecipient?.text).lend { original in
          entry.address = address
          entry.original_type = type
          entry.original_address = original
          return functions.add_recipient(raw, &entry)
        }
      }
    }
    guard status == IX_OK else { return status }
    for attribute in recipient.attributes {
      let status = add(attribute, to: index, of: raw)
      guard status == IX_OK else { return status }
    }
    return IX_OK
  }

  /// Appends all the octets to the content, or none of them.
  public func write(_ octets: UnsafeRawBufferPointer) -> Outcome {
    guard let raw else { return .refused }
    return Outcome(functions.write(raw, span(octets)))
  }

  public func write(_ octets: [UInt8]) -> Outcome { octets.withUnsafeBytes { write($0) } }

  /// The same, waiting for room: in filters and sinks, or on a thread of the stage's own.
  public func writeWaiting(_ octets: UnsafeRawBufferPointer) -> Outcome {
    guard let raw else { return .refused }
    return Outcome(functions.write_waiting(raw, span(octets)))
  }

  public func writeWaiting(_ octets: [UInt8]) -> Outcome { octets.withUnsafeBytes { writeWaiting($0) } }

  private func span(_ octets: UnsafeRawBufferPointer) -> ix_span {
    ix_span(octets: octets.bindMemory(to: UInt8.self).baseAddress, count: octets.count)
  }

  /// The content of the job's message, unchanged.
  public func keepContent(of job: Job) -> Outcome {
    guard let raw else { return .refused }
    return Outcome(functions.keep_content(raw, job.pointer))
  }

  /// Calls `room` on the stage thread when a write that found no room may be tried again.
  public func onRoom(_ room: @escaping () -> Void) {
    guard let raw else { return }
    let box = CallBox(room)
    self.room = box
    functions.on_room(
      raw, { user in user.map { Unmanaged<CallBox>.fromOpaque($0).takeUnretainedValue().call() } },
      Unmanaged.passUnretained(box).toOpaque())
  }

  /// Offers the message to the host. `verdict` is called once on the stage thread, unless the result is false.
  public func offer(port: Int = 0, _ verdict: @escaping (Verdict) -> Void) -> Bool {
    guard let given = give() else { return false }
    let box = Unmanaged.passRetained(VerdictBox(verdict))
    let status = context.ingest.pointee.offer(
      given, UInt32(port),
      { user, raw in
        guard let user, let raw else { return }
        Unmanaged<VerdictBox>.fromOpaque(user).takeRetainedValue().verdict(Verdict(raw.pointee))
      }, box.toOpaque())
    if status != IX_OK { box.release() }
    return status == IX_OK
  }

  /// Gives the draft away: it is the host's, or lost, from here on.
  func give() -> OpaquePointer? {
    defer { raw = nil }
    return raw
  }

  public func discard() { if let raw = give() { functions.discard(raw) } }

  deinit { discard() }
}

private final class VerdictBox {
  let verdict: (Verdict) -> Void
  init(_ verdict: @escaping (Verdict) -> Void) { self.verdict = verdict }
}

/// What the host made of an offered message.
public enum Verdict: Sendable, Equatable {
  /// Durable: now the peer may be told.
  case accepted(queueID: String)
  /// Still the peer's. The code's class says whether it may try again.
  case refused(EnhancedStatusCode, text: String)

  init(_ raw: ix_verdict) {
    if raw.status == IX_OK {
      self = .accepted(queueID: String(raw.queue_id) ?? "")
      return
    }
    let fallback = raw.status == IX_TOO_BIG ? EnhancedStatusCode.messageTooBig : .localFault
    let code = EnhancedStatusCode(
      class: UInt8(truncatingIfNeeded: raw.status_class), subject: Int(raw.status_subject),
      detail: Int(raw.status_detail))
    self = .refused(code ?? fallback, text: String(raw.text) ?? "")
  }
}

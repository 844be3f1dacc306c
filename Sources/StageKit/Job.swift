import CInterchange
public import MailModel

/// A message in the stage's hands. What it shows does not change. Answer for every recipient, then ``finish()``; a job
/// that is dropped unfinished is finished as it stands, and recipients without an answer come again.
///
/// Thread: any, one at a time.
public final class Job: @unchecked Sendable {
  // SAFETY: the host keeps the job until finish; `isFinished` guards every use after it. One thread at a time is the
  // stage's duty (interchange.h, ix_job_functions).
  let pointer: OpaquePointer
  private let context: StageContext
  private var isFinished = false

  init(_ pointer: OpaquePointer, _ context: StageContext) {
    self.pointer = pointer
    self.context = context
  }

  private var functions: ix_job_functions { context.jobs.pointee }

  public var queueID: String { String(functions.queue_id(pointer)) ?? "" }
  /// 1 at the first try at this stage.
  public var attempt: Int { Int(functions.attempt(pointer)) }
  public var acceptedAt: WallTime { WallTime(millisecondsSinceEpoch: functions.accepted_at(pointer)) }
  public var contentOctets: UInt64 { functions.content_octets(pointer) }
  public var recipientCount: Int { functions.recipient_count(pointer) }

  /// The envelope with its recipients, copied.
  public var envelope: Envelope {
    var raw = ix_envelope()
    raw.size = MemoryLayout<ix_envelope>.size
    functions.envelope(pointer, &raw)
    return Envelope(
      reversePath: AddressKind(rawValue: UInt8(truncatingIfNeeded: raw.reverse_path_kind)).map {
        Address($0, String(raw.reverse_path) ?? "")
      },
      recipients: (0..<recipientCount).compactMap { recipient($0) },
      envelopeID: String(raw.envelope_id),
      returnContent: ReturnContent(rawValue: UInt8(truncatingIfNeeded: raw.return_content)),
      bodyType: BodyType(rawValue: UInt8(truncatingIfNeeded: raw.body)) ?? .sevenBit,
      smtputf8: raw.smtputf8 != 0, attributes: attributes(of: envelopeIndex))
  }

  public func recipient(_ index: Int) -> Recipient? {
    var raw = ix_recipient()
    raw.size = MemoryLayout<ix_recipient>.size
    guard functions.recipient(pointer, index, &raw) == IX_OK else { return nil }
    var original: OriginalRecipient?
    if let type = String(raw.original_type) {
      original = OriginalRecipient(type: type, text: String(raw.original_address) ?? "")
    }
    return Recipient(
      Address(AddressKind(rawValue: UInt8(truncatingIfNeeded: raw.address_kind)) ?? .other, String(raw.address) ?? ""),
      notify: raw.notify == IX_NOTIFY_UNSAID.rawValue ? nil : Notify(rawValue: UInt8(truncatingIfNeeded: raw.notify)),
      originalRecipient: original, attributes: attributes(of: index))
  }

  private func attributes(of recipient: Int) -> [Attribute] {
    (0..<functions.attribute_count(pointer, recipient)).compactMap { index in
      var name = ix_text()
      var value = ix_text()
      guard functions.attribute(pointer, recipient, index, &name, &value) == IX_OK else { return nil }
      return Attribute(String(name) ?? "", String(value) ?? "")
    }
  }

  /// Lends the content in order, in as few pieces as it lies in, until `body` returns false.
  public func forEachPiece(from offset: UInt64 = 0, _ body: (UnsafeRawBufferPointer) -> Bool) {
    var offset = offset
    while offset < contentOctets {
      let proceed = withPiece(from: offset) { piece in
        offset += UInt64(piece.count)
        return !piece.isEmpty && body(piece)
      }
      guard proceed else { return }
    }
  }

  /// Lends the longest run of content in one piece from `offset` on; empty at the end.
  public func withPiece<Result>(from offset: UInt64, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    precondition(!isFinished, "content of a finished job")
    var span = ix_span()
    guard functions.content(pointer, offset, &span) == IX_OK else {
      return body(UnsafeRawBufferPointer(start: nil, count: 0))
    }
    return body(UnsafeRawBufferPointer(start: span.octets, count: span.count))
  }

  /// Sets the answer for one recipient; false when it already has one.
  @discardableResult
  public func answer(_ recipient: Int, _ answer: Answer) -> Bool {
    guard !isFinished else { return false }
    return answer.lend { functions.answer(pointer, recipient, $0) } == IX_OK
  }

  /// The same answer for every recipient that has none yet.
  public func answerRest(_ answer: Answer) {
    guard !isFinished else { return }
    _ = answer.lend { functions.answer_rest(pointer, $0) }
  }

  /// Adds a new message, to go to `port`, as part of this job's outcome; then says with ``moved(_:to:)`` which
  /// recipients went along. Nil when the host refuses it.
  public func emit(_ draft: Draft, port: Int) -> Emission? {
    guard !isFinished, let raw = draft.give() else { return nil }
    var number: UInt32 = 0
    guard functions.emit(pointer, raw, UInt32(port), &number) == IX_OK else { return nil }
    return Emission(number: number)
  }

  /// The recipient goes on as a recipient of an emitted message.
  @discardableResult
  public func moved(_ recipient: Int, to emission: Emission) -> Bool {
    guard !isFinished else { return false }
    var raw = ix_answer()
    raw.size = MemoryLayout<ix_answer>.size
    raw.kind = IX_MOVED.rawValue
    raw.draft = emission.number
    return functions.answer(pointer, recipient, &raw) == IX_OK
  }

  /// Makes the outcome final and gives the job back.
  public func finish() {
    guard !isFinished else { return }
    isFinished = true
    context.forget(pointer)
    functions.finish(pointer)
  }

  deinit { finish() }
}

/// A message that a job emitted.
public struct Emission: Sendable {
  let number: UInt32
}

extension Answer {
  /// Lends the answer to a C call.
  fileprivate func lend<Result>(_ body: (UnsafePointer<ix_answer>) -> Result) -> Result {
    var raw = ix_answer()
    raw.size = MemoryLayout<ix_answer>.size
    func with(_ kind: ix_answer_kind, _ status: DeliveryStatus) -> Result {
      raw.kind = kind.rawValue
      raw.status_class = UInt32(status.code.class.rawValue)
      raw.status_subject = UInt32(status.code.subject)
      raw.status_detail = UInt32(status.code.detail)
      return status.text.lend { text in
        raw.text = text
        guard let remote = status.remote else { return body(&raw) }
        return remote.host.lend { host in
          remote.type.lend { type in
            remote.text.lend { text in
              raw.remote_host = host
              raw.remote_type = type
              raw.remote_text = text
              return body(&raw)
            }
          }
        }
      }
    }
    switch self {
    case .forward(let port, let because):
      raw.port = UInt32(port)
      if let because { return with(IX_FORWARD, because) }
      raw.kind = IX_FORWARD.rawValue
      return body(&raw)
    case .settled(.delivered, let status): return with(IX_DELIVERED, status)
    case .settled(.relayed, let status): return with(IX_RELAYED, status)
    case .settled(.expanded, let status): return with(IX_EXPANDED, status)
    case .settled(.transferred, let status): return with(IX_TRANSFERRED, status)
    case .deferred(let status, let retryAfterSeconds):
      raw.retry_after = retryAfterSeconds ?? 0
      return with(IX_DEFERRED, status)
    case .failed(let status): return with(IX_REFUSED, status)
    case .held(let reason):
      raw.kind = IX_HELD.rawValue
      return reason.lend { text in
        raw.text = text
        return body(&raw)
      }
    case .dead(let status): return with(IX_DEAD, status)
    }
  }
}

internal import CInterchange
internal import MailModel
internal import Spoke

/// A draft with its runner, behind the number that the stage has.
final class DraftInHand: Sendable {
  static let table = HandleTable<DraftInHand>(tag: 2)
  let runner: StageRunner
  let draft: RunnerDraft

  init(runner: StageRunner, draft: RunnerDraft) {
    self.runner = runner
    self.draft = draft
  }

  static func call(
    _ function: StaticString, _ pointer: OpaquePointer?, _ body: (DraftInHand) throws(CallRefusal) -> Void
  ) -> ix_status {
    guard let hand = table.find(pointer) else { return IX_INVALID }
    do throws(CallRefusal) {
      guard !hand.runner.isGivenUp else { throw .closed }
      try body(hand)
      return IX_OK
    } catch {
      if case .invalid(let line) = error { hand.runner.breach(function, line) }
      return error.status
    }
  }

  /// The draft is not the stage's any more.
  func close() {
    runner.ledger.close(draft: draft.number)
    runner.pieces.forget(draft.number)
    if runner.phaseNow() == .stopping && !runner.loop.isOnLoopThread { runner.loop.wake() }
  }

  fileprivate func octets(_ span: ix_span) throws(CallRefusal) -> UnsafeRawBufferPointer {
    guard let octets = span.octets else {
      guard span.count == 0 else { throw .invalid("a span of \(span.count) octets at NULL") }
      return UnsafeRawBufferPointer(start: nil, count: 0)
    }
    guard span.count >= 0 else { throw .tooBig }
    return UnsafeRawBufferPointer(start: octets, count: span.count)
  }
}

private func addressKind(_ raw: UInt32) throws(CallRefusal) -> AddressKind {
  guard let octet = UInt8(exactly: raw), let kind = AddressKind(rawValue: octet) else {
    throw .invalid("an address of kind \(raw)")
  }
  return kind
}

extension ix_envelope {
  /// Sets sender and options of `envelope`.
  fileprivate func apply(to envelope: inout Envelope) throws(CallRefusal) {
    let path = try Handed.text(reverse_path, octetsMax: Limits.addressOctetsMax)
    let id = try Handed.text(envelope_id, octetsMax: Limits.addressOctetsMax)
    guard let options = UInt8(exactly: return_content), options == 0 || ReturnContent(rawValue: options) != nil else {
      throw .invalid("return_content \(return_content)")
    }
    guard let octet = UInt8(exactly: body), let bodyType = BodyType(rawValue: octet) else {
      throw .invalid("body \(body)")
    }
    guard smtputf8 <= 1 else { throw .invalid("smtputf8 \(smtputf8)") }
    envelope.reversePath =
      reverse_path_kind == IX_ADDRESS_NONE.rawValue ? nil : Address(try addressKind(reverse_path_kind), path ?? "")
    envelope.envelopeID = id
    envelope.returnContent = ReturnContent(rawValue: options)
    envelope.bodyType = bodyType
    envelope.smtputf8 = smtputf8 == 1
  }
}

extension ix_recipient {
  fileprivate func recipient() throws(CallRefusal) -> Recipient {
    guard notify == IX_NOTIFY_UNSAID.rawValue || notify <= 7 else { throw .invalid("notify \(notify)") }
    let text = try Handed.text(address, octetsMax: Limits.addressOctetsMax) ?? ""
    let type = try Handed.text(original_type, octetsMax: Limits.addressOctetsMax)
    let original = try Handed.text(original_address, octetsMax: Limits.addressOctetsMax)
    guard (type == nil) == (original == nil) else { throw .invalid("half of an original recipient") }
    return Recipient(
      Address(try addressKind(address_kind), text),
      notify: notify == IX_NOTIFY_UNSAID.rawValue ? nil : Notify(rawValue: UInt8(notify)),
      originalRecipient: type.map { OriginalRecipient(type: $0, text: original ?? "") })
  }
}

extension HostTables {
  // SAFETY: as for the other tables.
  nonisolated(unsafe) static let draft = eternal(
    ix_draft_functions(
      size: MemoryLayout<ix_draft_functions>.size,
      create: { host in
        guard let runner = HostBlock.runner(host), !runner.isGivenUp else { return nil }
        return runner.makeDraft()
      },
      set_envelope: { pointer, envelope in
        DraftInHand.call("set_envelope", pointer) { hand throws(CallRefusal) in
          let raw = try Handed.read(envelope, zero: ix_envelope())
          try hand.draft.edit { envelope throws(CallRefusal) in try raw.apply(to: &envelope) }
        }
      },
      add_recipient: { pointer, recipient in
        DraftInHand.call("add_recipient", pointer) { hand throws(CallRefusal) in
          let recipient = try Handed.read(recipient, zero: ix_recipient()).recipient()
          try hand.draft.edit { envelope throws(CallRefusal) in
            guard envelope.recipients.count < hand.runner.setup.recipientsMax else { throw .tooBig }
            envelope.recipients.append(recipient)
          }
        }
      },
      add_attribute: { pointer, recipient, name, value in
        DraftInHand.call("add_attribute", pointer) { hand throws(CallRefusal) in
          guard let key = try Handed.text(name, octetsMax: 256), !key.isEmpty else {
            throw .invalid("an attribute without a name")
          }
          let attribute = Attribute(key, try Handed.text(value, octetsMax: Limits.addressOctetsMax) ?? "")
          try hand.draft.edit { envelope throws(CallRefusal) in
            if recipient == envelopeIndex {
              guard envelope.attributes.count < Limits.attributesMax else { throw .tooBig }
              envelope.attributes.append(attribute)
              return
            }
            guard envelope.recipients.indices.contains(recipient) else {
              throw .invalid("an attribute of recipient \(recipient) of \(envelope.recipients.count)")
            }
            guard envelope.recipients[recipient].attributes.count < Limits.attributesMax else { throw .tooBig }
            envelope.recipients[recipient].attributes.append(attribute)
          }
        }
      },
      copy_envelope: { pointer, job in
        DraftInHand.call("copy_envelope", pointer) { hand throws(CallRefusal) in
          guard let source = JobInHand.table.find(job)?.job.frame.envelope else { throw .invalid("no job") }
          try hand.draft.edit { envelope throws(CallRefusal) in
            let recipients = envelope.recipients
            envelope = source
            envelope.recipients = recipients
          }
        }
      },
      write: { pointer, span in
        DraftInHand.call("write", pointer) { hand throws(CallRefusal) in
          try hand.draft.write(
            try hand.octets(span), octetsMax: hand.runner.setup.contentOctetsMax,
            isFirstInLine: hand.runner.isInTurn(hand.draft))
        }
      },
      write_waiting: { pointer, span in
        DraftInHand.call("write_waiting", pointer) { hand throws(CallRefusal) in
          let runner = hand.runner
          let isOnStageThread = runner.loop.isOnLoopThread
          guard !isOnStageThread || runner.kind != IX_SOURCE.rawValue else {
            throw .invalid("a source must not wait on its stage thread")
          }
          try hand.draft.writeWaiting(try hand.octets(span), octetsMax: runner.setup.contentOctetsMax) { seen in
            if isOnStageThread { return runner.waitForRoomOnStageThread(since: seen) }
            runner.pieces.waitForRoom(since: seen, seconds: RunnerLimits.roomLookSeconds)
            return !runner.isGivenUp && runner.phaseNow() < .destroyed
          }
        }
      },
      keep_content: { pointer, job in
        DraftInHand.call("keep_content", pointer) { hand throws(CallRefusal) in
          guard let source = JobInHand.table.find(job)?.job else { throw .invalid("no job") }
          try hand.draft.keepContent(of: source.frame.job)
        }
      },
      discard: { pointer in
        guard let hand = DraftInHand.table.remove(pointer) else { return }
        hand.draft.discard()
        hand.close()
      },
      on_room: { pointer, room, user in
        guard let hand = DraftInHand.table.find(pointer) else { return }
        hand.runner.pieces.enqueue(hand.draft.number, room, user)
      }))

  nonisolated(unsafe) static let ingest = eternal(
    ix_ingest_functions(
      size: MemoryLayout<ix_ingest_functions>.size,
      offer: { pointer, port, verdict, user in
        // The draft is the host's from here on, whatever comes of it.
        let result = DraftInHand.call("offer", pointer) { hand throws(CallRefusal) in
          guard let verdict else { throw .invalid("no verdict function") }
          try hand.runner.offer(hand.draft, port: port, PendingVerdict(verdict: verdict, user: user))
        }
        if let hand = DraftInHand.table.remove(pointer) {
          if result != IX_OK { hand.draft.discard() }
          hand.close()
        }
        return result
      },
      congestion: { HostBlock.runner($0)?.congestion.load(ordering: .relaxed) ?? IX_SHUT.rawValue },
      content_octets_max: { HostBlock.runner($0)?.setup.contentOctetsMax ?? 0 },
      recipients_max: { HostBlock.runner($0)?.setup.recipientsMax ?? 0 }))
}

extension StageRunner {
  func makeDraft() -> OpaquePointer? {
    let handle = ledger.openDraft { number in
      let draft = RunnerDraft(number: number, channel: pieces)
      let handle = DraftInHand.table.insert(DraftInHand(runner: self, draft: draft), shard: shard)
      return (draft, Handle(handle))
    }
    return handle?.pointer
  }

  /// It is this draft's turn to take chunks: its `room` callback runs.
  func isInTurn(_ draft: RunnerDraft) -> Bool { loop.isOnLoopThread && draftInTurn == draft.number }

  func offer(_ draft: RunnerDraft, port: UInt32, _ verdict: PendingVerdict) throws(CallRefusal) {
    guard kind == IX_SOURCE.rawValue else { throw .invalid("an offer by a stage that is no source") }
    let phase = phaseNow()
    guard phase >= .running else { throw .invalid("an offer before start") }
    guard phase < .destroyed else { throw .closed }
    guard port < portCount else { throw .invalid("port \(port) of \(portCount)") }
    let given = try draft.give { given throws(CallRefusal) in
      guard given.keptJob == nil else { throw .invalid("an offer that keeps a job's content") }
    }
    // Before the frame: the verdict may come at once.
    ledger.await(verdict, of: draft.number)
    link.send(.offer(draft: draft.number, port: UInt16(port), given.envelope))
  }
}

internal import CInterchange
internal import MailModel
internal import Spoke

/// A job with its runner, behind the number that the stage has.
final class JobInHand: Sendable {
  static let table = HandleTable<JobInHand>(tag: 1)
  let runner: StageRunner
  let job: RunnerJob

  init(runner: StageRunner, job: RunnerJob) {
    self.runner = runner
    self.job = job
  }

  /// Carries out a call on a job; what the stage did wrong is logged.
  static func call(
    _ function: StaticString, _ pointer: OpaquePointer?, _ body: (JobInHand) throws(CallRefusal) -> Void
  ) -> ix_status {
    // Without a job there is no runner to log with.
    guard let hand = table.find(pointer) else { return IX_INVALID }
    do throws(CallRefusal) {
      try body(hand)
      return IX_OK
    } catch {
      if case .invalid(let line) = error { hand.runner.breach(function, line, about: hand.job.frame.queueID) }
      return error.status
    }
  }
}

extension HostTables {
  // SAFETY: written once, before its address is given away; then only read.
  nonisolated(unsafe) static let job = eternal(
    ix_job_functions(
      size: MemoryLayout<ix_job_functions>.size,
      queue_id: { JobInHand.table.find($0)?.job.lent.queueID ?? ix_text.absent },
      attempt: { JobInHand.table.find($0)?.job.frame.attempt ?? 0 },
      envelope: { pointer, out in
        _ = JobInHand.call("envelope", pointer) { hand throws(CallRefusal) in
          try Handed.fill(out, with: hand.job.lent.envelope)
        }
      },
      recipient_count: { JobInHand.table.find($0)?.job.frame.envelope.recipients.count ?? 0 },
      recipient: { pointer, index, out in
        JobInHand.call("recipient", pointer) { hand throws(CallRefusal) in
          let recipients = hand.job.lent.recipients
          guard recipients.indices.contains(index) else { throw .invalid("recipient \(index) of \(recipients.count)") }
          try Handed.fill(out, with: recipients[index])
        }
      },
      attribute_count: { JobInHand.table.find($0)?.job.lent.attributes(of: $1)?.count ?? 0 },
      attribute: { pointer, recipient, index, name, value in
        JobInHand.call("attribute", pointer) { hand throws(CallRefusal) in
          guard let attributes = hand.job.lent.attributes(of: recipient), index >= 0, index < attributes.count else {
            throw .invalid("no such attribute")
          }
          let attribute = attributes[attributes.startIndex + index]
          name?.pointee = attribute.name
          value?.pointee = attribute.value
        }
      },
      accepted_at: { JobInHand.table.find($0)?.job.frame.acceptedAt.millisecondsSinceEpoch ?? 0 },
      content_octets: { JobInHand.table.find($0)?.job.frame.contentOctets ?? 0 },
      content: { pointer, offset, out in
        let status = JobInHand.call("content", pointer) { hand throws(CallRefusal) in
          guard let out else { throw .invalid("no span to fill") }
          let octets = try hand.job.content(from: offset, in: hand.runner.segments)
          out.pointee = ix_span(
            octets: octets.baseAddress?.assumingMemoryBound(to: UInt8.self), count: octets.count)
        }
        return status
      },
      answer: { pointer, recipient, answer in
        JobInHand.call("answer", pointer) { hand throws(CallRefusal) in
          try hand.job.answer(recipient, try Handed.read(answer, zero: ix_answer()))
        }
      },
      answer_rest: { pointer, answer in
        JobInHand.call("answer_rest", pointer) { hand throws(CallRefusal) in
          try hand.job.answerRest(try Handed.read(answer, zero: ix_answer()))
        }
      },
      emit: { pointer, draft, port, number in
        // The draft is the host's from here on, whatever comes of it.
        let taken = DraftInHand.table.remove(draft)
        let status = JobInHand.call("emit", pointer) { hand throws(CallRefusal) in
          guard let taken else { throw .invalid("no draft") }
          taken.close()
          guard taken.runner === hand.runner else { throw .invalid("a draft of another instance") }
          guard port < hand.runner.portCount else { throw .invalid("port \(port) of \(hand.runner.portCount)") }
          let given = try taken.draft.give { given throws(CallRefusal) in
            guard given.keptJob == nil || given.keptJob == hand.job.frame.job else {
              throw .invalid("a draft that keeps another job's content")
            }
          }
          do throws(CallRefusal) {
            let emission = OutcomeFrame.Emission(
              draft: given.keptJob == nil ? taken.draft.number : nil, port: UInt16(port), envelope: given.envelope)
            let index = try hand.job.emit(emission)
            number?.pointee = index
          } catch {
            taken.draft.takeBack()
            throw error
          }
        }
        if status != IX_OK { taken?.draft.discard() }
        return status
      },
      finish: { pointer in
        guard let hand = JobInHand.table.remove(pointer), let outcome = hand.job.finish() else { return }
        hand.runner.finished(hand.job, outcome)
      }))
}

extension StageRunner {
  func finished(_ job: RunnerJob, _ outcome: OutcomeFrame) {
    if outcome.runs.contains(where: { $0.answer == .unanswered }) {
      breach("finish", "recipients without an answer", about: job.frame.queueID)
    }
    link.send(.outcome(outcome))
    ledger.close(job: job.frame.job)
    // A stopping instance may be waiting for just this.
    if phaseNow() == .stopping && !loop.isOnLoopThread { loop.wake() }
  }
}

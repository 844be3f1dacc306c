internal import AddressCheck
public import CInterchange
internal import MailModel
internal import StageKit

/// Lets recipients with a good address pass to `valid` and sends the others, with the reason, to `invalid`.
final class AddressValidator: Stage {
  static let declaration = StageDeclaration(
    name: "validator", kind: .filter, summary: "Refuses addresses that are not well formed.",
    ports: ["valid", "invalid"])

  private static let valid = 0
  private static let invalid = 1

  private let context: StageContext

  init(context: StageContext, config: ConfigNode) throws(StageFailure) { self.context = context }

  /// One bad recipient fails alone; a bad originator fails them all, in this one attempt.
  func submit(_ job: Job) {
    let envelope = job.envelope
    if let reversePath = envelope.reversePath,
      let problem = AddressCheck.problem(with: reversePath, as: .originator, smtputf8: envelope.smtputf8)
    {
      context.log(.warning, "\(problem.code) \(problem.text)", about: job)
      context.count("originators.invalid")
      job.answerRest(.forward(port: Self.invalid, because: problem))
      job.finish()
      return
    }
    var invalidCount = 0
    for (index, recipient) in envelope.recipients.enumerated() {
      if let problem = AddressCheck.problem(with: recipient.address, as: .recipient, smtputf8: envelope.smtputf8) {
        job.answer(index, .forward(port: Self.invalid, because: problem))
        invalidCount += 1
      }
    }
    if invalidCount > 0 {
      context.log(.info, "\(invalidCount) of \(envelope.recipients.count) recipients are not valid", about: job)
      context.count("recipients.invalid", Int64(invalidCount))
    }
    job.answerRest(.forward(port: Self.valid))
    job.finish()
  }
}

private let module = StageModule(
  name: "address", version: "0.1", summary: "Checks addresses of every kind.", stages: [AddressValidator.self])

/// The one symbol of the module.
@_cdecl("ix_module_v1")
public func describeModule(_ hostLevel: UInt32) -> UnsafePointer<ix_module> { module.description }

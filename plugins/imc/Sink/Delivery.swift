internal import MailModel
internal import SMTP
internal import StageKit

/// A job in the sink's hands, until every recipient has its answer. Thread: stage.
final class Delivery {
  let job: Job
  let envelope: Envelope
  let survey: ContentSurvey
  /// The host wants the job back: no further host is tried.
  var isCancelled = false
  private var unanswered: Int
  private let finished: (Delivery) -> Void

  init(_ job: Job, envelope: Envelope, _ finished: @escaping (Delivery) -> Void) {
    self.job = job
    self.envelope = envelope
    self.finished = finished
    unanswered = envelope.recipients.count
    survey = ContentSurvey(of: job)
  }

  func answer(_ recipient: Int, _ answer: Answer) {
    guard job.answer(recipient, answer) else { return }
    unanswered -= 1
    if unanswered == 0 {
      job.finish()
      finished(self)
    }
  }
}

/// Part of a delivery that goes to one destination in one go. Thread: stage.
final class Transaction {
  let delivery: Delivery
  /// Indices into the delivery's recipients.
  let recipients: [Int]
  /// Who is still to be tried, the present one first; nil until the destination's route is known.
  var targets: [Target]?
  /// A connection that was used before failed for it: it needs one of its own.
  var needsFreshConnection = false
  /// Hosts whose TLS failed where it was a courtesy.
  var inTheClear: Set<Target> = []

  init(_ delivery: Delivery, recipients: [Int], targets: [Target]? = nil) {
    self.delivery = delivery
    self.recipients = recipients
    self.targets = targets
  }

  /// The same for fewer recipients, to be tried at the hosts that are left.
  func rest(_ recipients: [Int]) -> Transaction {
    let rest = Transaction(delivery, recipients: recipients, targets: targets)
    rest.inTheClear = inTheClear
    return rest
  }

  var message: OutgoingMessage {
    var envelope = delivery.envelope
    if recipients.count < envelope.recipients.count {
      envelope.recipients = recipients.map { delivery.envelope.recipients[$0] }
    }
    return OutgoingMessage(
      envelope: envelope, contentOctets: Int(clamping: delivery.job.contentOctets),
      hasEightBitOctets: delivery.survey.hasEightBitOctets, longestLineOctets: delivery.survey.longestLineOctets,
      needsUTF8: envelope.smtputf8 && delivery.survey.hasEightBitHeader)
  }

  /// The same answer for everybody.
  func answer(_ answer: Answer) {
    for recipient in recipients { delivery.answer(recipient, answer) }
  }
}

/// What of a content decides how it may be sent.
struct ContentSurvey: Equatable {
  var hasEightBitOctets = false
  var hasEightBitHeader = false
  /// Without line ends.
  var longestLineOctets = 0

  private var column = 0
  private var isInHeader = true

  init() {}

  init(of job: Job) {
    job.forEachPiece { piece in
      add(piece)
      return true
    }
    longestLineOctets = max(longestLineOctets, column)
  }

  /// The next piece.
  mutating func add(_ piece: UnsafeRawBufferPointer) {
    var start = 0
    while start < piece.count {
      var index = start
      var union: UInt8 = 0
      while index < piece.count, piece[index] != 0x0A {
        union |= piece[index]
        index += 1
      }
      column += index - start
      if union >= 0x80 {
        hasEightBitOctets = true
        if isInHeader { hasEightBitHeader = true }
      }
      guard index < piece.count else { return }
      let isAfterCR = index > start && piece[index - 1] == 0x0D
      longestLineOctets = max(longestLineOctets, isAfterCR ? column - 1 : column)
      if column == 0 || (column == 1 && isAfterCR) { isInHeader = false }
      column = 0
      start = index + 1
    }
  }
}

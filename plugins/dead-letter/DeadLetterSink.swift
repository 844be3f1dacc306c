public import CInterchange
internal import DeadLetterStore
internal import Glibc
internal import MailModel
internal import StageKit

/// Keeps what can neither be delivered nor reported, as directories that anyone can read.
final class DeadLetterSink: Stage {
  static let declaration = StageDeclaration(
    name: "letter", kind: .sink, summary: "Keeps messages that can neither be delivered nor reported.",
    settings: [
      Setting("path", .path, required: true, "The directory of the letters; made when it is missing."),
      Setting("keep", .duration, "How long letters stay; without it, until somebody drops them."),
      Setting("quota", .size, "Octets of all letters together; without it, no bound."),
      Setting("max_letters", .integer(1...1_000_000_000), "How many letters there may be; without it, no bound."),
    ])

  private static let sweepIntervalSeconds = 3600.0
  /// When the store is full or cannot be written, an operator has to come.
  private static let retrySeconds = 300.0

  private let context: StageContext
  private let path: String
  private let keepSeconds: Double?
  private let settings: DeadLetterStore.Settings
  private var store: DeadLetterStore?
  private var sweepTimer: Timer?
  /// The last store's failure, until one succeeds.
  private var trouble: String?

  init(context: StageContext, config: ConfigNode) throws(StageFailure) {
    self.context = context
    path = config["path"].text ?? ""
    keepSeconds = config["keep"].real
    settings = DeadLetterStore.Settings(
      octetsMax: config["quota"].integer.flatMap { UInt64(exactly: $0) },
      lettersMax: config["max_letters"].integer.flatMap { Int(exactly: $0) })
    if path.isEmpty {
      context.complain(.error, at: config["path"], "must name a directory")
      throw .configuration
    }
  }

  func start() throws(StageFailure) {
    if mkdir(path, 0o700) != 0, errno != EEXIST {
      throw .failed("\(path): \(String(cString: strerror(errno)))")
    }
    do throws(DeadLetterError) {
      store = try DeadLetterStore(path: path, settings: settings)
    } catch {
      throw .failed("\(path): \(Self.words(error))")
    }
    sweep()
  }

  func submit(_ job: Job) {
    defer { job.finish() }
    guard let store, let queueID = QueueID(job.queueID) else {
      job.answerRest(.deferred(DeliveryStatus(.localFault, "the store is not open"), retryAfterSeconds: nil))
      return
    }
    let letter = DeadLetter(
      queueID: queueID, acceptedAt: job.acceptedAt,
      storedAt: WallTime(millisecondsSinceEpoch: context.wallMilliseconds), buried: job.envelope,
      contentOctets: job.contentOctets)
    do throws(DeadLetterError) {
      let id = try store.store(letter) { write throws(DeadLetterError) in
        var failure: DeadLetterError?
        job.forEachPiece { piece in
          do throws(DeadLetterError) { try write(piece) } catch { failure = error }
          return failure == nil
        }
        if let failure { throw failure }
      }
      trouble = nil
      context.log(.warning, "kept as \(id)", about: job)
      context.count("letters.stored")
      job.answerRest(.settled(.delivered, DeliveryStatus(.success, "kept as \(id)")))
    } catch {
      let words = Self.words(error)
      if error == .busy {
        job.answerRest(.deferred(DeliveryStatus(.localFault, words), retryAfterSeconds: 1))
        return
      }
      trouble = "\(path): \(words)"
      context.log(.error, "not kept: \(words)", about: job)
      context.count("letters.refused")
      let code: EnhancedStatusCode
      switch error {
      case .quota: code = .systemFull
      case .busy, .noSuchLetter, .io, .damaged, .incomplete: code = .localFault
      }
      job.answerRest(.deferred(DeliveryStatus(code, words), retryAfterSeconds: Self.retrySeconds))
    }
  }

  func stop() {
    sweepTimer?.cancel()
    sweepTimer = nil
  }

  func health() -> String? { trouble }

  /// Removes what is too old, says so, and comes again in an hour.
  private func sweep() {
    guard let store, let keepSeconds else { return }
    do throws(DeadLetterError) {
      let removed = try store.sweep(
        keepSeconds: keepSeconds, now: WallTime(millisecondsSinceEpoch: context.wallMilliseconds))
      for summary in removed {
        context.log(.warning, "removed \(summary.id) of \(summary.octets) octets: its time was over")
      }
      if !removed.isEmpty { context.count("letters.removed", Int64(removed.count)) }
    } catch {
      if error != .busy { context.log(.error, "could not remove old letters: \(Self.words(error))") }
    }
    sweepTimer = context.timer(after: Self.sweepIntervalSeconds) { [weak self] in self?.sweep() }
  }

  private static func words(_ error: DeadLetterError) -> String {
    switch error {
    case .quota(let what): "the store is full: \(what)"
    case .busy: "another process is writing to the store"
    case .noSuchLetter: "no such letter"
    case .io(let call): call.description
    case .damaged(let what): "damaged: \(what)"
    case .incomplete(let octets, let announced): "\(octets) octets of content instead of \(announced)"
    }
  }
}

private let module = StageModule(
  name: "dead", version: "0.1", summary: "The dead-letter store.", stages: [DeadLetterSink.self])

/// The one symbol of the module.
@_cdecl("ix_module_v1")
public func describeModule(_ hostLevel: UInt32) -> UnsafePointer<ix_module> { module.description }

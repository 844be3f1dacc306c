public import MailModel
import Spool
import Synchronization

/// What became of an order about one message.
public struct OrderResult: Sendable, Equatable {
  public var id: QueueID
  /// Nil when the queue has no such message.
  public var count: Dispatcher.OrderCount?
}

extension GatewayControl {
  /// Carries out an order about messages, and returns when it is durable. With `isDryRun` it only counts.
  ///
  /// - Parameter filter: Which of their recipients.
  /// - Throws: ``ControlError/refused(_:)`` when the spool took a part of it not; the rest is done.
  public func order(
    _ order: Dispatcher.Order, _ ids: [QueueID], _ filter: QueueFilter = QueueFilter(), isDryRun: Bool
  ) throws(ControlError) -> [OrderResult] {
    let result: Result<[OrderResult], ControlError> = try askLater { hub, now, answer in
      // Hub's thread only.
      let progress = OrderProgress(answer)
      for id in ids {
        let isChosen: (QueuedMessage, Int) -> Bool = { message, recipient in
          filter.matches(
            message.stored.envelope.recipients[recipient].address,
            stage: message.stage(of: recipient, hub.dispatcher.plan), state: message.queueState(of: recipient))
        }
        let count = hub.dispatcher.order(order, id, isDryRun: isDryRun, among: isChosen, now) { progress.ended($0) }
        if !isDryRun, let count, count.affected > 0 { progress.open += 1 }
        progress.results.append(OrderResult(id: id, count: count))
      }
      progress.areAllGiven = true
      progress.answerWhenDone()
    }
    return try result.get()
  }

  /// The same for every message that the filter finds, in pieces.
  ///
  /// - Parameter body: Called after each piece; false ends it.
  public func orderAll(
    _ order: Dispatcher.Order, _ filter: QueueFilter, isDryRun: Bool, _ body: ([OrderResult]) -> Bool
  ) throws(ControlError) {
    var ids: [QueueID] = []
    func carryOut() throws(ControlError) -> Bool {
      defer { ids = [] }
      return ids.isEmpty ? true : body(try self.order(order, ids, filter, isDryRun: isDryRun))
    }
    try walk { (hub, now, message) -> QueueID? in
      filter.matches(message.stored, now) && !message.rows(filter, hub.dispatcher.plan).isEmpty
        ? message.stored.id : nil
    } with: { (id) throws(ControlError) in
      if let id { ids.append(id) }
      return ids.count < Self.messagesPerVisit ? true : try carryOut()
    }
    _ = try carryOut()
  }

  /// Largest content that can be put in by hand: it is held in memory on its way.
  public static let injectedOctetsMax = 64 << 20

  /// Puts a message in, and returns when it is durable.
  ///
  /// - Parameter place: A stage's id, for what goes into it; `STAGE:PORT`, or a source's id, for what comes out of it.
  public func inject(_ envelope: Envelope, _ content: [UInt8], at place: String) throws(ControlError) -> QueueID {
    guard let lane = lane(at: place) else { throw .noSuchStage(place) }
    let limit = UInt64(gateway.pipeline.file.spool.messageOctetsMax)
    guard content.count <= Self.injectedOctetsMax, UInt64(content.count) <= limit else {
      throw .refused("the content is larger than \(min(UInt64(Self.injectedOctetsMax), limit)) octets")
    }
    guard !envelope.recipients.isEmpty else { throw .refused("a message without recipients") }
    let result: Result<[QueueID], SpoolError> = try askLater { hub, now, answer in
      hub.dispatcher.inject(envelope, content, at: lane, origin: "admin", now) { answer.give($0) }
    }
    switch result {
    case .success(let ids):
      guard let id = ids.first else { throw .refused("the spool gave no number") }
      return id
    case .failure(let error): throw .refused(GatewayError.spool(error).description)
    }
  }

  /// The lane that a place leads into; nil when there is none.
  private func lane(at place: String) -> Int? {
    let parts = place.split(separator: ":", maxSplits: 1).map(String.init)
    let graph = gateway.pipeline.graph
    guard let first = parts.first, let node = graph.node(first) else { return nil }
    if parts.count > 1 { return node.ports.first { $0.name == parts[1] }?.target }
    return node.role == .source ? node.ports.first?.target : node.index
  }
}

/// Orders of one call that are not durable yet. Hub's thread only.
private final class OrderProgress {
  var open = 0
  var areAllGiven = false
  var results: [OrderResult] = []
  private var failure: SpoolError?
  private let answer: ControlAnswer<Result<[OrderResult], ControlError>>

  init(_ answer: ControlAnswer<Result<[OrderResult], ControlError>>) { self.answer = answer }

  func ended(_ result: Result<[QueueID], SpoolError>) {
    open -= 1
    if case .failure(let error) = result { failure = error }
    answerWhenDone()
  }

  func answerWhenDone() {
    guard areAllGiven, open == 0 else { return }
    areAllGiven = false
    answer.give(failure.map { .failure(.refused(GatewayError.spool($0).description)) } ?? .success(results))
  }
}

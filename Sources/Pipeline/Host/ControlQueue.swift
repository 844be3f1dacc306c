public import MailModel
public import Spool

/// Where a recipient is, in one word.
public enum QueueState: String, Sendable, CaseIterable {
  /// Waits for its turn at a stage.
  case queued
  /// In a stage's hands.
  case active
  /// Waits for the time of its next attempt.
  case deferred
  /// Waits for an operator.
  case held
  /// An outcome is on its way to the disk.
  case settling
  case ended
}

/// Which recipients a listing or an order is about: those that pass every part that is set.
public struct QueueFilter: Sendable, Equatable {
  public var stage: String?
  public var state: QueueState?
  /// Part of the sender's address, in any case; empty for messages without a sender.
  public var sender: String?
  /// Part of the recipient's address, in any case.
  public var recipient: String?
  /// The next system that the address leads to: for Internet mail, its domain.
  public var destination: String?
  /// Since acceptance.
  public var olderThanSeconds: Double?

  public init() {}

  /// By the message alone; what it says of recipients is for ``matches(_:_:stage:state:)``.
  func matches(_ stored: StoredMessage, _ now: Now) -> Bool {
    if let olderThanSeconds {
      let age = Double(now.wall.millisecondsSinceEpoch - stored.acceptedAt.millisecondsSinceEpoch) / 1000
      guard age >= olderThanSeconds else { return false }
    }
    guard let sender else { return true }
    let text = stored.envelope.reversePath?.text ?? ""
    return sender.isEmpty ? text.isEmpty : text.lowercased().contains(sender.lowercased())
  }

  func matches(_ address: Address, stage: String?, state: QueueState) -> Bool {
    if let wanted = self.state, wanted != state { return false }
    if let wanted = self.stage, wanted != stage { return false }
    if let destination, address.destinationKey != destination.lowercased() { return false }
    guard let recipient else { return true }
    return address.text.lowercased().contains(recipient.lowercased())
  }
}

/// Recipients of one message that stand at the same place.
public struct QueueRow: Sendable, Equatable {
  public var id: QueueID
  public var acceptedAt: WallTime
  public var octets: UInt64
  /// Nil for the null reverse-path.
  public var sender: String?
  public var state: QueueState
  public var stage: String?
  /// The first of them.
  public var recipient: String
  public var recipientCount: Int
  public var attempts: UInt32
  /// When deferred ones are tried again, the first of them.
  public var nextTryAt: WallTime?
  /// Why the first of them waits.
  public var reason: String?
}

/// A live message with a page of its recipients.
public struct MessageDetail: Sendable, Equatable {
  public var stored: StoredMessage
  public var liveCount: Int
  public var recipientCount: Int
  public var recipients: [RecipientDetail]
}

public struct RecipientDetail: Sendable, Equatable {
  /// From 0.
  public var index: Int
  public var recipient: Recipient
  public var state: QueueState
  public var stage: String?
  /// What the spool has.
  public var stored: RecipientState

  public var attempts: UInt32 { stored.attempts }
  public var nextTryAt: WallTime? { stored.nextTryAt }
  public var reason: String? { stored.reason }
}

extension GatewayControl {
  /// Walks the queue, oldest message first. What arrives meanwhile is not seen; what has ended meanwhile is left out.
  ///
  /// - Parameters:
  ///   - last: Begin behind this message: where an earlier page ended.
  ///   - body: Called on the caller's thread; false ends the walk.
  public func forEachRow(
    _ filter: QueueFilter, after last: QueueID? = nil, _ body: (QueueRow) -> Bool
  ) throws(ControlError) {
    try walk(after: last) { (hub, now, message) -> [QueueRow] in
      filter.matches(message.stored, now) ? message.rows(filter, hub.dispatcher.plan) : []
    } with: { rows in
      for row in rows where !body(row) { return false }
      return true
    }
  }

  /// Visits every message: `visit` on the hub's thread, and what it returned, in order, on the caller's.
  func walk<Value: Sendable>(
    after last: QueueID? = nil, _ visit: @escaping @Sendable (Hub, Now, QueuedMessage) -> Value,
    with body: (Value) throws(ControlError) -> Bool
  ) throws(ControlError) {
    var ids = try ask { hub, _ in Array(hub.dispatcher.messages.keys) }
    if let last { ids.removeAll { $0 <= last } }
    ids.sort()
    var rest = ids[...]
    while !rest.isEmpty {
      let piece = rest.prefix(Self.messagesPerVisit)
      let (values, count) = try ask { hub, now in
        var values: [Value] = []
        var recipients = 0
        var count = 0
        for id in piece {
          count += 1
          guard let message = hub.dispatcher.messages[id] else { continue }
          values.append(visit(hub, now, message))
          recipients += message.states.count
          if recipients >= Self.recipientsPerVisit { break }
        }
        return (values, count)
      }
      rest = rest.dropFirst(count)
      for value in values where try !body(value) { return }
    }
  }

  /// Largest page of recipients.
  public static let recipientsPerPage = 1000

  /// A live message; nil when the queue has none of that number.
  public func message(_ id: QueueID, recipientsFrom first: Int = 0) throws(ControlError) -> MessageDetail? {
    try ask { hub, _ in
      guard let message = hub.dispatcher.messages[id] else { return nil }
      let plan = hub.dispatcher.plan
      let count = message.states.count
      let page = min(max(0, first), count)..<min(count, max(0, first) &+ Self.recipientsPerPage)
      var stored = message.stored
      stored.envelope.recipients = []
      return MessageDetail(
        stored: stored, liveCount: message.liveCount, recipientCount: count,
        recipients: page.map { index in
          RecipientDetail(
            index: index, recipient: message.stored.envelope.recipients[index], state: message.queueState(of: index),
            stage: message.stage(of: index, plan), stored: message.states[index])
        })
    }
  }
}

// MARK: Shape

/// Recipients by age and destination, as Postfix's qshape(1) shows them.
public struct QueueShape: Sendable, Equatable {
  /// Upper bounds of the columns but the last, in minutes.
  public static let minutes = [5, 10, 20, 40, 80, 160, 320, 640, 1280]
  /// Destinations counted one by one; recipients of further ones count as ``otherKey``.
  public static let destinationsMax = 10_000
  public static let otherKey = "(others)"

  /// By `STAGE DESTINATION`; a count for each column.
  public private(set) var destinations: [Key: [Int]] = [:]
  public private(set) var total = [Int](repeating: 0, count: minutes.count + 1)

  public struct Key: Hashable, Sendable {
    public var stage: String
    public var destination: String
  }

  public init() {}

  mutating func add(_ key: Key, ageSeconds: Double, count: Int) {
    let column = Self.minutes.firstIndex { ageSeconds < Double($0) * 60 } ?? Self.minutes.count
    let isKnown = destinations[key] != nil || destinations.count < Self.destinationsMax
    let key = isKnown ? key : Key(stage: key.stage, destination: Self.otherKey)
    destinations[key, default: Array(repeating: 0, count: Self.minutes.count + 1)][column] += count
    total[column] += count
  }
}

extension GatewayControl {
  public func shape(_ filter: QueueFilter) throws(ControlError) -> QueueShape {
    var shape = QueueShape()
    try walk { (hub, now, message) -> (Double, [QueueShape.Key: Int]) in
      var counts: [QueueShape.Key: Int] = [:]
      guard filter.matches(message.stored, now) else { return (0, counts) }
      let plan = hub.dispatcher.plan
      for index in message.states.indices where message.states[index].isLive {
        let address = message.stored.envelope.recipients[index].address
        let stage = message.stage(of: index, plan)
        guard filter.matches(address, stage: stage, state: message.queueState(of: index)) else { continue }
        counts[QueueShape.Key(stage: stage ?? "", destination: address.destinationKey), default: 0] += 1
      }
      let milliseconds = now.wall.millisecondsSinceEpoch - message.stored.acceptedAt.millisecondsSinceEpoch
      return (Double(milliseconds) / 1000, counts)
    } with: { age, counts in
      for (key, count) in counts { shape.add(key, ageSeconds: age, count: count) }
      return true
    }
    return shape
  }
}

// MARK: Reading a message

extension QueuedMessage {
  func queueState(of recipient: Int) -> QueueState {
    switch places[recipient] {
    case .waiting: .queued
    case .active: .active
    case .deferred: .deferred
    case .held: .held
    case .settling: .settling
    case .ended: .ended
    }
  }

  /// The stage that the recipient is at, else the one that its stored state names.
  func stage(of recipient: Int, _ plan: PipelinePlan) -> String? {
    lane(of: recipient).map { plan.lanes[$0].id } ?? states[recipient].stage
  }

  /// Its live recipients in groups by stage and state.
  func rows(_ filter: QueueFilter, _ plan: PipelinePlan) -> [QueueRow] {
    var rows: [QueueRow] = []
    for index in states.indices where states[index].isLive {
      let state = queueState(of: index)
      let stage = stage(of: index, plan)
      let address = stored.envelope.recipients[index].address
      guard filter.matches(address, stage: stage, state: state) else { continue }
      if let row = rows.firstIndex(where: { $0.state == state && $0.stage == stage }) {
        rows[row].recipientCount += 1
        rows[row].attempts = max(rows[row].attempts, states[index].attempts)
        if let next = states[index].nextTryAt { rows[row].nextTryAt = min(next, rows[row].nextTryAt ?? next) }
      } else {
        rows.append(
          QueueRow(
            id: stored.id, acceptedAt: stored.acceptedAt, octets: stored.contentOctets,
            sender: stored.envelope.reversePath?.text, state: state, stage: stage, recipient: address.text,
            recipientCount: 1, attempts: states[index].attempts, nextTryAt: states[index].nextTryAt,
            reason: states[index].reason))
      }
    }
    return rows
  }
}

extension RecipientState {
  var stage: String? {
    switch self {
    case .queued(let stage, _, _), .deferred(let stage, _, _, _), .held(let stage, _, _): stage
    case .settled, .failed, .dead, .moved, .deleted: nil
    }
  }

  var attempts: UInt32 {
    switch self {
    case .queued(_, let attempts, _), .deferred(_, _, let attempts, _), .held(_, let attempts, _): attempts
    case .settled, .failed, .dead, .moved, .deleted: 0
    }
  }

  var nextTryAt: WallTime? {
    switch self {
    case .deferred(_, let until, _, _): until
    case .queued, .held, .settled, .failed, .dead, .moved, .deleted: nil
    }
  }

  /// One line; not neutralised.
  var reason: String? {
    switch self {
    case .queued(_, _, let suspicions):
      suspicions == 0 ? nil : "in the hands of a stage when it died, \(suspicions) times"
    case .deferred(_, _, _, let status), .settled(_, let status), .failed(let status, _), .dead(let status): status.line
    case .held(_, _, let reason), .deleted(let reason): reason
    case .moved(let child): "goes on as \(child)"
    }
  }
}

extension DeliveryStatus {
  /// `4.4.1 no answer (mx.example.net: 421 busy)`.
  var line: String {
    let said = remote.map { " (\($0.host): \($0.text))" } ?? ""
    return "\(code) \(text)\(said)"
  }
}

public import MailModel
public import Spool

/// What an earlier run left in the spool.
extension Dispatcher {
  /// A message that the spool still holds from an earlier run.
  public func recovered(_ stored: StoredMessage, _ states: [RecipientState], _ extents: [ContentExtent], _ now: Now) {
    let message = QueuedMessage(stored: stored, states: states, extents: extents)
    guard message.liveCount > 0 else { return }
    messages[stored.id] = message
    ledger.recovered += message.liveCount
    for (index, state) in states.enumerated() {
      switch state {
      case .queued(let stage, _, _): enqueue(message, [index], lane: laneAfterRestart(stage, message), now)
      case .deferred(let stage, let until, _, _):
        let wait = Double(until.millisecondsSinceEpoch - now.wall.millisecondsSinceEpoch) / 1000
        let lane = laneAfterRestart(stage, message)
        let longest = plan.lanes[lane].retry.delaysSeconds.max() ?? 0
        sleep(message, [index], lane: lane, seconds: min(max(0, wait), longest * 2), now)
      case .held(let stage, _, _):
        message.places[index] = .held(lane: laneAfterRestart(stage, message))
      case .settled, .failed, .dead, .moved, .deleted: message.places[index] = .ended
      }
    }
  }

  /// The lane of a stage that the spool names. When the pipeline no longer has it, the message starts over where its
  /// origin's first port leads.
  func laneAfterRestart(_ stage: String, _ message: QueuedMessage) -> Int {
    if let lane = plan.lane(named: stage) { return lane }
    log(.warning, message.stored.id, "stage \(stage) is gone from the pipeline: the message starts over")
    if let origin = plan.lane(named: message.stored.origin), let first = plan.lanes[origin].ports.first { return first }
    return plan.lanes.firstIndex { $0.role == .router } ?? plan.deadLetterLane ?? 0
  }
}

internal import MailModel

/// What changes do to the index; the same for a change just appended and for one that is replayed.
extension LogSpool {
  func apply(_ change: LoggedChange, at place: RecordPlace) {
    switch change {
    case .accept(let message, let extents, let stage):
      let state = CompactState(.queued(stage: stage, attempts: 0, suspicions: 0), &stages)
      let count = message.envelope.recipients.count
      put(
        LiveMessage(
          id: message.id, place: place, extents: extents,
          states: count == 1 ? .one(state) : .many([CompactState](repeating: state, count: count)),
          isDamageNoted: false))
    case .recipients(let id, let indices, let state):
      set(id, indices, state, at: place)
    }
  }

  func apply(_ copy: MessageCopy, at place: RecordPlace) {
    put(
      LiveMessage(
        id: copy.message.id, place: place, extents: copy.extents,
        states: CompactList(copy.states.map { CompactState($0, &stages) }), isDamageNoted: copy.isDamageNoted))
  }

  /// Enters a message, in the stead of what was known of it.
  private func put(_ message: LiveMessage) {
    lastQueueID = max(lastQueueID, message.id)
    if let old = index.remove(message.id) {
      segments.depend(message.place.segment, on: old.place.segment)
      segments.release(old)
    }
    guard message.liveCount > 0 else { return }
    segments.reference(message)
    index.insert(message)
  }

  private func set(_ id: QueueID, _ indices: [Int], _ state: RecipientState, at place: RecordPlace) {
    guard let slot = index.slot(of: id) else { return }
    let compact = CompactState(state, &stages)
    let isLive = compact.isLive
    let (liveCount, messagePlace) = index.withEntry(atSlot: slot) { entry in
      for index in indices where index < entry.states.count {
        if entry.states[index].isLive { entry.liveCount -= 1 }
        if isLive { entry.liveCount += 1 }
        entry.states[index] = compact
      }
      return (entry.liveCount, entry.place)
    }
    segments.depend(place.segment, on: messagePlace.segment)
    if liveCount == 0, let ended = index.remove(id) { segments.release(ended) }
  }
}

internal import CInterchange
internal import MailModel
internal import Spoke
internal import Synchronization

// A message in the making, behind an `ix_draft`.
//
//     open ──offer──► given    (the verdict is the runner's business)
//          ──emit───► given    (its job's outcome names it)
//          ──discard► given
//
// The content goes from the stage's memory into chunks of the arena, and from there the host takes it piece by piece:
// a chunk that is full is sent at once, the last one when the draft is given away. So a draft that is being written holds
// at most one chunk. When chunks run short, the runner has the held ones sent although they are not full
// (``sendHeldChunk()``): a thousand slow peers cannot keep the arena for themselves.
//
// Threads: any, one at a time as far as the stage goes; the runner comes from the stage thread besides, hence the lock.
final class RunnerDraft: Sendable {
  let number: UInt64
  private let channel: PieceChannel
  private let state = Mutex(State())

  private struct State {
    var envelope = Envelope(reversePath: nil, recipients: [])
    /// The job whose content is kept.
    var keptJob: UInt64?
    var chunk: UInt32?
    var fill = 0
    var octets: UInt64 = 0
    var hasSentPieces = false
    var isGiven = false
  }

  init(number: UInt64, channel: PieceChannel) {
    self.number = number
    self.channel = channel
  }

  // MARK: Envelope

  func edit(_ body: (inout Envelope) throws(CallRefusal) -> Void) throws(CallRefusal) {
    try state.withLock { state throws(CallRefusal) in
      guard !state.isGiven else { throw .invalid("a draft that was given away") }
      try body(&state.envelope)
    }
  }

  func keepContent(of job: UInt64) throws(CallRefusal) {
    try state.withLock { state throws(CallRefusal) in
      guard !state.isGiven else { throw .invalid("a draft that was given away") }
      guard state.octets == 0 else { throw .invalid("keep_content of a draft that has content") }
      state.keptJob = job
    }
  }

  // MARK: Content

  /// Takes all the octets, or none and throws. `again`: so many chunks are wanted as ``PieceChannel/shortage`` was told.
  func write(_ octets: UnsafeRawBufferPointer, octetsMax: UInt64, isFirstInLine: Bool) throws(CallRefusal) {
    let wanted = try state.withLock { state throws(CallRefusal) -> Int in
      try check(state, octets, octetsMax)
      guard octets.count <= RunnerLimits.writeOctetsMax(chunkCount: channel.chunkCount) else {
        throw .invalid("a write of \(octets.count) octets at once; the most is half of the arena")
      }
      let room = state.chunk == nil ? 0 : SpokeRegion.chunkOctets - state.fill
      let beyond = max(0, octets.count - room)
      let needed = (beyond + SpokeRegion.chunkOctets - 1) / SpokeRegion.chunkOctets
      guard var chunks = channel.takeChunks(needed, isFirstInLine: isFirstInLine) else {
        // When the held chunk is sent meanwhile, its room is gone too.
        return max(1, (octets.count + SpokeRegion.chunkOctets - 1) / SpokeRegion.chunkOctets)
      }
      var rest = octets
      while !rest.isEmpty {
        if state.chunk == nil { state.chunk = chunks.popLast() }
        rest = try fill(&state, from: rest)
      }
      return 0
    }
    guard wanted == 0 else {
      channel.shortage(of: number, chunks: wanted)
      throw .again
    }
  }

  /// Takes all the octets, waiting for room: `wait` is called with no lock held and returns false when nothing will come.
  func writeWaiting(
    _ octets: UnsafeRawBufferPointer, octetsMax: UInt64, wait: (_ seen: UInt32) -> Bool
  ) throws(CallRefusal) {
    var rest = octets
    try state.withLock { state throws(CallRefusal) in try check(state, octets, octetsMax) }
    while !rest.isEmpty {
      let seen = channel.roomGeneration
      let isShort = try state.withLock { state throws(CallRefusal) -> Bool in
        guard !state.isGiven else { throw .invalid("a draft that was given away") }
        while !rest.isEmpty {
          if state.chunk == nil {
            guard let chunk = channel.takeChunks(1, isFirstInLine: true)?.first else { return true }
            state.chunk = chunk
          }
          rest = try fill(&state, from: rest)
        }
        return false
      }
      guard isShort else { return }
      channel.shortage(of: nil, chunks: 1)
      guard wait(seen) else { throw .closed }
    }
  }

  private func check(_ state: State, _ octets: UnsafeRawBufferPointer, _ octetsMax: UInt64) throws(CallRefusal) {
    guard !state.isGiven else { throw .invalid("a draft that was given away") }
    guard state.keptJob == nil else { throw .invalid("a write to a draft that keeps the job's content") }
    guard UInt64(octets.count) <= octetsMax, state.octets <= octetsMax - UInt64(octets.count) else { throw .tooBig }
  }

  /// Copies what fits into the held chunk, sends it when it is full, and returns the rest.
  private func fill(
    _ state: inout State, from octets: UnsafeRawBufferPointer
  ) throws(CallRefusal) -> UnsafeRawBufferPointer {
    guard let chunk = state.chunk, let memory = channel.memory(of: chunk) else {
      throw .invalid("no chunk to write in")
    }
    let count = min(octets.count, memory.count - state.fill)
    // SAFETY: the chunk is this draft's alone until it is sent.
    UnsafeMutableRawBufferPointer(rebasing: memory[state.fill..<state.fill + count])
      .copyMemory(from: UnsafeRawBufferPointer(rebasing: octets[..<count]))
    state.fill += count
    state.octets += UInt64(count)
    if state.fill == memory.count { send(&state) }
    return UnsafeRawBufferPointer(rebasing: octets[count...])
  }

  private func send(_ state: inout State) {
    guard let chunk = state.chunk else { return }
    channel.send(.piece(draft: number, chunk: chunk, octets: UInt32(state.fill)))
    state.chunk = nil
    state.fill = 0
    state.hasSentPieces = true
  }

  /// Sends the held chunk as it is, unless the stage is busy with this draft at this moment.
  func sendHeldChunk() { _ = state.withLockIfAvailable { if $0.fill > 0 { send(&$0) } } }

  // MARK: The end

  /// What an offer or an emission takes along.
  struct Given {
    var envelope: Envelope
    /// Nil: written content. Else the job whose content it is.
    var keptJob: UInt64?
  }

  /// Sends the rest of the content and closes the draft. On a throw the draft is discarded.
  func give(_ check: (Given) throws(CallRefusal) -> Void) throws(CallRefusal) -> Given {
    try state.withLock { state throws(CallRefusal) in
      guard !state.isGiven else { throw .invalid("a draft that was given away") }
      let given = Given(envelope: state.envelope, keptJob: state.keptJob)
      do throws(CallRefusal) {
        guard !given.envelope.recipients.isEmpty else { throw .invalid("a message without recipients") }
        try check(given)
      } catch {
        discard(&state)
        throw error
      }
      if state.fill > 0 { send(&state) }
      state.isGiven = true
      return given
    }
  }

  /// The job did not take what was given: the host forgets its content.
  func takeBack() { state.withLock { if $0.hasSentPieces { channel.send(.discard(draft: number)) } } }

  func discard() { state.withLock { if !$0.isGiven { discard(&$0) } } }

  private func discard(_ state: inout State) {
    state.isGiven = true
    if let chunk = state.chunk { channel.giveBack(chunk) }
    state.chunk = nil
    if state.hasSentPieces { channel.send(.discard(draft: number)) }
  }
}

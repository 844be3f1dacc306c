internal import Platform
internal import Spoke
internal import Synchronization

// The chunks of the arena, shared among the drafts of an instance, and the line of those that wait for some.
//
// 1. A chunk is free, or held by one draft, or the host's. Only `write` takes chunks, all that it needs or none.
// 2. While drafts stand in line, only the one whose turn it is takes chunks; so chunks gather until the first in line
//    has what it wants, however much that is. What it wants is at most half of the arena.
// 3. The line moves: when the first cannot be served and chunks are held, they are sent to the host as they are, and
//    come back. It is done at most once between two returns of chunks (`hasSentHeld`).
//
// Threads: any, but the room callbacks run on the stage thread (``takeFirstInLine()`` is called there).
final class PieceChannel: @unchecked Sendable {
  // SAFETY: the generation is one allocation, atomic, freed when nobody holds the channel; the rest never changes or has
  // its lock.

  /// A draft's wish to be told of room.
  struct Waiter {
    let draft: UInt64
    let chunks: Int
    let room: @convention(c) (UnsafeMutableRawPointer?) -> Void
    let user: UnsafeMutableRawPointer?
  }

  private struct Line: @unchecked Sendable {
    // SAFETY: the user pointer is the stage's, and only passed back to it.
    var waiters: [Waiter] = []
    /// What a draft's last write lacked.
    var lacks: [UInt64: Int] = [:]
    var hasSentHeld = false
  }

  let chunkCount: Int
  private let link: StageLink
  private let pool: ChunkPool
  private let loop: EventLoop
  private let line = Mutex(Line())
  private let generation: UnsafeMutablePointer<Atomic<UInt32>>

  /// Has every draft send the chunk that it holds. Set once, before the first draft.
  nonisolated(unsafe) var sendHeldChunks: () -> Void = {}

  init(_ link: StageLink, _ loop: EventLoop) {
    self.link = link
    self.loop = loop
    chunkCount = link.spoke.region.chunkCount
    pool = ChunkPool(chunkCount: chunkCount)
    generation = .allocate(capacity: 1)
    generation.initialize(to: Atomic(0))
  }

  deinit {
    generation.deinitialize(count: 1)
    generation.deallocate()
  }

  func send(_ frame: UpFrame) { link.send(frame) }
  func memory(of chunk: UInt32) -> UnsafeMutableRawBufferPointer? { link.spoke.region.chunk(chunk) }

  /// `count` chunks, or nil when there are not so many or others are first.
  func takeChunks(_ count: Int, isFirstInLine: Bool) -> [UInt32]? {
    guard count > 0 else { return [] }
    guard isFirstInLine || line.withLock({ $0.waiters.isEmpty }) else { return nil }
    var chunks: [UInt32] = []
    while chunks.count < count {
      guard let chunk = pool.take() else {
        if !chunks.isEmpty { pool.give(chunks) }
        return nil
      }
      chunks.append(chunk)
    }
    return chunks
  }

  /// A write found too few chunks. Call with no draft locked.
  func shortage(of draft: UInt64?, chunks: Int) {
    let sendsHeld = line.withLock { line in
      if let draft { line.lacks[draft] = chunks }
      defer { line.hasSentHeld = true }
      return !line.hasSentHeld
    }
    if sendsHeld { sendHeldChunks() }
  }

  /// Puts a draft at the end of the line, or with `room` nil takes it out.
  func enqueue(
    _ draft: UInt64, _ room: (@convention(c) (UnsafeMutableRawPointer?) -> Void)?, _ user: UnsafeMutableRawPointer?
  ) {
    line.withLock { line in
      let chunks = line.lacks[draft] ?? 1
      line.waiters.removeAll { $0.draft == draft }
      if let room { line.waiters.append(Waiter(draft: draft, chunks: chunks, room: room, user: user)) }
    }
    if !loop.isOnLoopThread { loop.wake() }
  }

  /// A draft is gone.
  func forget(_ draft: UInt64) {
    line.withLock { line in
      line.lacks[draft] = nil
      if !line.waiters.isEmpty { line.waiters.removeAll { $0.draft == draft } }
    }
  }

  var isLineEmpty: Bool { line.withLock { $0.waiters.isEmpty } }
  var lineLength: Int { line.withLock { $0.waiters.count } }

  /// The first in line, when there is room for it; sees to it that there will be, when there is not.
  func takeFirstInLine() -> Waiter? {
    let free = pool.freeCount
    let (waiter, sendsHeld) = line.withLock { line -> (Waiter?, Bool) in
      guard let first = line.waiters.first else { return (nil, false) }
      if first.chunks <= free {
        line.waiters.removeFirst()
        line.lacks[first.draft] = nil
        return (first, false)
      }
      defer { line.hasSentHeld = true }
      return (nil, !line.hasSentHeld)
    }
    if sendsHeld { sendHeldChunks() }
    return waiter
  }

  /// The host has taken these pieces.
  func taken(_ chunks: [UInt32]) {
    pool.give(chunks)
    roomCame()
  }

  /// A draft gives back a chunk that was never sent.
  func giveBack(_ chunk: UInt32) {
    pool.give([chunk])
    roomCame()
    if !loop.isOnLoopThread && !isLineEmpty { loop.wake() }
  }

  private func roomCame() {
    line.withLock { $0.hasSentHeld = false }
    // ORDERING: release pairs with the acquire in roomGeneration: who sees the new number finds the chunks.
    generation.pointee.add(1, ordering: .releasing)
    Futex.wake(generation, count: Int32.max)
  }

  /// Changes when chunks come free.
  var roomGeneration: UInt32 { generation.pointee.load(ordering: .acquiring) }

  /// Waits until chunks have come free since `seen`, or the time is over. Not on the stage thread.
  func waitForRoom(since seen: UInt32, seconds: Double) {
    Futex.wait(generation, while: seen, timeoutNanoseconds: Int64(seconds * 1e9))
  }
}

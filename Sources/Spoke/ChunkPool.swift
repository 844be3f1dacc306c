import Synchronization

/// The stage's account of which chunks of the arena are free. A chunk belongs to the stage until it is sent in a piece
/// frame, then to the host until `piecesTaken` gives it back. Thread: any.
public final class ChunkPool: Sendable {
  private let free: Mutex<[UInt32]>
  private let chunkCount: Int

  public init(chunkCount: Int) {
    self.chunkCount = chunkCount
    free = Mutex((0..<UInt32(chunkCount)).reversed())
  }

  /// A chunk to write in, or nil when the host has them all.
  public func take() -> UInt32? { free.withLock { $0.popLast() } }

  /// Gives chunks back. A number that cannot be free twice is dropped.
  public func give(_ chunks: [UInt32]) {
    free.withLock { free in
      for chunk in chunks where Int(chunk) < chunkCount && free.count < chunkCount { free.append(chunk) }
    }
  }

  public var freeCount: Int { free.withLock { $0.count } }
}

internal import CPlatform
internal import Glibc
public import Synchronization

/// Sleeping until a word in memory changes, futex(2). The word may lie in memory that processes share.
public enum Futex {
  /// Sleeps while the word is `expected`.
  ///
  /// Returns when woken, when the word is already different, on a signal, or without reason: the caller looks again.
  ///
  /// - Parameter timeoutNanoseconds: The longest sleep; nil for no limit.
  /// - Returns: False when the time is over.
  @discardableResult
  public static func wait(
    _ word: UnsafeMutablePointer<Atomic<UInt32>>, while expected: UInt32, timeoutNanoseconds: Int64? = nil
  ) -> Bool {
    // SAFETY: Atomic<UInt32> has the layout of UInt32 (SE-0410), and the kernel reads the word atomically.
    let raw = UnsafeMutableRawPointer(word).assumingMemoryBound(to: UInt32.self)
    let result = cplatform_futex_wait(raw, expected, timeoutNanoseconds.map { max($0, 0) } ?? -1)
    return result == 0 || errno != ETIMEDOUT
  }

  /// Wakes at most `count` sleepers; returns how many were asleep.
  @discardableResult
  public static func wake(_ word: UnsafeMutablePointer<Atomic<UInt32>>, count: Int32 = 1) -> Int32 {
    // SAFETY: as in wait; waking touches no memory.
    cplatform_futex_wake(UnsafeMutableRawPointer(word).assumingMemoryBound(to: UInt32.self), count)
  }
}

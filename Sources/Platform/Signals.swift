internal import Glibc
internal import Synchronization

/// Signals as a doorbell: the handler notes the number and rings; whoever watches the bell takes the numbers.
/// One for the process.
public enum Signals {
  private static let pending = Atomic<UInt64>(0)
  private static let bell = Atomic<Int32>(-1)

  /// Rings `bell` from now on for each of the signals. The bell is borrowed for the life of the process.
  public static func ring(_ bell: Int32, for signals: [Int32]) {
    self.bell.store(bell, ordering: .sequentiallyConsistent)
    for signal in signals {
      var action = sigaction()
      action.__sigaction_handler.sa_handler = { number in Signals.arrived(number) }
      action.sa_flags = Int32(SA_RESTART)
      _ = sigaction(signal, &action, nil)
    }
    // Whoever started this process may have had them blocked, which is inherited.
    var set = sigset_t()
    sigemptyset(&set)
    for signal in signals { sigaddset(&set, signal) }
    pthread_sigmask(SIG_UNBLOCK, &set, nil)
  }

  // Only what a handler may do (signal-safety(7)): atomics without locks, and write.
  private static func arrived(_ number: Int32) {
    pending.bitwiseOr(1 << UInt64(number & 63), ordering: .sequentiallyConsistent)
    let saved = errno
    var one: UInt64 = 1
    _ = write(bell.load(ordering: .sequentiallyConsistent), &one, MemoryLayout<UInt64>.size)
    errno = saved
  }

  /// The signals that have arrived since the last call.
  public static func take() -> [Int32] {
    let arrived = pending.exchange(0, ordering: .sequentiallyConsistent)
    return (1..<64).filter { arrived >> UInt64($0) & 1 == 1 }.map { Int32($0) }
  }

  public static let terminate = SIGTERM
  public static let interrupt = SIGINT
  public static let hangUp = SIGHUP
}

internal import Glibc
public import MailModel

// The only two places that read a clock. A work cycle reads once and passes the time down.

extension WallTime {
  /// The wall clock, to the millisecond. May step in either direction.
  public static func now() -> WallTime {
    let time = read(CLOCK_REALTIME)
    return WallTime(millisecondsSinceEpoch: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
  }
}

extension MonotonicTime {
  /// Nanoseconds since the machine started, time asleep not counted. Never steps.
  public static func now() -> MonotonicTime {
    let time = read(CLOCK_MONOTONIC)
    return MonotonicTime(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
  }
}

private func read(_ clock: clockid_t) -> timespec {
  var time = timespec()
  // Fails only for a clock that the kernel does not know; every Linux knows these two.
  let result = clock_gettime(clock, &time)
  precondition(result == 0, "clock_gettime")
  return time
}

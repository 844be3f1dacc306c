internal import CPlatform
internal import Glibc

/// Swift's own crash reports print registers and memory around them, and with that pieces of mail, into the log. The
/// host says which stage died and with which signal; more than that belongs into a core file.
enum Backtraces {
  private static let name = "SWIFT_BACKTRACE"
  private static let off = "enable=no"

  /// For the children that this process starts.
  static func turnOffInChildren() { setenv(name, off, 1) }

  /// The runtime reads the variable when a process starts, so that this one starts once more, with it set. Where it
  /// cannot, it goes on as it is.
  static func turnOffInThisProcess() {
    if let value = getenv(name), strcmp(value, off) == 0 { return }
    turnOffInChildren()
    guard let path = realpath("/proc/self/exe", nil) else { return }
    defer { free(path) }
    execv(path, CommandLine.unsafeArgv)
  }
}

internal import CPlatform
internal import Glibc
internal import Synchronization

/// A process that this one started: with exactly the descriptors it was given, no signal blocked or ignored, and in a
/// process group of its own, so that an interrupt typed at the host's terminal reaches the host alone.
///
/// A child that shall die with its parent asks for that itself (``ThisProcess/dieWithParent()``); it dies when the
/// *thread* that started it ends, so start workers from a thread that lasts.
///
/// Thread: any. Dropping the last reference kills the process and waits for its end.
public final class ChildProcess: Sendable {
  public enum End: Equatable, Sendable {
    case exited(code: Int32)
    /// By a signal: a crash, or ``kill()``.
    case signalled(Int32)
  }

  public let processID: Int32
  /// Becomes readable when the process has ended; for an event loop. Borrowed.
  public var descriptor: Int32 { pidfd.rawValue }

  private let pidfd: FileDescriptor
  private let end = Mutex<End?>(nil)

  /// Starts `executable`.
  ///
  /// - Parameters:
  ///   - arguments: The first is the process's name.
  ///   - environment: `NAME=value` lines, the whole environment of the child; nil: a copy of this process's own.
  ///   - descriptors: What the child has open: its number → the number here. All others are closed in the child, the
  ///     standard three too when they are not named. The caller keeps its own.
  /// - Throws: ``SystemError`` of `fcntl`, `posix_spawn` (ENOENT and such: no process was started) or `pidfd_open`.
  public init(
    executable: String, arguments: [String], environment: [String]? = nil, descriptors: [Int32: Int32]
  ) throws(SystemError) {
    // Copies above every number of the child, so that no mapping overwrites the source of another.
    let highest = descriptors.keys.max() ?? -1
    var copies: [Int32: Int32] = [:]
    defer { for copy in copies.values { close(copy) } }
    for (target, source) in descriptors {
      let copy = cplatform_fcntl(source, F_DUPFD_CLOEXEC, highest + 1)
      guard copy >= 0 else { throw .last("fcntl") }
      copies[target] = copy
    }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    var number: Int32 = 0
    while number <= highest {
      if let copy = copies[number] {
        posix_spawn_file_actions_adddup2(&actions, copy, number)
      } else {
        posix_spawn_file_actions_addclose(&actions, number)
      }
      number += 1
    }
    _ = cplatform_spawn_close_from(&actions, highest + 1)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var signals = sigset_t()
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    sigfillset(&signals)
    posix_spawnattr_setsigdefault(&attributes, &signals)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))
    var processID: pid_t = 0
    let result = withCStrings(arguments) { arguments in
      guard let environment else {
        return posix_spawn(&processID, executable, &actions, &attributes, arguments, environ)
      }
      return withCStrings(environment) {
        posix_spawn(&processID, executable, &actions, &attributes, arguments, $0)
      }
    }
    guard result == 0 else { throw SystemError("posix_spawn", errno: result) }
    let pidfd = cplatform_pidfd_open(processID)
    guard pidfd >= 0 else {
      let error = SystemError.last("pidfd_open")
      _ = Glibc.kill(processID, SIGKILL)
      waitpid(processID, nil, 0)
      throw error
    }
    self.processID = processID
    self.pidfd = FileDescriptor(owning: pidfd)
  }

  /// How the process ended; nil while it runs. The first answer that is not nil reaps the process.
  public func poll() -> End? { reap(flags: WNOHANG) }

  /// Waits for the end, for at most `timeoutSeconds` (nil: no limit).
  public func wait(timeoutSeconds: Double? = nil) -> End? {
    guard let timeoutSeconds else { return reap(flags: 0) }
    if let end = poll() { return end }
    var entry = pollfd(fd: pidfd.rawValue, events: Int16(POLLIN), revents: 0)
    _ = Glibc.poll(&entry, 1, Int32(min(max(timeoutSeconds, 0) * 1000, 2e9).rounded(.up)))
    return poll()
  }

  /// Sends a signal; nothing happens when the process has been reaped.
  public func signal(_ signal: Int32) {
    // Under the lock that reaping takes: the number cannot be another process's by now.
    end.withLock { if $0 == nil { _ = Glibc.kill(processID, signal) } }
  }

  /// Ends the process at once (SIGKILL).
  public func kill() { signal(SIGKILL) }

  private func reap(flags: Int32) -> End? {
    if flags & WNOHANG == 0, poll() == nil {
      // Outside the lock, so that `signal` works meanwhile.
      var entry = pollfd(fd: pidfd.rawValue, events: Int16(POLLIN), revents: 0)
      while Glibc.poll(&entry, 1, -1) < 0 && errno == EINTR {}
    }
    return end.withLock { end in
      if let end { return end }
      var status: Int32 = 0
      guard waitpid(processID, &status, WNOHANG) == processID else { return nil }
      // wait(2): the low seven bits are the signal, 0 for an exit, whose code is the next octet.
      let signal = status & 0x7F
      end = signal == 0 ? .exited(code: (status >> 8) & 0xFF) : .signalled(signal)
      return end
    }
  }

  deinit {
    if poll() == nil {
      kill()
      _ = wait()
    }
  }
}

/// Lends the strings as a NULL-terminated array of C strings.
private func withCStrings<Result>(
  _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
  var pointers = strings.map { strdup($0) }
  pointers.append(nil)
  defer { for pointer in pointers { free(pointer) } }
  // SAFETY: the array and the copies live until `body` has returned.
  return pointers.withUnsafeBufferPointer { buffer in
    guard let base = buffer.baseAddress else { preconditionFailure("an array that holds at least nil") }
    return body(base)
  }
}

/// What a process arranges about itself when it starts.
public enum ThisProcess {
  /// The kernel kills this process when the thread that started it ends. A parent that has gone before is not noticed:
  /// watch a socket to it besides.
  public static func dieWithParent() { _ = cplatform_prctl(PR_SET_PDEATHSIG, UInt(SIGKILL)) }

  /// No exec from here on gives privileges.
  /// - Throws: ``SystemError`` of `prctl`.
  public static func forbidNewPrivileges() throws(SystemError) {
    guard cplatform_prctl(PR_SET_NO_NEW_PRIVS, 1) == 0 else { throw .last("prctl") }
  }

  /// The lines `NAME=value` of the environment whose names are listed, or start with a listed name that ends in `_`.
  public static func environment(of names: Set<String>) -> [String] {
    var lines: [String] = []
    var next = environ
    while let line = next.pointee {
      let text = String(cString: line)
      let name = text.prefix { $0 != "=" }
      let prefix = name.firstIndex(of: "_").map { name[...$0] } ?? name
      if names.contains(String(name)) || names.contains(String(prefix)) { lines.append(text) }
      next += 1
    }
    return lines
  }

  /// A write to a closed connection is an error and not the end of the process.
  public static func ignoreBrokenPipes() { _ = Glibc.signal(SIGPIPE, SIG_IGN) }

  /// The parent alone says when this process ends: a service manager that signals the whole group does not.
  public static func ignoreRequestsToEnd() {
    for number in [SIGTERM, SIGINT, SIGHUP] { _ = Glibc.signal(number, SIG_IGN) }
  }
}

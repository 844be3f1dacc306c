internal import CPlatform
internal import Glibc

/// The owner of one open file descriptor; the last use closes it.
public struct FileDescriptor: ~Copyable, Sendable {
  /// The number, for calls that borrow it. Whoever holds the number must not close it nor outlive the owner.
  public let rawValue: Int32

  /// Takes over an open descriptor.
  public init(owning rawValue: Int32) {
    precondition(rawValue >= 0, "not an open file descriptor")
    self.rawValue = rawValue
  }

  /// Whether this process has an open file of that number.
  public static func isOpen(_ number: Int32) -> Bool { cplatform_fcntl(number, F_GETFD, 0) >= 0 }

  /// Gives the descriptor up without closing it, as when a C library or a child process takes it over.
  public consuming func take() -> Int32 {
    let rawValue = rawValue
    discard self
    return rawValue
  }

  /// A second descriptor of the same open file, closed on exec.
  ///
  /// - Throws: ``SystemError`` of `fcntl`; EMFILE when the process has no descriptor left.
  public borrowing func duplicate() throws(SystemError) -> FileDescriptor {
    let copy = cplatform_fcntl(rawValue, F_DUPFD_CLOEXEC, 0)
    guard copy >= 0 else { throw .last("fcntl") }
    return FileDescriptor(owning: copy)
  }

  /// A second descriptor of a file that somebody else owns, closed on exec.
  ///
  /// - Throws: ``SystemError`` of `fcntl`; EBADF for no open file.
  public static func duplicating(_ borrowed: Int32) throws(SystemError) -> FileDescriptor {
    let copy = cplatform_fcntl(borrowed, F_DUPFD_CLOEXEC, 0)
    guard copy >= 0 else { throw .last("fcntl") }
    return FileDescriptor(owning: copy)
  }

  /// Says whether exec closes the descriptor. Set false only between making a worker's descriptors and its exec.
  ///
  /// - Throws: ``SystemError`` of `fcntl`.
  public borrowing func setClosesOnExec(_ closes: Bool) throws(SystemError) {
    guard cplatform_fcntl(rawValue, F_SETFD, closes ? FD_CLOEXEC : 0) == 0 else { throw .last("fcntl") }
  }

  // close(2) on Linux frees the number even when it fails, so that a second try could close somebody else's file. Whoever
  // must know that written octets are safe has synced before.
  deinit { _ = Glibc.close(rawValue) }
}

internal import CPlatform
internal import Glibc

/// A doorbell between threads or processes: an eventfd(2), which epoll and poll can wait for. Never blocks.
public struct EventFD: ~Copyable, Sendable {
  public let file: FileDescriptor

  /// Makes a silent doorbell, closed on exec.
  ///
  /// - Throws: ``SystemError`` of `eventfd`; EMFILE when no descriptor is left.
  public init() throws(SystemError) {
    let descriptor = cplatform_eventfd()
    guard descriptor >= 0 else { throw .last("eventfd") }
    self.file = FileDescriptor(owning: descriptor)
  }

  /// Takes over the other side's doorbell, as inherited or received over a socket.
  public init(owning file: consuming FileDescriptor) { self.file = file }

  /// The number, for epoll.
  public var rawValue: Int32 { file.rawValue }

  /// Rings: the descriptor becomes readable and stays so until ``drain()``.
  public borrowing func signal() {
    var one: UInt64 = 1
    // EAGAIN means that the counter is at its largest: the bell rings already. Other errors need a closed descriptor,
    // which ownership rules out; EINTR does not happen on a non-blocking eventfd.
    _ = write(file.rawValue, &one, MemoryLayout<UInt64>.size)
  }

  /// Silences the bell; true when it had rung. Call before looking for work, never after: the bell that rings in
  /// between would be lost.
  @discardableResult
  public borrowing func drain() -> Bool {
    var count: UInt64 = 0
    return read(file.rawValue, &count, MemoryLayout<UInt64>.size) == MemoryLayout<UInt64>.size
  }

  /// Blocks until the bell has rung, or for `timeoutSeconds`; true when it has rung. Leaves it ringing.
  public borrowing func wait(timeoutSeconds: Double? = nil) -> Bool {
    var entry = pollfd(fd: file.rawValue, events: Int16(POLLIN), revents: 0)
    // A wait of more than 24 days is cut to that, and the caller's loop waits again.
    let milliseconds = timeoutSeconds.map { Int32(min(max($0, 0) * 1000, 2e9).rounded(.up)) } ?? -1
    return poll(&entry, 1, milliseconds) == 1
  }
}

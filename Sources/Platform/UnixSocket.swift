internal import CPlatform
internal import Glibc

/// One end of a pair of local sockets that keep messages apart (SOCK_SEQPACKET) and pass descriptors along.
/// Thread: any.
public final class UnixSocket: Sendable {
  /// Octets of one message.
  public static let messageOctetsMax = 64 * 1024

  private let file: FileDescriptor
  public var rawValue: Int32 { file.rawValue }

  /// Takes over an end, as inherited from the parent.
  public init(owning file: consuming FileDescriptor) { self.file = file }

  /// Two ends, connected, closed on exec, blocking.
  ///
  /// - Throws: ``SystemError`` of `socketpair`; EMFILE when no descriptor is left.
  public static func pair() throws(SystemError) -> (UnixSocket, UnixSocket) {
    var ends: [Int32] = [-1, -1]
    let kind = Int32(SOCK_SEQPACKET.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else { throw .last("socketpair") }
    return (
      UnixSocket(owning: FileDescriptor(owning: ends[0])), UnixSocket(owning: FileDescriptor(owning: ends[1]))
    )
  }

  public func setNonBlocking() throws(SystemError) {
    guard cplatform_fcntl(rawValue, F_SETFL, O_NONBLOCK) == 0 else { throw .last("fcntl") }
  }

  /// Sends one message, of 1 to ``messageOctetsMax`` octets, with at most one descriptor, which the caller keeps.
  ///
  /// - Throws: ``SystemError`` of `sendmsg`: EAGAIN when a non-blocking socket is full, EPIPE or ECONNRESET when the other
  ///   end is closed. Nothing was sent then.
  public func send(_ octets: [UInt8], descriptor: Int32? = nil) throws(SystemError) {
    precondition(!octets.isEmpty && octets.count <= Self.messageOctetsMax, "a message of \(octets.count) octets")
    while true {
      // A sequenced packet is sent whole or not at all.
      if cplatform_send_fd(rawValue, octets, octets.count, descriptor ?? -1) == octets.count { return }
      guard errno == EINTR else { throw .last("sendmsg") }
    }
  }

  public struct Message: ~Copyable {
    public let octets: [UInt8]
    private var descriptor: FileDescriptor?

    init(octets: [UInt8], descriptor: consuming FileDescriptor?) {
      self.octets = octets
      self.descriptor = descriptor
    }

    public var hasDescriptor: Bool { descriptor != nil }
    /// The descriptor that came along, closed on exec; the caller's from here on.
    public mutating func takeDescriptor() -> FileDescriptor? { descriptor.take() }
  }

  /// The next message; nil when the other end is closed and everything has been read.
  ///
  /// - Throws: ``SystemError`` of `recvmsg`: EAGAIN when nothing waits on a non-blocking socket.
  public func receive() throws(SystemError) -> Message? {
    var descriptor: Int32 = -1
    var count = 0
    let octets = [UInt8](unsafeUninitializedCapacity: Self.messageOctetsMax) { buffer, initialized in
      repeat {
        count = cplatform_receive_fd(rawValue, buffer.baseAddress, buffer.count, &descriptor)
      } while count < 0 && errno == EINTR
      initialized = max(0, count)
    }
    guard count >= 0 else { throw .last("recvmsg") }
    let file: FileDescriptor?
    if descriptor >= 0 { file = FileDescriptor(owning: descriptor) } else { file = nil }
    // An end of file; a message of no octets is never sent.
    if count == 0 { return nil }
    return Message(octets: octets, descriptor: file)
  }

  /// Waits until a message or the end can be received; false when the time is over.
  public func waitReadable(timeoutSeconds: Double) -> Bool {
    var entry = pollfd(fd: rawValue, events: Int16(POLLIN), revents: 0)
    return poll(&entry, 1, Int32(min(max(timeoutSeconds, 0) * 1000, 2e9).rounded(.up))) == 1
  }
}

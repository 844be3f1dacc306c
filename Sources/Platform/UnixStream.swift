internal import CPlatform
internal import Glibc
public import MailModel

/// A connected local stream socket. Every wait has an end. Thread: one reader and one writer at a time; ``shutDown()``
/// from any.
public final class UnixStream: Sendable {
  private let file: FileDescriptor

  init(owning file: consuming FileDescriptor) { self.file = file }

  public enum ConnectError: Error, Equatable, Sendable {
    /// No socket is there, or one at which nobody listens.
    case nobodyAnswers
    /// A path of more octets than `sockaddr_un` has room for.
    case pathTooLong(octetsMax: Int)
    case system(SystemError)
  }

  /// Octets of a socket's path (`sockaddr_un`, with its NUL).
  public static let pathOctetsMax = 107

  public static func connect(to path: String) throws(ConnectError) -> UnixStream {
    let number = unixSocket()
    guard number >= 0 else { throw .system(.last("socket")) }
    let file = FileDescriptor(owning: number)
    guard let result = withUnixAddress(path, { Glibc.connect(file.rawValue, $0, $1) }) else {
      throw .pathTooLong(octetsMax: pathOctetsMax)
    }
    guard result == 0 else {
      // EAGAIN: of a local socket, its queue of waiting connections is full.
      if errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR { throw .nobodyAnswers }
      throw .system(.last("connect"))
    }
    return UnixStream(owning: file)
  }

  public enum Transfer: Equatable, Sendable {
    case octets(Int)
    /// The other side sends nothing more, or is gone.
    case end
    case timedOut
  }

  /// Waits for octets, until `deadline` at the latest.
  public func read(into buffer: UnsafeMutableRawBufferPointer, until deadline: MonotonicTime) -> Transfer {
    while true {
      let count = recv(file.rawValue, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT))
      if count > 0 { return .octets(count) }
      if count == 0 { return .end }
      if errno == EINTR { continue }
      guard errno == EAGAIN else { return .end }
      if !wait(Int16(POLLIN), until: deadline) { return .timedOut }
    }
  }

  /// Writes all of it, or says what came between. Never raises SIGPIPE.
  public func write(_ octets: UnsafeRawBufferPointer, until deadline: MonotonicTime) -> Transfer {
    var done = 0
    while done < octets.count {
      let rest = UnsafeRawBufferPointer(rebasing: octets[done...])
      let count = send(
        file.rawValue, rest.baseAddress, rest.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
      if count >= 0 {
        done += count
        continue
      }
      if errno == EINTR { continue }
      guard errno == EAGAIN else { return .end }
      if !wait(Int16(POLLOUT), until: deadline) { return .timedOut }
    }
    return .octets(done)
  }

  private func wait(_ events: Int16, until deadline: MonotonicTime) -> Bool {
    let seconds = deadline.seconds(since: .now())
    guard seconds > 0 else { return false }
    var entry = pollfd(fd: file.rawValue, events: events, revents: 0)
    // An interrupted wait is told from a finished one by the next try.
    return poll(&entry, 1, Int32(min(seconds * 1000, 2e9).rounded(.up))) != 0
  }

  /// Ends reading and writing on both sides; whoever waits is woken.
  public func shutDown() { _ = Glibc.shutdown(file.rawValue, Int32(SHUT_RDWR)) }

  /// Who is on the other side (unix(7), SO_PEERCRED), as it was when the connection was made.
  public func peer() -> (userID: UInt32, processID: Int32)? {
    var userID: UInt32 = 0
    var processID: Int32 = 0
    guard cplatform_peer(file.rawValue, &userID, &processID) == 0 else { return nil }
    return (userID, processID)
  }
}

/// A local stream socket that listens at a path. Thread: one at a time.
public final class UnixListener: Sendable {
  public enum ListenError: Error, Equatable, Sendable {
    /// Somebody listens there already.
    case inUse
    /// Something that is no socket has the name.
    case notASocket
    case pathTooLong(octetsMax: Int)
    case system(SystemError)
  }

  private let file: FileDescriptor
  public let path: String

  /// Listens. A socket that nobody listens at is replaced, and nothing else ever.
  ///
  /// - Parameter mode: Who may connect, such as 0o660, whatever the umask.
  public init(path: String, mode: UInt32) throws(ListenError) {
    self.path = path
    try Self.clear(path)
    let number = unixSocket()
    guard number >= 0 else { throw .system(.last("socket")) }
    file = FileDescriptor(owning: number)
    // On Linux the socket's file gets the mode of the socket, less the umask: it is never wider than asked for.
    guard fchmod(file.rawValue, mode) == 0 else { throw .system(.last("fchmod")) }
    guard let result = withUnixAddress(path, { bind(file.rawValue, $0, $1) }) else {
      throw .pathTooLong(octetsMax: UnixStream.pathOctetsMax)
    }
    guard result == 0 else { throw errno == EADDRINUSE ? .inUse : .system(.last("bind")) }
    guard chmod(path, mode) == 0 else { throw .system(.last("chmod")) }
    guard listen(file.rawValue, 16) == 0 else { throw .system(.last("listen")) }
  }

  private static func clear(_ path: String) throws(ListenError) {
    var status = stat()
    guard lstat(path, &status) == 0 else { return }
    guard status.st_mode & S_IFMT == S_IFSOCK else { throw .notASocket }
    do throws(UnixStream.ConnectError) {
      _ = try UnixStream.connect(to: path)
    } catch {
      switch error {
      case .nobodyAnswers:
        guard unlink(path) == 0 || errno == ENOENT else { throw .system(.last("unlink")) }
        return
      case .pathTooLong(let octetsMax): throw .pathTooLong(octetsMax: octetsMax)
      case .system(let error): throw .system(error)
      }
    }
    throw .inUse
  }

  /// The next connection; nil when `bell` rang first, or nothing was there after all.
  public func accept(unless bell: borrowing EventFD) -> UnixStream? {
    var entries = [
      pollfd(fd: file.rawValue, events: Int16(POLLIN), revents: 0),
      pollfd(fd: bell.rawValue, events: Int16(POLLIN), revents: 0),
    ]
    guard poll(&entries, 2, -1) > 0, entries[1].revents == 0, entries[0].revents != 0 else { return nil }
    let connection = cplatform_accept(file.rawValue, nil, nil)
    return connection < 0 ? nil : UnixStream(owning: FileDescriptor(owning: connection))
  }

  /// Takes the name away. Whoever is connected stays so.
  public func removePath() { unlink(path) }
}

/// The number of a new socket; negative with errno set.
private func unixSocket() -> Int32 {
  Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
}

/// Nil when the path does not fit.
private func withUnixAddress<Result>(
  _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
) -> Result? {
  var address = sockaddr_un()
  address.sun_family = sa_family_t(AF_UNIX)
  let octets = Array(path.utf8)
  guard !octets.isEmpty, octets.count <= UnixStream.pathOctetsMax, !octets.contains(0) else { return nil }
  withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: octets) }
  return withUnsafePointer(to: &address) { pointer in
    pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
      body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
    }
  }
}

internal import CPlatform
internal import Glibc

/// A TCP socket over IPv4 or IPv6: never blocks, closed on exec. Thread: one at a time.
public struct TCPSocket: ~Copyable, Sendable {
  public let file: FileDescriptor

  /// The number, for an event loop.
  public var rawValue: Int32 { file.rawValue }

  private init(_ file: consuming FileDescriptor) { self.file = file }

  private init(for address: SocketAddress) throws(SystemError) {
    let family = address.isIPv6 ? AF_INET6 : AF_INET
    let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
    let descriptor = Glibc.socket(family, kind, 0)
    guard descriptor >= 0 else { throw .last("socket") }
    file = FileDescriptor(owning: descriptor)
  }

  /// Listens. Port 0 lets the kernel choose; ``localAddress()`` says which. An IPv6 socket takes IPv6 only.
  ///
  /// - Throws: ``SystemError``, such as EADDRINUSE or EACCES of `bind`.
  public static func listening(on address: SocketAddress, backlog: Int32 = 1024) throws(SystemError) -> TCPSocket {
    let socket = try TCPSocket(for: address)
    try socket.setOption(SOL_SOCKET, SO_REUSEADDR, 1)
    if address.isIPv6 { try socket.setOption(Int32(IPPROTO_IPV6), IPV6_V6ONLY, 1) }
    let bound = address.withSockaddr { Glibc.bind(socket.rawValue, $0, $1) }
    guard bound == 0 else { throw .last("bind") }
    guard Glibc.listen(socket.rawValue, backlog) == 0 else { throw .last("listen") }
    return socket
  }

  /// The next waiting connection and who makes it; nil when none waits (or the one that did has gone).
  ///
  /// - Throws: ``SystemError``; EMFILE and ENFILE leave the connection waiting.
  public borrowing func accept() throws(SystemError) -> Accepted? {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let descriptor = withUnsafeMutablePointer(to: &storage) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { cplatform_accept(rawValue, $0, &length) }
    }
    guard descriptor >= 0 else {
      switch errno {
      // accept(2): these are errors of the connection that waited, not of this socket.
      case EAGAIN, EINTR, ECONNABORTED, EPROTO, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH, EOPNOTSUPP,
        ENETUNREACH, EPERM:
        return nil
      default: throw .last("accept")
      }
    }
    let file = FileDescriptor(owning: descriptor)
    guard let address = SocketAddress(storage) else { return nil }
    return Accepted(socket: TCPSocket(file), address: address)
  }

  public struct Accepted: ~Copyable {
    public var socket: TCPSocket
    public let address: SocketAddress

    /// The socket alone.
    public consuming func take() -> TCPSocket { socket }
  }

  /// Begins a connection. It is made or refused when the socket turns writable: ``connectionError()`` says which.
  ///
  /// - Parameter source: The local address to bind to; its port is ignored.
  /// - Throws: ``SystemError`` when it fails at once, as when there is no route.
  public static func connecting(
    to address: SocketAddress, from source: SocketAddress? = nil
  ) throws(SystemError) -> TCPSocket {
    let socket = try TCPSocket(for: address)
    if let source {
      guard source.with(port: 0).withSockaddr({ Glibc.bind(socket.rawValue, $0, $1) }) == 0 else { throw .last("bind") }
    }
    try socket.tune()
    let result = address.withSockaddr { Glibc.connect(socket.rawValue, $0, $1) }
    guard result == 0 || errno == EINPROGRESS || errno == EINTR else { throw .last("connect") }
    return socket
  }

  /// Why the connection could not be made, or broke; nil when there is no error. Reading it clears it.
  public borrowing func connectionError() -> SystemError? {
    var error: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    guard getsockopt(rawValue, SOL_SOCKET, SO_ERROR, &error, &length) == 0 else { return .last("getsockopt") }
    return error == 0 ? nil : SystemError("connect", errno: error)
  }

  /// The address that the socket is bound to.
  ///
  /// - Throws: ``SystemError`` of `getsockname`.
  public borrowing func localAddress() throws(SystemError) -> SocketAddress {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let result = withUnsafeMutablePointer(to: &storage) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(rawValue, $0, &length) }
    }
    guard result == 0 else { throw .last("getsockname") }
    guard let address = SocketAddress(storage) else { throw SystemError("getsockname", errno: EAFNOSUPPORT) }
    return address
  }

  /// What came of a read or write.
  public enum Transfer: Equatable, Sendable {
    /// So many octets, at least one.
    case octets(Int)
    /// Nothing to read, or no room to write, now.
    case wouldBlock
    /// The peer sends nothing more; of reads only.
    case end
    /// The connection is broken.
    case failed(SystemError)
  }

  public borrowing func read(into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
    while true {
      let count = Glibc.recv(rawValue, buffer.baseAddress, buffer.count, 0)
      if count > 0 { return .octets(count) }
      if count == 0 { return buffer.isEmpty ? .wouldBlock : .end }
      switch errno {
      case EINTR: continue
      case EAGAIN: return .wouldBlock
      default: return .failed(.last("recv"))
      }
    }
  }

  /// Never raises SIGPIPE.
  public borrowing func write(_ octets: UnsafeRawBufferPointer) -> Transfer {
    guard !octets.isEmpty else { return .wouldBlock }
    while true {
      let count = Glibc.send(rawValue, octets.baseAddress, octets.count, Int32(MSG_NOSIGNAL))
      if count >= 0 { return .octets(count) }
      switch errno {
      case EINTR: continue
      case EAGAIN: return .wouldBlock
      default: return .failed(.last("send"))
      }
    }
  }

  /// Says that nothing more will be written; reading goes on. An error means that the peer has gone already.
  public borrowing func shutdownWriting() { _ = Glibc.shutdown(rawValue, Int32(SHUT_WR)) }

  /// Both directions are over: the peer has gone for good.
  public borrowing func isHungUp() -> Bool {
    var entry = pollfd(fd: rawValue, events: 0, revents: 0)
    return poll(&entry, 1, 0) == 1 && Int32(entry.revents) & (Int32(POLLHUP) | Int32(POLLERR)) != 0
  }

  /// Makes close drop what is unsent and reset the connection, so that nothing of it lingers.
  public borrowing func resetOnClose() {
    var value = Glibc.linger(l_onoff: 1, l_linger: 0)
    // An error leaves the ordinary close, which is right as well.
    _ = setsockopt(rawValue, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<Glibc.linger>.size))
  }

  /// Sends small pieces at once (TCP_NODELAY); probes a silent peer after `keepaliveSeconds`; and gives a peer up that
  /// acknowledges nothing for `unacknowledgedSeconds` (TCP_USER_TIMEOUT, RFC 5482).
  ///
  /// - Throws: ``SystemError`` of `setsockopt`.
  public borrowing func tune(keepaliveSeconds: Int32 = 120, unacknowledgedSeconds: Int32 = 120) throws(SystemError) {
    try setOption(Int32(IPPROTO_TCP), TCP_NODELAY, 1)
    try setOption(SOL_SOCKET, SO_KEEPALIVE, 1)
    try setOption(Int32(IPPROTO_TCP), TCP_KEEPIDLE, keepaliveSeconds)
    try setOption(Int32(IPPROTO_TCP), TCP_KEEPINTVL, 30)
    try setOption(Int32(IPPROTO_TCP), TCP_KEEPCNT, 4)
    let milliseconds = unacknowledgedSeconds.multipliedReportingOverflow(by: 1000)
    try setOption(Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, milliseconds.overflow ? Int32.max : milliseconds.partialValue)
  }

  private borrowing func setOption(_ level: Int32, _ name: Int32, _ value: Int32) throws(SystemError) {
    var value = value
    guard setsockopt(rawValue, level, name, &value, socklen_t(MemoryLayout<Int32>.size)) == 0 else {
      throw .last("setsockopt")
    }
  }
}

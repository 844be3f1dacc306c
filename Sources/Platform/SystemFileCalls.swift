internal import CPlatform
internal import Glibc

/// ``FileCalls`` as the kernel answers them.
public final class SystemFileCalls: FileCalls {
  public init() {}

  public var user: UInt32 { geteuid() }

  /// Calls again after EINTR.
  private func retrying(_ call: String, _ body: () -> Int) throws(SystemError) -> Int {
    while true {
      let result = body()
      if result >= 0 { return result }
      if errno != EINTR { throw SystemError(call, errno: errno) }
    }
  }

  public func openDirectory(_ path: String) throws(SystemError) -> Int32 {
    Int32(
      try retrying("openat") { Int(cplatform_open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0)) })
  }

  public func openDirectory(_ name: String, in directory: Int32) throws(SystemError) -> Int32 {
    Int32(
      try retrying("openat") {
        Int(cplatform_openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0))
      })
  }

  public func open(
    _ name: String, in directory: Int32, _ purpose: FilePurpose
  ) throws(SystemError) -> Int32 {
    // O_NONBLOCK: a FIFO in a file's place must not hold the host up; on a regular file it has no effect.
    let always = O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK
    let flags =
      switch purpose {
      case .reading: always | O_RDONLY
      case .readingAndWriting: always | O_RDWR
      case .creating: always | O_RDWR | O_CREAT | O_EXCL
      case .creatingIfMissing: always | O_RDWR | O_CREAT
      case .appending: always | O_WRONLY | O_CREAT | O_APPEND
      }
    return Int32(try retrying("openat") { Int(cplatform_openat(directory, name, flags, 0o600)) })
  }

  public func close(_ descriptor: Int32) { _ = Glibc.close(descriptor) }

  public func read(
    _ descriptor: Int32, into: UnsafeMutableRawBufferPointer, at offset: UInt64
  ) throws(SystemError) -> Int {
    guard let position = off_t(exactly: offset) else { throw SystemError("pread", errno: EOVERFLOW) }
    return try retrying("pread") { pread(descriptor, into.baseAddress, into.count, position) }
  }

  public func write(
    _ descriptor: Int32, _ octets: UnsafeRawBufferPointer, at offset: UInt64
  ) throws(SystemError) -> Int {
    guard let position = off_t(exactly: offset) else { throw SystemError("pwrite", errno: EFBIG) }
    return try retrying("pwrite") { pwrite(descriptor, octets.baseAddress, octets.count, position) }
  }

  public func syncData(_ descriptor: Int32) throws(SystemError) {
    guard fdatasync(descriptor) == 0 else { throw SystemError("fdatasync", errno: errno) }
  }

  public func syncDirectory(_ descriptor: Int32) throws(SystemError) {
    guard fsync(descriptor) == 0 else { throw SystemError("fsync", errno: errno) }
  }

  public func allocate(_ descriptor: Int32, count: UInt64) throws(SystemError) {
    guard let count = off_t(exactly: count) else { throw SystemError("fallocate", errno: EFBIG) }
    // posix_fallocate answers the error instead of setting errno, and writes where the file system cannot allocate.
    while true {
      let code = posix_fallocate(descriptor, 0, count)
      if code == 0 { return }
      if code != EINTR { throw SystemError("fallocate", errno: code) }
    }
  }

  public func truncate(_ descriptor: Int32, to count: UInt64) throws(SystemError) {
    guard let count = off_t(exactly: count) else { throw SystemError("ftruncate", errno: EFBIG) }
    _ = try retrying("ftruncate") { Int(ftruncate(descriptor, count)) }
  }

  public func rename(_ name: String, to newName: String, in directory: Int32) throws(SystemError) {
    guard renameat(directory, name, directory, newName) == 0 else { throw SystemError("renameat", errno: errno) }
  }

  public func unlink(_ name: String, in directory: Int32) throws(SystemError) {
    if unlinkat(directory, name, 0) == 0 { return }
    let code = errno
    if code == EISDIR, unlinkat(directory, name, AT_REMOVEDIR) == 0 { return }
    throw SystemError("unlinkat", errno: code == EISDIR ? errno : code)
  }

  public func makeDirectory(_ name: String, in directory: Int32) throws(SystemError) {
    guard mkdirat(directory, name, 0o700) == 0 else { throw SystemError("mkdirat", errno: errno) }
  }

  public func names(in directory: Int32) throws(SystemError) -> [String] {
    // A second description, because a directory stream takes its own over and moves its position.
    let descriptor = cplatform_openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0)
    guard descriptor >= 0 else { throw SystemError("readdir", errno: errno) }
    guard let stream = fdopendir(descriptor) else {
      let code = errno
      _ = Glibc.close(descriptor)
      throw SystemError("readdir", errno: code)
    }
    defer { closedir(stream) }
    var names: [String] = []
    while true {
      errno = 0
      guard let entry = readdir(stream) else {
        if errno != 0 { throw SystemError("readdir", errno: errno) }
        return names
      }
      // SAFETY: d_name ends in NUL within the entry, which lives until the next readdir.
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        UnsafeRawPointer($0).withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
    }
  }

  public func status(_ descriptor: Int32) throws(SystemError) -> FileStatus {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw SystemError("fstat", errno: errno) }
    let kind: FileStatus.Kind =
      switch status.st_mode & S_IFMT {
      case S_IFREG: .file
      case S_IFDIR: .directory
      default: .other
      }
    return FileStatus(
      kind: kind, owner: status.st_uid, mode: status.st_mode & 0o7777, octets: UInt64(max(0, status.st_size)),
      links: UInt64(status.st_nlink))
  }

  public func room(_ descriptor: Int32) throws(SystemError) -> FileSystemRoom {
    var status = statvfs()
    guard fstatvfs(descriptor, &status) == 0 else { throw SystemError("fstatvfs", errno: errno) }
    let unit = UInt64(status.f_frsize)
    return FileSystemRoom(
      octets: UInt64(status.f_blocks).multipliedReportingOverflow(by: unit).partialValue,
      octetsFree: UInt64(status.f_bavail).multipliedReportingOverflow(by: unit).partialValue)
  }

  public func lock(_ descriptor: Int32) throws(SystemError) -> Bool {
    while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
      switch errno {
      case EINTR: continue
      case EWOULDBLOCK: return false
      default: throw SystemError("flock", errno: errno)
      }
    }
    return true
  }
}

internal import CPlatform
internal import Glibc

/// Memory that processes share: an anonymous file (memfd) mapped readable and writable.
///
/// 1. The size never changes: the file is sealed against shrinking and growing before anybody else sees it, and an
///    attacher refuses a file that is not. Otherwise a peer could shrink it and kill the other side with SIGBUS.
/// 2. The memory is reserved when the region is made, so that a machine short of memory says so then.
/// 3. The octets are zero at first. What a peer writes is never trusted: whoever lays a structure into the region
///    validates what it reads, and copies before it judges.
///
/// The mapping lives as long as the owner; pointers derived from ``base`` must not outlive it.
public struct SharedRegion: ~Copyable, @unchecked Sendable {
  // SAFETY: Sendable, because the stored values never change; what is in the memory is up to the structure laid into it.

  /// Start of the memory, aligned to a page.
  public let base: UnsafeMutableRawPointer
  /// Length of the memory.
  public let octets: Int
  /// The anonymous file, for handing to a worker (inherited or over a socket).
  public let file: FileDescriptor

  /// The whole memory.
  public var memory: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: base, count: octets) }

  /// Makes a region of `octets`, rounded up to whole pages, all zero.
  ///
  /// - Parameter name: Shown in `/proc/PID/maps`; at most 249 octets.
  /// - Throws: ``SystemError`` of `memfd_create`, `posix_fallocate`, `fcntl` or `mmap`; nothing is left behind.
  public init(creating octets: Int, name: String) throws(SystemError) {
    precondition(octets > 0, "a region of no octets")
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let rounded = (octets + page - 1) / page * page
    let descriptor = cplatform_memfd_create(name)
    guard descriptor >= 0 else { throw .last("memfd_create") }
    let file = FileDescriptor(owning: descriptor)
    let reserved = posix_fallocate(file.rawValue, 0, off_t(rounded))
    guard reserved == 0 else { throw SystemError("posix_fallocate", errno: reserved) }
    guard cplatform_seal_size(file.rawValue) == 0 else { throw .last("fcntl") }
    self.base = try map(file.rawValue, octets: rounded)
    self.octets = rounded
    self.file = file
  }

  /// Maps a region that another process made.
  ///
  /// - Throws: ``SystemError`` of `fstat` or `mmap`, or of `fcntl` with EPERM when the size is not sealed, of `fstat` with EINVAL when the file is
  ///   smaller than `octetsMin` or larger than `octetsMax`. The descriptor is closed then.
  public init(
    attaching file: consuming FileDescriptor, octetsMin: Int = 1, octetsMax: Int = 1 << 30
  ) throws(SystemError) {
    guard cplatform_size_is_sealed(file.rawValue) == 1 else { throw SystemError("fcntl", errno: EPERM) }
    var status = stat()
    guard fstat(file.rawValue, &status) == 0 else { throw .last("fstat") }
    guard status.st_size >= octetsMin, status.st_size <= octetsMax else { throw SystemError("fstat", errno: EINVAL) }
    self.base = try map(file.rawValue, octets: Int(status.st_size))
    self.octets = Int(status.st_size)
    self.file = file
  }

  deinit {
    // SAFETY: base and octets are those of the one mmap; unmapping can fail only for values that are not.
    munmap(base, octets)
  }
}

private func map(_ file: Int32, octets: Int) throws(SystemError) -> UnsafeMutableRawPointer {
  let base = mmap(nil, octets, PROT_READ | PROT_WRITE, MAP_SHARED | Int32(MAP_POPULATE), file, 0)
  guard let base, base != MAP_FAILED else { throw .last("mmap") }
  return base
}

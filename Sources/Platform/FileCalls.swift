/// The file system as the durable parts of the host see it: every call that the spool makes goes through here, so that
/// a test can answer in the kernel's place, fail the n-th call, write short or cut the power.
///
/// Paths are single names below a held directory descriptor, so that a directory that is renamed or replaced under a
/// running host is not followed. Every file is opened close-on-exec and without following a symbolic link.
/// No call is retried here but after EINTR, and never a sync: after a failed one the page cache may tell another story
/// than the disk.
public protocol FileCalls: AnyObject {
  /// The user that files must belong to: the process's effective user.
  var user: UInt32 { get }

  /// Opens a directory by its path; a symbolic link in its place is refused (ELOOP or ENOTDIR).
  func openDirectory(_ path: String) throws(SystemError) -> Int32

  /// Opens a directory below `directory`.
  func openDirectory(_ name: String, in directory: Int32) throws(SystemError) -> Int32

  /// Opens a file below `directory`. A created file has mode 0600.
  func open(_ name: String, in directory: Int32, _ purpose: FilePurpose) throws(SystemError) -> Int32

  func close(_ descriptor: Int32)

  /// Reads at most `into.count` octets at `offset`; 0 at the end of the file.
  func read(_ descriptor: Int32, into: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(SystemError) -> Int

  /// Writes at most `octets.count` octets at `offset` and returns how many were taken.
  func write(_ descriptor: Int32, _ octets: UnsafeRawBufferPointer, at offset: UInt64) throws(SystemError) -> Int

  /// Makes a file's octets durable, and its length where it changed.
  func syncData(_ descriptor: Int32) throws(SystemError)

  /// Makes a directory's entries durable.
  func syncDirectory(_ descriptor: Int32) throws(SystemError)

  /// Gives the file room for `count` octets from its start; throws ENOSPC when there is none.
  func allocate(_ descriptor: Int32, count: UInt64) throws(SystemError)

  func truncate(_ descriptor: Int32, to count: UInt64) throws(SystemError)

  /// Renames within one directory; what stood under the new name is replaced.
  func rename(_ name: String, to newName: String, in directory: Int32) throws(SystemError)

  /// Removes a file, or a directory that is empty.
  func unlink(_ name: String, in directory: Int32) throws(SystemError)

  /// Makes a directory of mode 0700.
  func makeDirectory(_ name: String, in directory: Int32) throws(SystemError)

  /// The names in a directory but for `.` and `..`, in no order.
  func names(in directory: Int32) throws(SystemError) -> [String]

  func status(_ descriptor: Int32) throws(SystemError) -> FileStatus

  func room(_ descriptor: Int32) throws(SystemError) -> FileSystemRoom

  /// Takes the exclusive lock of a file; false when another open file description has it.
  func lock(_ descriptor: Int32) throws(SystemError) -> Bool
}

/// What a file is opened for.
public enum FilePurpose: Sendable {
  case reading
  case readingAndWriting
  /// A new file, of mode 0600; EEXIST when there is one.
  case creating
  /// As it is, or new and of mode 0600.
  case creatingIfMissing
  /// As it is, or new and of mode 0600; every write goes to the end.
  case appending
}

public struct FileStatus: Sendable, Equatable {
  public enum Kind: Sendable { case file, directory, other }
  public var kind: Kind
  public var owner: UInt32
  /// The permission bits, 0…0o7777.
  public var mode: UInt32
  public var octets: UInt64
  public var links: UInt64

  public init(kind: Kind, owner: UInt32, mode: UInt32, octets: UInt64, links: UInt64) {
    self.kind = kind
    self.owner = owner
    self.mode = mode
    self.octets = octets
    self.links = links
  }
}

/// How much a file system holds and how much of it an ordinary user may still fill, in octets.
public struct FileSystemRoom: Sendable, Equatable {
  public var octets: UInt64
  public var octetsFree: UInt64

  public init(octets: UInt64, octetsFree: UInt64) {
    self.octets = octets
    self.octetsFree = octetsFree
  }
}

extension FileCalls {
  /// Writes all of `octets`, in as many calls as it takes.
  public func writeAll(
    _ descriptor: Int32, _ octets: UnsafeRawBufferPointer, at offset: UInt64
  ) throws(SystemError) {
    var done = 0
    while done < octets.count {
      let count = try write(descriptor, UnsafeRawBufferPointer(rebasing: octets[done...]), at: offset + UInt64(done))
      guard count > 0 else { throw SystemError("pwrite", errno: 5) }  // EIO: a device that takes nothing.
      done += count
    }
  }

  public func writeAll(_ descriptor: Int32, _ octets: [UInt8], at offset: UInt64) throws(SystemError) {
    var failure: SystemError?
    octets.withUnsafeBytes { buffer in
      do throws(SystemError) { try writeAll(descriptor, buffer, at: offset) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  /// Reads up to `count` octets at `offset`; fewer only at the end of the file.
  public func readAll(_ descriptor: Int32, count: Int, at offset: UInt64) throws(SystemError) -> [UInt8] {
    var failure: SystemError?
    let octets = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      while initialized < count {
        let rest = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[initialized..<count])
        do throws(SystemError) {
          let taken = try read(descriptor, into: rest, at: offset + UInt64(initialized))
          if taken == 0 { break }
          initialized += taken
        } catch {
          failure = error
          break
        }
      }
    }
    if let failure { throw failure }
    return octets
  }
}

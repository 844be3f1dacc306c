internal import Glibc
internal import Platform

/// The held directory of a spool and the names in it:
///
///     lock                 held with flock while a host runs
///     segment-XXXXXXXX     the log, in order of the hexadecimal number
///     spare-XXXXXXXX       an allocated and zeroed, or a freed, segment: its octets mean nothing
///     blank-XXXXXXXX       an allocated segment that is being zeroed
///     snapshot             the index as of some place in the log; snapshot.part while it is written
///     history/             what happened to messages (``History``)
struct SpoolDirectory {
  static let lockName = "lock"
  static let snapshotName = "snapshot"
  static let snapshotPartName = "snapshot.part"

  enum NumberedFile: String {
    case segment, spare, blank

    func name(_ number: UInt32) -> String {
      let digits = String(number, radix: 16)
      return "\(rawValue)-" + String(repeating: "0", count: 8 - digits.count) + digits
    }

    /// The number in a name of this kind.
    func number(_ name: String) -> UInt32? {
      let prefix = "\(rawValue)-"
      guard name.hasPrefix(prefix) else { return nil }
      let digits = name.dropFirst(prefix.count)
      guard digits.utf8.count == 8, let number = UInt32(digits, radix: 16), self.name(number) == name else {
        return nil
      }
      return number
    }
  }

  let path: String
  let descriptor: Int32
  let lock: Int32?

  /// Opens and locks a directory that is fit for a spool.
  ///
  /// - Throws: ``SpoolError/unusable(_:)`` with one line that names the path, when it is missing, a symbolic link, not a
  ///   directory, another user's, open to others, or locked.
  static func open(_ path: String, _ files: any FileCalls) throws(SpoolError) -> SpoolDirectory {
    let descriptor = try openChecked(path, files)
    do throws(SpoolError) {
      let lock: Int32
      do throws(SystemError) {
        lock = try files.open(lockName, in: descriptor, .creatingIfMissing)
      } catch {
        throw .unusable("\(path)/\(lockName): \(text(error.errno))")
      }
      do throws(SpoolError) {
        try check(lock, "\(path)/\(lockName)", files)
        try take(lock, path, files)
      } catch {
        files.close(lock)
        throw error
      }
      return SpoolDirectory(path: path, descriptor: descriptor, lock: lock)
    } catch {
      files.close(descriptor)
      throw error
    }
  }

  /// Opens a directory for inspection: creates nothing, and refuses while a host holds the lock.
  static func openForReading(_ path: String, _ files: any FileCalls) throws(SpoolError) -> SpoolDirectory {
    let descriptor = try openChecked(path, files)
    guard let lock = try? files.open(lockName, in: descriptor, .reading) else {
      // No lock file, so no host: the spool was never used, or its files were copied without it.
      return SpoolDirectory(path: path, descriptor: descriptor, lock: nil)
    }
    do throws(SpoolError) {
      try take(lock, path, files)
      return SpoolDirectory(path: path, descriptor: descriptor, lock: lock)
    } catch {
      files.close(lock)
      files.close(descriptor)
      throw error
    }
  }

  func close(_ files: any FileCalls) {
    if let lock { files.close(lock) }
    files.close(descriptor)
  }

  private static func openChecked(_ path: String, _ files: any FileCalls) throws(SpoolError) -> Int32 {
    let descriptor: Int32
    do throws(SystemError) {
      descriptor = try files.openDirectory(path)
    } catch {
      switch error.errno {
      case ENOENT: throw .unusable("\(path): the spool directory does not exist")
      case ELOOP, ENOTDIR: throw .unusable("\(path): the spool must be a directory and not a symbolic link")
      default: throw .unusable("\(path): \(text(error.errno))")
      }
    }
    do throws(SpoolError) {
      try checkOwnerAndMode(descriptor, path, files, kind: .directory)
      return descriptor
    } catch {
      files.close(descriptor)
      throw error
    }
  }

  private static func take(_ lock: Int32, _ path: String, _ files: any FileCalls) throws(SpoolError) {
    do throws(SystemError) {
      guard try files.lock(lock) else { throw SystemError("flock", errno: EWOULDBLOCK) }
    } catch {
      throw error.errno == EWOULDBLOCK
        ? .unusable("\(path): another host uses this spool") : .unusable("\(path)/\(lockName): \(text(error.errno))")
    }
  }

  /// Refuses a file that others own, may open, or reach by another name.
  static func check(_ descriptor: Int32, _ path: String, _ files: any FileCalls) throws(SpoolError) {
    try checkOwnerAndMode(descriptor, path, files, kind: .file)
  }

  static func checkOwnerAndMode(
    _ descriptor: Int32, _ path: String, _ files: any FileCalls, kind: FileStatus.Kind
  ) throws(SpoolError) {
    let status: FileStatus
    do throws(SystemError) { status = try files.status(descriptor) } catch {
      throw .unusable("\(path): \(text(error.errno))")
    }
    guard status.kind == kind else {
      throw .unusable("\(path): not a \(kind == .directory ? "directory" : "regular file")")
    }
    guard status.owner == files.user else {
      throw .unusable("\(path): belongs to user \(status.owner), the host runs as user \(files.user)")
    }
    guard status.mode & 0o077 == 0 else {
      throw .unusable("\(path): mode \(String(status.mode, radix: 8)) lets others in; it must be private to its owner")
    }
    guard kind == .directory || status.links == 1 else {
      throw .unusable("\(path): has \(status.links) names; a spool's file has one")
    }
  }

  static func text(_ code: Int32) -> String { String(cString: strerror(code)) }
}

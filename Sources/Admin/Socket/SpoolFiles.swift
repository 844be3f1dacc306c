internal import Glibc

/// What lies in a spool's directory, by looking.
struct SpoolFiles {
  var path: String
  var segmentCount = 0
  /// Of the segments.
  var octets = 0

  init(_ path: String) {
    self.path = path
    guard let directory = opendir(path) else { return }
    defer { closedir(directory) }
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      guard name.hasPrefix("segment-") else { continue }
      var status = stat()
      guard fstatat(dirfd(directory), name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
      segmentCount += 1
      octets += Int(status.st_size)
    }
  }
}

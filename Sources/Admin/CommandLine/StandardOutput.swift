internal import Glibc

enum StandardOutput {
  /// Octets as they are; false when nobody takes them.
  static func write(_ octets: UnsafeRawBufferPointer, to descriptor: Int32 = STDOUT_FILENO) -> Bool {
    var done = 0
    while done < octets.count {
      let rest = UnsafeRawBufferPointer(rebasing: octets[done...])
      let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { return false }
      done += count
    }
    return true
  }
}

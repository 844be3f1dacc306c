private import Glibc

/// A directory with one file for each secret, such as systemd's `$CREDENTIALS_DIRECTORY`.
struct SecretsDirectory {
  let path: String

  /// The text of a secret without one newline at its end.
  ///
  /// The file must be a regular file of this user or of root that nobody else can read, write or execute (mode 0400 or
  /// 0600), at most ``ConfigLimits/secretOctetsMax`` long, and UTF-8. Its text is in no complaint.
  func read(_ name: String) throws(ScalarComplaint) -> String {
    let file = "\(path)/\(name)"
    let descriptor = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    guard descriptor >= 0 else {
      throw ScalarComplaint(text: "secret \(quoted(name)) cannot be read: \(errorText(errno))")
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw ScalarComplaint(text: "secret \(quoted(name)) is not a file")
    }
    guard status.st_mode & 0o177 == 0 else {
      let mode = String(status.st_mode & 0o777, radix: 8)
      throw ScalarComplaint(
        text: "secret \(quoted(name)) has mode 0\(mode): others could read it", hint: "chmod 0400 \(printable(file))")
    }
    guard status.st_uid == geteuid() || status.st_uid == 0 else {
      throw ScalarComplaint(text: "secret \(quoted(name)) belongs to another user")
    }
    guard let octets = readFile(descriptor, octetsMax: ConfigLimits.secretOctetsMax) else {
      throw ScalarComplaint(
        text: "secret \(quoted(name)) is longer than \(ConfigLimits.secretOctetsMax) octets or cannot be read")
    }
    guard var text = String(validating: octets, as: UTF8.self) else {
      throw ScalarComplaint(text: "secret \(quoted(name)) is not UTF-8 text")
    }
    if text.utf8.last == 0x0A { text = String(decoding: Array(text.utf8.dropLast()), as: UTF8.self) }
    return text
  }
}

/// The octets of an open file from its position on; nil when there are more than `octetsMax` or a read fails.
func readFile(_ descriptor: Int32, octetsMax: Int) -> [UInt8]? {
  var octets: [UInt8] = []
  while octets.count <= octetsMax {
    var count = 0
    let piece = [UInt8](unsafeUninitializedCapacity: min(octetsMax + 1 - octets.count, 64 * 1024)) { buffer, used in
      repeat { count = Glibc.read(descriptor, buffer.baseAddress, buffer.count) } while count < 0 && errno == EINTR
      used = max(count, 0)
    }
    if count < 0 { return nil }
    if count == 0 { return octets }
    octets += piece
  }
  return nil
}

/// The system's text for an error number.
func errorText(_ number: Int32) -> String {
  // SAFETY: strerror's text is copied before any other call could change it.
  strerror(number).map { String(cString: $0) } ?? "error \(number)"
}

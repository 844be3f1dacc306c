internal import Glibc
internal import Platform

/// The look at a module's file before anything is loaded from it.
///
/// A shared library runs code while it is being loaded, and a damaged one kills the process with SIGBUS. So a file is
/// refused here unless it is a whole shared library for this machine that nobody but root and we could have written or
/// could put another in the place of:
///
/// 1. opened without following a symbolic link and without waiting for a FIFO's writer; all checks are of the open file;
/// 2. regular, owned by root or us, not writable for group or others; on no file system mounted noexec;
/// 3. each directory above it is owned by root or us and not writable for group or others, or is sticky, as /tmp is,
///    where others can add files but not replace ours;
/// 4. its ELF header fits this machine, and all it speaks of is within the file.
public struct ModuleFile: Hashable, Sendable {
  /// Absolute, without symbolic links. What is to be loaded.
  public let path: String
  public let octets: UInt64

  /// - Parameter path: Absolute, or relative to the working directory.
  public static func check(_ path: String) throws(ModuleError) -> ModuleFile {
    try withOpen(path) { (file, _) throws(ModuleRefusal) in file }
  }

  /// The symbols that a module's file exports; nil when the file does not say (``ELFHeader/exportedSymbols(_:)``).
  static func exportedSymbols(_ path: String) throws(ModuleError) -> [String]? {
    try withOpen(path) { (file, descriptor) throws(ModuleRefusal) in
      try ELFHeader(descriptor, octets: file.octets).exportedSymbols(descriptor)
    }
  }

  private static func withOpen<Result>(
    _ path: String, _ body: (ModuleFile, Int32) throws(ModuleRefusal) -> Result
  ) throws(ModuleError) -> Result {
    do throws(ModuleRefusal) {
      let (directory, name) = try split(path)
      guard let real = realPath(directory) else { throw .system(.last("realpath")) }
      let whole = real == "/" ? "/\(name)" : "\(real)/\(name)"
      let number = Glibc.open(whole, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)
      guard number >= 0 else {
        if errno == ELOOP { throw .symbolicLink }
        throw .system(.last("open"))
      }
      let descriptor = FileDescriptor(owning: number)
      let octets = try checkFile(descriptor.rawValue)
      try checkDirectories(real)
      _ = try ELFHeader(descriptor.rawValue, octets: octets)
      return try body(ModuleFile(path: whole, octets: octets), descriptor.rawValue)
    } catch { throw ModuleError(path: path, error) }
  }

  private static func split(_ path: String) throws(ModuleRefusal) -> (directory: String, name: String) {
    guard !path.utf8.contains(0) else { throw .badName }
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    guard let name = parts.last, !name.isEmpty, name != ".", name != ".." else {
      throw path.isEmpty ? .badName : .notRegularFile("a directory")
    }
    let directory = parts.dropLast().joined(separator: "/")
    return (parts.count == 1 ? "." : directory.isEmpty ? "/" : directory, String(name))
  }

  private static func checkFile(_ descriptor: Int32) throws(ModuleRefusal) -> UInt64 {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw .system(.last("fstat")) }
    switch status.st_mode & S_IFMT {
    case S_IFREG: break
    case S_IFDIR: throw .notRegularFile("a directory")
    case S_IFIFO: throw .notRegularFile("a FIFO")
    case S_IFSOCK: throw .notRegularFile("a socket")
    default: throw .notRegularFile("a device")
    }
    guard status.st_uid == 0 || status.st_uid == geteuid() else { throw .foreignOwner(userID: status.st_uid) }
    guard status.st_mode & 0o022 == 0 else { throw .writableByOthers(mode: status.st_mode) }
    var system = statvfs()
    let noExec: UInt = 8  // ST_NOEXEC of statvfs(3)
    if fstatvfs(descriptor, &system) == 0, system.f_flag & noExec != 0 { throw .mountedNoExec }
    return UInt64(max(status.st_size, 0))
  }

  /// - Parameter directory: Absolute, without symbolic links.
  private static func checkDirectories(_ directory: String) throws(ModuleRefusal) {
    var ancestor = "/"
    var rest = directory.split(separator: "/")[...]
    while true {
      var status = stat()
      guard lstat(ancestor, &status) == 0 else { throw .system(.last("lstat")) }
      guard status.st_uid == 0 || status.st_uid == geteuid() else {
        throw .foreignDirectory(ancestor, userID: status.st_uid)
      }
      guard status.st_mode & 0o022 == 0 || status.st_mode & S_ISVTX != 0 else {
        throw .directoryWritableByOthers(ancestor, mode: status.st_mode)
      }
      guard let next = rest.popFirst() else { return }
      ancestor = ancestor == "/" ? "/\(next)" : "\(ancestor)/\(next)"
    }
  }
}

/// realpath(3); nil with errno set.
func realPath(_ path: String) -> String? {
  guard let real = realpath(path, nil) else { return nil }
  defer { free(real) }
  return String(validatingCString: real)
}

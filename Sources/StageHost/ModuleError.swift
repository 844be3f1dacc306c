internal import Glibc
public import Platform

/// Why a module is not loaded: one line that names the file and the reason.
public struct ModuleError: Error, Hashable, Sendable {
  /// The file, as far as it was found.
  public var path: String
  public var reason: ModuleRefusal

  public init(path: String, _ reason: ModuleRefusal) {
    self.path = path
    self.reason = reason
  }
}

extension ModuleError: CustomStringConvertible {
  public var description: String { "\(path): \(reason)" }
}

/// What is wrong with a module.
public enum ModuleRefusal: Error, Hashable, Sendable {
  // The name.
  /// `modules:` names a file by a word that is no file name.
  case badName
  /// A bare name that is in none of these directories.
  case notFound(directories: [String])

  // The file (``ModuleFile``).
  case system(SystemError)
  case symbolicLink
  /// A directory, FIFO, socket or device; the text says which.
  case notRegularFile(String)
  /// Owned neither by root nor by the user who runs the host.
  case foreignOwner(userID: UInt32)
  /// The mode allows a group or everybody to write.
  case writableByOthers(mode: UInt32)
  /// Somebody else could put another file into the place of this one.
  case foreignDirectory(String, userID: UInt32)
  case directoryWritableByOthers(String, mode: UInt32)
  case mountedNoExec
  case empty
  case notELF
  case wrongClass
  case wrongByteOrder
  case wrongMachine(UInt16)
  /// An executable or an object file.
  case notSharedObject(type: UInt16)
  /// The headers speak of more octets than there are.
  case truncated(octets: UInt64, wanted: UInt64)

  // Loading.
  /// dlerror(3), without the path in front.
  case loader(String)
  case missingSymbol(String)

  // The description.
  case noDescription
  case wrongLevel(module: UInt32, host: UInt32)
  case malformed(ModulePart, String)

  // A child process that looked at the module (``ModuleProbe``).
  case crashed(signal: Int32, during: ModuleProbeStep)
  case hung(seconds: Double, during: ModuleProbeStep)
  case exited(status: Int32, during: ModuleProbeStep)
  /// The child wrote what no probe writes.
  case garbled
}

extension ModuleRefusal: CustomStringConvertible {
  public var description: String {
    switch self {
    case .badName: "is not the name of a file"
    case .notFound(let directories): "not found in " + directories.joined(separator: " or ")
    case .system(let error): error.description
    case .symbolicLink: "is a symbolic link; name the file itself"
    case .notRegularFile(let kind): "is \(kind), not a file"
    case .foreignOwner(let user):
      "belongs to user \(user); a module must belong to root or to the user who runs the host"
    case .writableByOthers(let mode): "others may write it (mode \(Self.octal(mode))); remove that with chmod go-w"
    case .foreignDirectory(let directory, let user): "its directory \(directory) belongs to user \(user)"
    case .directoryWritableByOthers(let directory, let mode):
      "others may write its directory \(directory) (mode \(Self.octal(mode))); remove that with chmod go-w"
    case .mountedNoExec: "is on a file system that is mounted noexec"
    case .empty: "is empty"
    case .notELF: "is not a shared library (no ELF header)"
    case .wrongClass: "is a 32-bit library; this host is 64-bit"
    case .wrongByteOrder: "is of the other byte order"
    case .wrongMachine(let machine):
      "is for \(ELFHeader.machineName(machine)); this host is \(ELFHeader.machineName(ELFHeader.hostMachine))"
    case .notSharedObject(let type): "is \(ELFHeader.typeName(type)), not a shared library"
    case .truncated(let octets, let wanted): "is cut off: \(octets) octets of at least \(wanted)"
    case .loader(let text): "does not load: \(text)"
    case .missingSymbol(let symbol): "is not a stage module: it does not export \(symbol)"
    case .noDescription: "gives no description of itself (ix_module_v1 returned NULL)"
    case .wrongLevel(let module, let host):
      "is built for level \(module) of the stage interface; this host speaks level \(host)"
    case .malformed(_, let text): "describes itself wrongly: \(text)"
    case .crashed(let signal, let step): "crashed \(step.words) (\(Self.signalName(signal)))"
    case .hung(let seconds, let step): "did not come back within \(seconds) s \(step.words)"
    case .exited(let status, let step): "ended the process with status \(status) \(step.words)"
    case .garbled: "wrote into the probe's answer"
    }
  }

  private static func octal(_ mode: UInt32) -> String { "0" + String(mode & 0o7777, radix: 8) }

  static func signalName(_ signal: Int32) -> String {
    switch signal {
    case SIGSEGV: "SIGSEGV"
    case SIGBUS: "SIGBUS"
    case SIGABRT: "SIGABRT"
    case SIGILL: "SIGILL"
    case SIGFPE: "SIGFPE"
    case SIGTRAP: "SIGTRAP"
    case SIGKILL: "SIGKILL"
    case SIGSYS: "SIGSYS"
    case SIGTERM: "SIGTERM"
    case SIGXCPU: "SIGXCPU"
    default: "signal \(signal)"
    }
  }
}

/// Which promise of a description is broken.
public enum ModulePart: UInt8, Sendable, CaseIterable {
  /// Sizes, strides, counts, alignment, absent arrays, and the ELF file itself.
  case layout = 1
  /// Names, summaries and other text.
  case text = 2
  /// Kinds, ports and functions of a stage.
  case stage = 3
  case setting = 4
}

/// How far a child that looks at a module has come.
public enum ModuleProbeStep: UInt8, Sendable, CaseIterable {
  case starting = 0
  /// dlopen, with the module's constructors.
  case loading = 1
  /// In `ix_module_v1`.
  case entering = 2
  case describing = 3
  /// In a check of ``StageConformance``.
  case checking = 4

  var words: String {
    switch self {
    case .starting: "before it was loaded"
    case .loading: "while it was being loaded (a constructor, or a damaged file)"
    case .entering: "in ix_module_v1"
    case .describing: "while its description was read"
    case .checking: "while it was being used"
    }
  }
}

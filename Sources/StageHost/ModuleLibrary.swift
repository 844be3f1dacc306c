internal import CLtdl
internal import Glibc
internal import Synchronization

/// A shared library in this process, for the life of it. The one place that knows libltdl.
///
/// libltdl reports every failure of dlopen(3) as "file not found" and binds lazily. So the library is first opened with
/// dlopen itself, at once and with all its symbols bound, which gives the true message; libltdl then finds it loaded and
/// keeps it, resident. It is never closed: casting to any protocol crashes after a Swift library was unloaded.
struct ModuleLibrary {
  // SAFETY: an lt_dlhandle is never freed, because the library is never closed.
  private let handle: lt_dlhandle

  /// libltdl keeps unguarded lists. The constructors of a module have run before this is taken.
  private static let libltdl = Mutex(false)

  /// Loads a library. Its constructors run now.
  ///
  /// - Parameter path: Absolute, from ``ModuleFile``, so that no search takes place.
  /// - Throws: ``ModuleRefusal/loader(_:)`` with dlerror's words.
  init(_ path: String) throws(ModuleRefusal) {
    guard dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) != nil else {
      throw .loader(Self.words(of: dlerror(), about: path))
    }
    let opened: lt_dlhandle? = Self.libltdl.withLock { isReady in
      if !isReady { isReady = lt_dlinit() == 0 }
      var advise: lt_dladvise?
      guard isReady, lt_dladvise_init(&advise) == 0 else { return nil }
      defer { lt_dladvise_destroy(&advise) }
      guard lt_dladvise_resident(&advise) == 0, lt_dladvise_local(&advise) == 0 else { return nil }
      // libltdl calls dlopen and nothing of the module: it is loaded already.
      return lt_dlopenadvise(path, advise)
    }
    guard let opened else { throw .loader(Self.words(of: lt_dlerror(), about: path)) }
    handle = opened
  }

  /// The address of an exported symbol.
  func symbol(_ name: String) -> UnsafeMutableRawPointer? {
    Self.libltdl.withLock { _ in
      // SAFETY: the address is as valid as the library, for the life of the process.
      UInt(bitPattern: lt_dlsym(handle, name))
    }.pointer
  }

  /// The loader's message without the path in front, in one line.
  private static func words(of message: UnsafePointer<CChar>?, about path: String) -> String {
    guard let message else { return "unknown reason" }
    var text = String(cString: message)
    if text.hasPrefix("\(path): ") { text.removeFirst(path.count + 2) }
    return String(text.map { $0.isNewline ? " " : $0 })
  }
}

extension UInt {
  fileprivate var pointer: UnsafeMutableRawPointer? { UnsafeMutableRawPointer(bitPattern: self) }
}

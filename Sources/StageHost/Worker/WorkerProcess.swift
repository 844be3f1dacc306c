internal import Glibc
public import Platform
public import Spoke

/// `isolation: worker`, the host's side: one stage instance in a process of its own. The hub's event loop watches
/// ``processDescriptor`` for its end, and ``controlDescriptor`` for room when ``isBlocked``.
///
/// Start it from a thread that lasts as long as the host: the kernel kills the worker when that thread ends.
/// Thread: the hub's. Dropping the object kills the process.
public final class WorkerProcess {
  private let process: ChildProcess
  private let control: UnixSocket
  private var outbox: [(message: [UInt8], file: OwnedFile?)] = []
  private var killTimer: (loop: EventLoop, timer: TimerNumber)?

  /// What a worker has of the host's environment: not the secrets that `${env:NAME}` takes from it for other stages.
  private static let environmentNames: Set<String> = [
    "PATH", "HOME", "TMPDIR", "TZ", "LANG", "LC_", "LD_LIBRARY_PATH", "LOCALDOMAIN", "RES_OPTIONS", "OPENSSL_CONF",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "ASAN_", "TSAN_", "UBSAN_", "LLVM_", "MALLOC_",
  ]

  /// A crash ends the process, at once and without its memory, which holds messages, being printed to a log: Swift's
  /// backtraces would do that, and return from a raised signal as if nothing had been.
  private static let noBacktrace = "SWIFT_BACKTRACE=enable=no"

  private final class OwnedFile {
    let file: FileDescriptor
    init(_ file: consuming FileDescriptor) { self.file = file }
  }

  /// How a worker ended.
  public enum End: Equatable, Sendable {
    case exited(WorkerExit)
    /// With a code that a worker does not use: the module called exit.
    case exitedOtherwise(code: Int32)
    /// A crash, or a kill.
    case signalled(Int32)
  }

  /// Starts the worker and tells it what to run.
  ///
  /// - Parameters:
  ///   - executable: What has the verb `worker`: this program.
  ///   - region: The spoke's memory, of which the worker gets a descriptor.
  ///   - stageBell: The doorbell that the host rings, `hostBell` the one that the worker rings. Borrowed.
  ///   - standardError: Where what the module writes to its standard output or error goes. Borrowed.
  /// - Throws: ``SystemError``; no process is left then.
  public init(
    executable: String = "/proc/self/exe", setup: WorkerSetup, region: SpokeRegion, stageBell: Int32, hostBell: Int32,
    standardError: Int32 = 2
  ) throws(SystemError) {
    let octets = setup.encoded()
    let setupFile = try SharedRegion(creating: octets.count, name: "interchange-setup")
    UnsafeMutableRawBufferPointer(start: setupFile.base, count: octets.count).copyBytes(from: octets)
    let regionFile = try region.duplicateFile()
    let (ours, theirs) = try UnixSocket.pair()
    // All of it fits into the socket's buffer, so that nothing here waits for the worker.
    try ours.send(ControlMessage.setup(octets: UInt64(octets.count)).encoded, descriptor: setupFile.file.rawValue)
    try ours.send(
      ControlMessage.region(chunkCount: UInt32(region.chunkCount)).encoded, descriptor: regionFile.rawValue)
    try ours.send(ControlMessage.stageBell.encoded, descriptor: stageBell)
    try ours.send(ControlMessage.hostBell.encoded, descriptor: hostBell)
    try ours.send(ControlMessage.begin.encoded)
    try ours.setNonBlocking()
    control = ours
    let nothing = open("/dev/null", O_RDONLY | O_CLOEXEC)
    guard nothing >= 0 else { throw .last("open") }
    let input = FileDescriptor(owning: nothing)
    process = try ChildProcess(
      executable: executable, arguments: ["interchange", "worker", setup.stage.instanceID],
      environment: ThisProcess.environment(of: Self.environmentNames) + [Self.noBacktrace],
      descriptors: [0: input.rawValue, 1: standardError, 2: standardError, 3: theirs.rawValue])
  }

  public var processID: Int32 { process.processID }
  /// Readable when the process has ended; then ask ``poll()``.
  public var processDescriptor: Int32 { process.descriptor }
  public var controlDescriptor: Int32 { control.rawValue }

  /// How the worker ended; nil while it runs.
  public func poll() -> End? {
    guard let end = process.poll() else { return nil }
    if let (loop, timer) = killTimer { loop.cancel(timer) }
    killTimer = nil
    switch end {
    case .exited(let code): return WorkerExit(rawValue: code).map { .exited($0) } ?? .exitedOtherwise(code: code)
    case .signalled(let signal): return .signalled(signal)
    }
  }

  /// Gives the worker a segment of the spool, before the first job that lies in it. The descriptor is borrowed.
  ///
  /// - Throws: ``SystemError``: EPIPE when the worker is gone; of `fcntl` when no descriptor is left.
  public func sendSegment(_ number: UInt32, _ descriptor: Int32) throws(SystemError) {
    try send(ControlMessage.segment(number).encoded, descriptor)
  }

  /// Tells the worker that a segment is freed.
  public func forgetSegment(_ number: UInt32) throws(SystemError) {
    try send(ControlMessage.segmentGone(number).encoded, nil)
  }

  /// Messages wait for room: watch ``controlDescriptor`` for writing and call ``flush()`` then. A job whose segment waits
  /// here may be sent all the same, the worker waits for it.
  public var isBlocked: Bool { !outbox.isEmpty }

  public func flush() throws(SystemError) {
    while let (message, file) = outbox.first {
      do throws(SystemError) { try control.send(message, descriptor: file?.file.rawValue) } catch {
        guard error.errno == EAGAIN else { throw error }
        return
      }
      outbox.removeFirst()
    }
  }

  private func send(_ message: [UInt8], _ descriptor: Int32?) throws(SystemError) {
    let file: OwnedFile?
    if let descriptor { file = OwnedFile(try .duplicating(descriptor)) } else { file = nil }
    outbox.append((message, file))
    try flush()
  }

  /// Kills the process when it has not ended by itself after `seconds`; 0 kills it now. Asking it to end is the business
  /// of the frame `stop`.
  public func terminate(afterSeconds seconds: Double, on loop: EventLoop) {
    if let (loop, timer) = killTimer { loop.cancel(timer) }
    killTimer = nil
    guard seconds > 0 else { return process.kill() }
    let timer = loop.timer(afterSeconds: seconds) { [process] in process.kill() }
    killTimer = (loop, timer)
  }

  deinit { if let (loop, timer) = killTimer { loop.cancel(timer) } }
}

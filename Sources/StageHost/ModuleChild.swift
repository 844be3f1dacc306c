internal import Glibc
internal import MailModel
internal import Platform

/// A child process that touches a module in our place, and is killed when it does not come back.
///
/// The child is this executable with the hidden verb `probe`, in a process group of its own, with /dev/null for standard
/// input, output and error and one socket as descriptor 3. Over that it sends frames: one octet of ``Frame``, a 32-bit
/// little-endian count, and so many octets. Each ``ModuleProbeStep`` is sent before it is begun, so that the last one
/// says where the child died. The first frame of another kind is the answer, after which the child is killed: what the
/// module's threads or destructors would do next interests nobody.
///
/// The environment is only PATH and LD_LIBRARY_PATH: a module under examination sees no secrets.
enum ModuleChild {
  enum Frame: UInt8 {
    case step = 1
    case answer = 2
    case refusal = 3
  }

  /// What came of the child.
  enum Ending {
    case answered(Frame, [UInt8])
    case exited(status: Int32)
    case crashed(signal: Int32)
    case hung
    case garbled
  }

  /// The descriptor over which a child answers.
  static let answerDescriptor: Int32 = 3

  /// Runs a child to its answer, its end or the deadline; it is gone when this returns.
  ///
  /// - Throws: ``SystemError`` when there is no child: no descriptors, no memory, no executable.
  static func run(
    _ executable: String, _ arguments: [String], deadlineSeconds: Double
  ) throws(SystemError) -> (ending: Ending, step: ModuleProbeStep) {
    var pair: [Int32] = [-1, -1]
    let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
    guard socketpair(AF_UNIX, type, 0, &pair) == 0 else { throw .last("socketpair") }
    let ours = FileDescriptor(owning: pair[0])
    let child = try start(executable, arguments, answer: FileDescriptor(owning: pair[1]))
    // With all that it left in its group. Called before the child is reaped: the number is still its own.
    func killGroup() { _ = kill(-child.processID, SIGKILL) }
    var conversation = Conversation()
    let end = MonotonicTime.now().nanoseconds + Int64(deadlineSeconds * 1e9)
    while true {
      let left = (end - MonotonicTime.now().nanoseconds) / 1_000_000
      guard left > 0 else {
        killGroup()
        return (.hung, conversation.step)
      }
      // When the socket is closed but the child lives on, only its end or the deadline matters.
      var entries = [
        pollfd(fd: child.descriptor, events: Int16(POLLIN), revents: 0),
        pollfd(fd: conversation.isClosed ? -1 : ours.rawValue, events: Int16(POLLIN), revents: 0),
      ]
      // EINTR and time-outs come back here and look at the clock.
      _ = poll(&entries, 2, Int32(min(left + 1, 60_000)))
      let isOver = entries[0].revents != 0
      // The child's last words are in the socket before its end can be seen.
      if let ending = conversation.read(from: ours.rawValue) {
        killGroup()
        return (ending, conversation.step)
      }
      if isOver {
        killGroup()
        switch child.wait() {
        case .exited(let status): return (.exited(status: status), conversation.step)
        case .signalled(let signal): return (.crashed(signal: signal), conversation.step)
        case nil: return (.hung, conversation.step)
        }
      }
    }
  }

  private static func start(
    _ executable: String, _ arguments: [String], answer: consuming FileDescriptor
  ) throws(SystemError) -> ChildProcess {
    let number = open("/dev/null", O_RDWR | O_CLOEXEC)
    guard number >= 0 else { throw .last("open") }
    let null = FileDescriptor(owning: number)
    let inherited = ["PATH", "LD_LIBRARY_PATH"].compactMap { (name: String) in
      getenv(name).map { "\(name)=\(String(cString: $0))" }
    }
    return try ChildProcess(
      executable: executable, arguments: ["interchange", "probe"] + arguments,
      // Swift's backtracer would spend seconds on a crash that is expected here.
      environment: ["SWIFT_BACKTRACE=enable=no"] + inherited,
      descriptors: [0: null.rawValue, 1: null.rawValue, 2: null.rawValue, answerDescriptor: answer.rawValue])
  }

  /// What the child has said so far.
  private struct Conversation {
    var step = ModuleProbeStep.starting
    private(set) var isClosed = false
    private var octets: [UInt8] = []

    /// Reads all there is; an ending when the answer, or nonsense, is in it.
    mutating func read(from socket: Int32) -> Ending? {
      var buffer = [UInt8](repeating: 0, count: 64 * 1024)
      while !isClosed {
        let got = recv(socket, &buffer, buffer.count, Int32(MSG_DONTWAIT))
        if got < 0 && errno == EINTR { continue }
        if got < 0 { break }
        if got == 0 { isClosed = true }
        octets += buffer[..<got]
        if octets.count > ModuleLimits.descriptionOctetsMax { return .garbled }
      }
      while octets.count >= 5 {
        let count = (1...4).reduce(0) { $0 | Int(octets[$1]) << (8 * ($1 - 1)) }
        guard let frame = Frame(rawValue: octets[0]), count <= ModuleLimits.descriptionOctetsMax else {
          return .garbled
        }
        guard octets.count >= 5 + count else { return nil }
        let content = Array(octets[5..<5 + count])
        octets.removeFirst(5 + count)
        switch frame {
        case .step:
          guard content.count == 1, let step = ModuleProbeStep(rawValue: content[0]) else { return .garbled }
          self.step = step
        case .answer, .refusal: return .answered(frame, content)
        }
      }
      return nil
    }
  }
}

/// The other end: what the child says.
struct ModuleChildAnswer {
  func send(_ step: ModuleProbeStep) { send(.step, [step.rawValue]) }

  func send(_ frame: ModuleChild.Frame, _ content: [UInt8]) {
    var writer = WireWriter(reserving: content.count + 5)
    writer.write(frame.rawValue)
    writer.write(content)
    var sent = 0
    while sent < writer.octets.count {
      let count = writer.octets.withUnsafeBytes { octets in
        Glibc.send(
          ModuleChild.answerDescriptor, octets.baseAddress.map { $0 + sent }, octets.count - sent,
          Int32(MSG_NOSIGNAL))
      }
      if count < 0 && errno == EINTR { continue }
      // Nobody listens: the parent has given up or died.
      guard count > 0 else { return }
      sent += count
    }
  }

  /// Prepares the process for a module: it dies with its parent and leaves no core file.
  static func settle() {
    ThisProcess.dieWithParent()
    var none = rlimit(rlim_cur: 0, rlim_max: 0)
    setrlimit(__rlimit_resource_t(4), &none)  // RLIMIT_CORE
  }
}

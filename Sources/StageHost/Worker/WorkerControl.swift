internal import Glibc
internal import MailModel
internal import Platform
internal import Synchronization

/// The worker's end of the control socket. Thread: any.
final class WorkerControl: Sendable {
  private let socket: UnixSocket
  private let state = Mutex(State())

  private struct State: Sendable {
    var segments: [UInt32: OwnedFile] = [:]
    /// Said to be gone, and not yet told to whoever keeps mappings.
    var gone: [UInt32] = []
    var isClosed = false
  }

  /// A descriptor that several may hold.
  final class OwnedFile: Sendable {
    let file: FileDescriptor
    init(_ file: consuming FileDescriptor) { self.file = file }
  }

  /// What the host says before `begin`.
  struct Beginning {
    let setup: WorkerSetup
    let region: OwnedFile
    let chunkCount: Int
    let stageBell: OwnedFile
    let hostBell: OwnedFile
  }

  init(_ socket: UnixSocket) { self.socket = socket }

  var rawValue: Int32 { socket.rawValue }

  /// Reads up to `begin`, and does not block from then on. Nil when the host says something else, or goes.
  func begin() -> Beginning? {
    var setup: WorkerSetup?
    var region: OwnedFile?
    var chunkCount = 0
    var bells: (stage: OwnedFile?, host: OwnedFile?)
    while case .message(let message, let file) = receive() {
      switch message {
      case .setup(let octets):
        guard let file, let read = Self.readSetup(file, octets: octets) else { return nil }
        setup = read
      case .region(let count):
        chunkCount = Int(count)
        region = file
      case .stageBell: bells.stage = file
      case .hostBell: bells.host = file
      case .begin:
        guard let setup, let region, let stageBell = bells.stage, let hostBell = bells.host else { return nil }
        do throws(SystemError) { try socket.setNonBlocking() } catch { return nil }
        return Beginning(
          setup: setup, region: region, chunkCount: chunkCount, stageBell: stageBell, hostBell: hostBell)
      case .segment, .segmentGone: return nil
      }
    }
    return nil
  }

  private static func readSetup(_ file: OwnedFile, octets: UInt64) -> WorkerSetup? {
    guard let count = Int(exactly: octets), count > 0, count <= Limits.envelopeOctetsMax else { return nil }
    do {
      let region = try SharedRegion(attaching: try file.file.duplicate(), octetsMin: count)
      // SAFETY: `count` octets were found to be there; copied before they are judged.
      return try WorkerSetup(encoded: Array(UnsafeRawBufferPointer(start: region.base, count: count)))
    } catch { return nil }
  }

  private enum Received {
    case message(ControlMessage, OwnedFile?)
    case nothing
    /// The end, or nonsense, which comes to the same.
    case closed
  }

  private func receive() -> Received {
    do throws(SystemError) {
      guard var message = try socket.receive() else { return .closed }
      let file: OwnedFile?
      if let descriptor = message.takeDescriptor() { file = OwnedFile(descriptor) } else { file = nil }
      do throws(WireCodingError) { return .message(try ControlMessage(encoded: message.octets), file) } catch {
        return .closed
      }
    } catch { return error.errno == EAGAIN ? .nothing : .closed }
  }

  /// Takes in what the host has sent; the segments that are gone. Nil when the host is gone.
  func drain() -> [UInt32]? {
    state.withLock { state in
      take(&state)
      defer { state.gone = [] }
      return state.isClosed ? nil : state.gone
    }
  }

  private func take(_ state: inout State) {
    while !state.isClosed {
      switch receive() {
      case .message(.segment(let number), let file): state.segments[number] = file
      case .message(.segmentGone(let number), _):
        state.segments[number] = nil
        state.gone.append(number)
      case .message, .closed: state.isClosed = true
      case .nothing: return
      }
    }
  }

  /// A descriptor of a segment. The host sends it before the first job that lies in it, on another way than the job,
  /// which may be the quicker one: waits.
  func segment(_ number: UInt32) -> FileDescriptor? {
    let deadline = MonotonicTime.now().advanced(bySeconds: RunnerLimits.segmentWaitSeconds)
    while true {
      let (found, isClosed) = state.withLock { state -> (OwnedFile?, Bool) in
        if let known = state.segments[number] { return (known, false) }
        take(&state)
        return (state.segments[number], state.isClosed)
      }
      if let found {
        do throws(SystemError) { return try found.file.duplicate() } catch { return nil }
      }
      let left = deadline.seconds(since: .now())
      guard !isClosed, left > 0 else { return nil }
      // Another thread may read what this one waits for: look again before long.
      _ = socket.waitReadable(timeoutSeconds: min(left, 0.1))
    }
  }
}

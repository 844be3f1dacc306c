import Foundation
import Platform
import Testing

/// Why a test cannot go on: what was waited for, and what the program said last.
struct Overdue: Error, CustomStringConvertible {
  var what: String
  var lastLines: [String]
  var description: String { "overdue: \(what)\n" + lastLines.suffix(25).joined(separator: "\n") }
}

/// What a program has said and how it ended; the threads that read and reap hold this, not the program, so that
/// dropping the program kills it. Thread: any.
private final class ProgramRecord: @unchecked Sendable {
  // SAFETY: all is used under the condition's lock.
  let condition = NSCondition()
  var lines: [String] = []
  var isRead = false
  var status: Int32?

  func read(_ descriptor: Int32) {
    var rest: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { break }
      rest += buffer[..<count]
      var found: [String] = []
      var start = 0
      while let end = rest[start...].firstIndex(of: 0x0A) {
        found.append(String(decoding: rest[start..<end], as: UTF8.self))
        start = end + 1
      }
      rest.removeFirst(start)
      guard !found.isEmpty else { continue }
      condition.withLock {
        lines += found
        condition.broadcast()
      }
    }
    close(descriptor)
    condition.withLock {
      if !rest.isEmpty { lines.append(String(decoding: rest, as: UTF8.self)) }
      isRead = true
      condition.broadcast()
    }
  }

  func reap(_ processID: Int32) {
    // Waits without taking the number away, so that `kill` never hits another process.
    var information = siginfo_t()
    while waitid(P_PID, id_t(processID), &information, WEXITED | WNOWAIT) < 0, errno == EINTR {}
    condition.withLock {
      var value: Int32 = 0
      while waitpid(processID, &value, 0) < 0, errno == EINTR {}
      status = value
      condition.broadcast()
    }
  }
}

/// A program under test's control: its output is read as it comes, waiting is for lines with a deadline, and it is dead
/// when this is gone, or when the tests are. Thread: any.
final class Program: Sendable {
  let name: String
  let processID: Int32
  private let record = ProgramRecord()
  private let input: Int32

  /// Seconds for anything to happen; events end a wait, not time.
  static let patience = 60.0

  /// - Parameter merged: Standard error comes in the same lines; otherwise it is the tests' own.
  init(_ arguments: [String], directory: String? = nil, merged: Bool = true) throws {
    name = arguments.first.map { ($0 as NSString).lastPathComponent } ?? ""
    var wrapped = ["setpriv", "--pdeathsig", "KILL", "--"]
    if let directory { wrapped += ["env", "-C", directory] }
    wrapped += arguments
    var outputs: [Int32] = [-1, -1]
    var inputs: [Int32] = [-1, -1]
    let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    guard socketpair(AF_UNIX, kind, 0, &outputs) == 0, socketpair(AF_UNIX, kind, 0, &inputs) == 0 else {
      throw SystemError.last("socketpair")
    }
    input = inputs[1]
    defer {
      close(outputs[1])
      close(inputs[0])
    }
    let child = try Starter.shared.start(wrapped, input: inputs[0], output: outputs[1], error: merged ? outputs[1] : 2)
    processID = child
    let (record, descriptor) = (record, outputs[0])
    Foundation.Thread.detachNewThread { record.read(descriptor) }
    Foundation.Thread.detachNewThread { record.reap(child) }
  }

  deinit {
    close(input)
    kill(SIGKILL)
  }

  var output: [String] { record.condition.withLock { record.lines } }

  /// The first answer that `find` has for the lines, which are all lines so far.
  func wait<Found>(
    _ what: String, seconds: Double = Program.patience, for find: ([String]) throws -> Found?
  ) throws -> Found {
    let deadline = Date(timeIntervalSinceNow: seconds)
    record.condition.lock()
    defer { record.condition.unlock() }
    while true {
      if let found = try find(record.lines) { return found }
      if record.isRead, record.status != nil { throw Overdue(what: "\(name) ended before: \(what)", lastLines: record.lines) }
      guard record.condition.wait(until: deadline) else {
        throw Overdue(what: "\(name): \(what)", lastLines: record.lines)
      }
    }
  }

  func wait(forLine text: String, seconds: Double = Program.patience) throws -> String {
    var looked = 0
    return try wait("a line with \"\(text)\"", seconds: seconds) { lines in
      defer { looked = lines.count }
      return lines[looked...].first { $0.contains(text) }
    }
  }

  /// The end: the exit code, or the signal below zero.
  @discardableResult
  func end(seconds: Double = Program.patience) throws -> Int32 {
    let deadline = Date(timeIntervalSinceNow: seconds)
    record.condition.lock()
    defer { record.condition.unlock() }
    while record.status == nil || !record.isRead {
      guard record.condition.wait(until: deadline) else { throw Overdue(what: "\(name) to end", lastLines: record.lines) }
    }
    let value = record.status ?? 0
    return value & 0x7f == 0 ? (value >> 8) & 0xff : -(value & 0x7f)
  }

  var hasEnded: Bool { record.condition.withLock { record.status != nil } }

  /// Only while it has not been waited for, so that the number is nobody else's.
  func kill(_ signal: Int32) {
    record.condition.withLock {
      if record.status == nil { _ = Glibc.kill(processID, signal) }
    }
  }

  func closeInput() { shutdown(input, Int32(SHUT_RDWR)) }

  /// Runs to its end and gives its output. A code other than `expected` fails the test.
  @discardableResult
  static func run(
    _ arguments: [String], directory: String? = nil, expecting expected: Int32? = 0, seconds: Double = patience,
    _ location: SourceLocation = #_sourceLocation
  ) throws -> String {
    let program = try Program(arguments, directory: directory)
    program.closeInput()
    let code = try program.end(seconds: seconds)
    let text = program.output.joined(separator: "\n")
    if let expected {
      #expect(code == expected, "\(arguments.joined(separator: " ")):\n\(text)", sourceLocation: location)
    }
    return text
  }
}

/// Starts processes on one thread that lasts as long as the tests: the parent-death signal comes when the *thread* that
/// started a process ends.
private final class Starter: @unchecked Sendable {
  // SAFETY: `waiting` is used under the condition's lock.
  static let shared = Starter()
  private let condition = NSCondition()
  private var waiting: [() -> Void] = []

  init() {
    Foundation.Thread.detachNewThread { [self] in
      while true {
        condition.lock()
        while waiting.isEmpty { condition.wait() }
        let next = waiting.removeFirst()
        condition.unlock()
        next()
      }
    }
  }

  func start(_ arguments: [String], input: Int32, output: Int32, error: Int32) throws -> Int32 {
    let done = DispatchSemaphore(value: 0)
    nonisolated(unsafe) var result: Result<Int32, SystemError> = .success(0)
    condition.withLock {
      waiting.append {
        result = Self.spawn(arguments, input, output, error)
        done.signal()
      }
      condition.signal()
    }
    done.wait()
    return try result.get()
  }

  private static func spawn(
    _ arguments: [String], _ input: Int32, _ output: Int32, _ error: Int32
  ) -> Result<Int32, SystemError> {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, input, 0)
    posix_spawn_file_actions_adddup2(&actions, output, 1)
    posix_spawn_file_actions_adddup2(&actions, error, 2)
    // A thread of a pool may have signals blocked; the program shall not.
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    var all = sigset_t()
    sigemptyset(&none)
    sigfillset(&all)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
    var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
    defer { for pointer in pointers { free(pointer) } }
    var processID: pid_t = 0
    let code = posix_spawnp(&processID, arguments[0], &actions, &attributes, &pointers, environ)
    return code == 0 ? .success(processID) : .failure(SystemError("posix_spawn", errno: code))
  }
}

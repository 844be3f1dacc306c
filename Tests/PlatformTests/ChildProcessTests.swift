import Glibc
import Testing

@testable import Platform

private func shell(_ script: String, descriptors: [Int32: Int32] = [:]) throws -> ChildProcess {
  try ChildProcess(executable: "/bin/sh", arguments: ["sh", "-c", script], descriptors: descriptors)
}

@Suite struct ChildProcessTests {
  @Test func `an exit says its code, for ever`() throws {
    let child = try shell("exit 7")
    #expect(child.wait() == .exited(code: 7))
    #expect(child.poll() == .exited(code: 7))
    child.kill()
  }

  @Test func `an end by a signal says the signal`() throws {
    let child = try shell("kill -SEGV $$")
    #expect(child.wait() == .signalled(SIGSEGV))
  }

  @Test func `a kill ends a child that would run for ever`() throws {
    let (ours, theirs) = try UnixSocket.pair()
    let child = try shell("read line <&0", descriptors: [0: theirs.rawValue])
    #expect(child.poll() == nil)
    #expect(child.wait(timeoutSeconds: 0) == nil)
    child.kill()
    #expect(child.wait(timeoutSeconds: 60) == .signalled(SIGKILL))
    withExtendedLifetime(ours) {}
  }

  @Test func `the event loop is told of the end`() throws {
    let loop = try EventLoop()
    let child = try shell("exit 0")
    var end: ChildProcess.End?
    try loop.watch(child.descriptor, .readable) { _ in
      end = child.poll()
      loop.unwatch(child.descriptor)
    }
    while end == nil { try loop.runOnce() }
    #expect(end == .exited(code: 0))
  }

  @Test func `a program that is not there is an error of the start`() {
    #expect(throws: SystemError("posix_spawn", errno: ENOENT)) {
      _ = try ChildProcess(executable: "/nonexistent/program", arguments: ["program"], descriptors: [:])
    }
  }

  @Test func `a child has the descriptors it was given and no others, even when numbers cross`() throws {
    let (ours, theirs) = try UnixSocket.pair()
    let (second, _) = try UnixSocket.pair()
    // One's source is the other's target.
    let child = try shell(
      "exec ls /proc/self/fd >&5", descriptors: [5: theirs.rawValue, theirs.rawValue: second.rawValue])
    #expect(child.wait() == .exited(code: 0))
    let octets = try ours.receive()?.octets
    let lines = String(decoding: try #require(octets), as: UTF8.self).split(separator: "\n")
    // 0 is the directory that ls reads; the standard three were not given.
    #expect(Set(lines) == ["0", "1", "5", "\(theirs.rawValue)"])
  }

  @Test func `a child's environment is what was given`() throws {
    let child = try ChildProcess(
      executable: "/bin/sh", arguments: ["sh", "-c", "test \"$A\" = 1 -a -z \"$HOME\""], environment: ["A=1"],
      descriptors: [:])
    #expect(child.wait() == .exited(code: 0))
  }

  @Test func `a child starts with signals unblocked and not ignored`() throws {
    signal(SIGPIPE, SIG_IGN)
    let child = try shell("kill -PIPE $$")
    #expect(child.wait() == .signalled(SIGPIPE))
  }
}

@Suite struct UnixSocketTests {
  @Test func `messages keep their borders and descriptors travel with them`() throws {
    let (left, right) = try UnixSocket.pair()
    let bell = try EventFD()
    try left.send([1, 2, 3], descriptor: bell.rawValue)
    try left.send([4])
    guard var first = try right.receive(), let second = try right.receive() else {
      Issue.record("nothing came")
      return
    }
    let octets = [first.octets, second.octets]
    let secondHas = second.hasDescriptor
    #expect(octets == [[1, 2, 3], [4]] && !secondHas)
    guard let file = first.takeDescriptor() else {
      Issue.record("no descriptor came")
      return
    }
    bell.signal()
    let isRung = EventFD(owning: file).drain()
    let stillHas = first.hasDescriptor
    #expect(isRung && !stillHas)
  }

  @Test func `the end is seen on both sides`() throws {
    let (left, right) = try UnixSocket.pair()
    try left.send([1])
    shutdown(left.rawValue, Int32(SHUT_RDWR))
    let first = try right.receive()?.octets
    #expect(first == [1])
    let isOver = try right.receive() == nil
    #expect(isOver)
    #expect(throws: SystemError("sendmsg", errno: EPIPE)) { try right.send([1]) }
  }

  @Test func `a full or an empty socket that must not block says so`() throws {
    let (left, right) = try UnixSocket.pair()
    try left.setNonBlocking()
    try right.setNonBlocking()
    #expect(throws: SystemError("recvmsg", errno: EAGAIN)) { _ = try right.receive() }
    let message = [UInt8](repeating: 0, count: UnixSocket.messageOctetsMax)
    #expect(throws: SystemError("sendmsg", errno: EAGAIN)) { for _ in 0..<1000 { try left.send(message) } }
  }
}

import Glibc
import MailModel
import Synchronization
import Testing

@testable import Platform

/// Both ends of a pipe, closed at the end of the test.
private final class Pipe {
  let reader: Int32
  let writer: Int32
  private var isWriterOpen = true

  init() throws {
    var ends: [Int32] = [0, 0]
    try #require(pipe(&ends) == 0)
    reader = ends[0]
    writer = ends[1]
  }

  func put() { #expect(write(writer, "x", 1) == 1) }
  func take() {
    var octet: UInt8 = 0
    #expect(read(reader, &octet, 1) == 1)
  }

  func closeWriter() {
    if isWriterOpen { close(writer) }
    isWriterOpen = false
  }

  deinit {
    closeWriter()
    close(reader)
  }
}

@Suite struct EventLoopTests {
  @Test func `a readable descriptor is reported until it has been read`() throws {
    let loop = try EventLoop()
    let pipe = try Pipe()
    var seen: [DescriptorEvents] = []
    try loop.watch(pipe.reader, .readable) { seen.append($0) }
    try loop.runOnce(timeoutSeconds: 0)
    #expect(seen.isEmpty)
    pipe.put()
    try loop.runOnce()
    try loop.runOnce()
    #expect(seen == [.readable, .readable])
    pipe.take()
    try loop.runOnce(timeoutSeconds: 0)
    #expect(seen.count == 2)
  }

  @Test func `watching again replaces events and closure`() throws {
    let loop = try EventLoop()
    let pipe = try Pipe()
    var first = 0
    var second: [DescriptorEvents] = []
    try loop.watch(pipe.reader, .readable) { _ in first += 1 }
    try loop.watch(pipe.reader, []) { second.append($0) }
    pipe.put()
    try loop.runOnce(timeoutSeconds: 0)
    #expect(first == 0 && second.isEmpty)
    pipe.closeWriter()
    try loop.runOnce()
    #expect(first == 0 && second == [.hangup])
  }

  @Test func `a hangup comes with what was asked for`() throws {
    let loop = try EventLoop()
    let pipe = try Pipe()
    var seen: DescriptorEvents = []
    try loop.watch(pipe.reader, .readable) { seen = $0 }
    pipe.closeWriter()
    try loop.runOnce()
    #expect(seen == [.readable, .hangup])
  }

  @Test func `unwatch drops what the kernel has reported already`() throws {
    let loop = try EventLoop()
    let pipes = try (0..<2).map { _ in try Pipe() }
    var calls = 0
    for pipe in pipes {
      try loop.watch(pipe.reader, .readable) { _ in
        calls += 1
        for other in pipes { loop.unwatch(other.reader) }
      }
      pipe.put()
    }
    try loop.runOnce()
    try loop.runOnce(timeoutSeconds: 0)
    #expect(calls == 1)
  }

  @Test func `a reported event does not reach a new watch of the same number`() throws {
    let loop = try EventLoop()
    let pipes = try (0..<2).map { _ in try Pipe() }
    var new = 0
    for pipe in pipes {
      try loop.watch(pipe.reader, .readable) { _ in
        for other in pipes {
          loop.unwatch(other.reader)
          do { try loop.watch(other.reader, []) { _ in new += 1 } } catch { Issue.record(error) }
        }
      }
      pipe.put()
    }
    try loop.runOnce()
    #expect(new == 0)
  }

  @Test func `a descriptor that is no open file, or always ready, is refused`() throws {
    let loop = try EventLoop()
    #expect(throws: SystemError("epoll_ctl", errno: EBADF)) { try loop.watch(-1, .readable) { _ in } }
    let file = try SharedRegion(creating: 1, name: "file")
    #expect(throws: SystemError("epoll_ctl", errno: EPERM)) { try loop.watch(file.file.rawValue, .readable) { _ in } }
  }

  @Test func `thousands of descriptors are all reported`() throws {
    let loop = try EventLoop()
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    let count = min(4000, Int(limit.rlim_cur) - 200)
    var bells: [Int32] = []
    var rung = 0
    for _ in 0..<count {
      let bell = try EventFD()
      bell.signal()
      let descriptor = bell.file.rawValue
      bells.append(dup(descriptor))
    }
    defer { for bell in bells { close(bell) } }
    for bell in bells {
      try loop.watch(bell, .readable) { _ in
        rung += 1
        loop.unwatch(bell)
      }
    }
    for _ in 0..<(count / 512 + 2) { try loop.runOnce(timeoutSeconds: 0) }
    #expect(rung == count)
  }

  @Test func `timers fire in order, once, and not before their time`() throws {
    let loop = try EventLoop()
    var fired: [Int] = []
    let start = MonotonicTime.now()
    _ = loop.timer(afterSeconds: 0.02) {
      #expect(MonotonicTime.now().seconds(since: start) >= 0.02)
      fired.append(3)
    }
    let first = loop.timer(afterSeconds: 0) { fired.append(1) }
    _ = loop.timer(afterSeconds: -1) { fired.append(2) }
    while fired.count < 3 { try loop.runOnce() }
    try loop.runOnce(timeoutSeconds: 0)
    #expect(fired == [1, 2, 3] || fired == [2, 1, 3])
    #expect(!loop.cancel(first))
  }

  @Test func `a cancelled timer does not fire, not even when it was due in the same turn`() throws {
    let loop = try EventLoop()
    var second: TimerNumber?
    var fired = 0
    _ = loop.timer(afterSeconds: 0) {
      fired += 1
      if let second { #expect(loop.cancel(second)) }
    }
    second = loop.timer(afterSeconds: 0) { fired += 10 }
    let third = loop.timer(afterSeconds: 0) { fired += 100 }
    #expect(loop.cancel(third) && !loop.cancel(third))
    for _ in 0..<3 { try loop.runOnce(timeoutSeconds: 0.001) }
    #expect(fired == 1)
  }

  @Test func `a timer that sets itself again leaves the descriptors their turn`() throws {
    let loop = try EventLoop()
    let pipe = try Pipe()
    var fired = 0
    func again() {
      fired += 1
      _ = loop.timer(afterSeconds: 0, again)
    }
    again()
    var isReady = false
    try loop.watch(pipe.reader, .readable) { _ in isReady = true }
    pipe.put()
    try loop.runOnce()
    try loop.runOnce()
    #expect(isReady && fired == 3)
  }

  @Test func `ten thousand timers, most of them cancelled, fire in the order of their moments`() throws {
    var heap = TimerHeap()
    var fired: [Int] = []
    var numbers: [TimerNumber] = []
    for index in 0..<10_000 {
      let moment = MonotonicTime(nanoseconds: Int64(index * 7919 % 10_000))
      numbers.append(heap.add(at: moment) { fired.append(Int(moment.nanoseconds)) })
    }
    for (index, number) in numbers.enumerated() where index % 10 != 0 {
      let wasLive = heap.remove(number)
      #expect(wasLive)
    }
    for number in heap.takeDue(at: MonotonicTime(nanoseconds: 10_000)) { heap.take(number)?() }
    let next = heap.next
    #expect(fired.count == 1000 && fired == fired.sorted() && next == nil)
  }

  @Test func `calls posted by other threads run on the loop's thread, in order`() throws {
    let loop = try EventLoop()
    let seen = Mutex<[Int]>([])
    let box = PostBox(loop, seen: { value in seen.withLock { $0.append(value) } })
    var thread = pthread_t()
    let user = Unmanaged.passRetained(box).toOpaque()
    #expect(pthread_create(&thread, nil, postMany, user) == 0)
    while seen.withLock({ $0.count }) < 1000 { try loop.runOnce() }
    pthread_join(thread, nil)
    #expect(seen.withLock { $0 } == Array(0..<1000))
    #expect(box.wasOnLoopThread)
  }

  @Test func `after closePosts a post is refused and what was waiting runs`() throws {
    let loop = try EventLoop()
    var calls = 0
    #expect(loop.post { calls += 1 })
    loop.closePosts()
    #expect(!loop.post { calls += 1 })
    try loop.runOnce()
    #expect(calls == 1)
  }

  @Test func `the hook is asked before each sleep, and its work keeps the turn from sleeping`() throws {
    let loop = try EventLoop()
    var left = 2
    loop.prepareToSleep = {
      left -= 1
      if left == 0 { loop.wake() }
      return left <= 0
    }
    try loop.runOnce()
    #expect(left == 1)
    try loop.runOnce()
    #expect(left == 0)
  }

  @Test func `a doorbell that was handed in wakes the loop`() throws {
    let bell = try EventFD()
    let other = EventFD(owning: try bell.file.duplicate())
    let loop = try EventLoop(doorbell: bell)
    other.signal()
    try loop.runOnce()
    try loop.runOnce(timeoutSeconds: 0)
    let isStillRinging = other.drain()
    #expect(!isStillRinging)
  }
}

private final class PostBox: @unchecked Sendable {
  let loop: EventLoop
  let seen: @Sendable (Int) -> Void
  var wasOnLoopThread = true

  init(_ loop: EventLoop, seen: @escaping @Sendable (Int) -> Void) {
    self.loop = loop
    self.seen = seen
  }
}

private func postMany(_ user: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  let box = Unmanaged<PostBox>.fromOpaque(user!).takeRetainedValue()
  for index in 0..<1000 {
    let isTaken = box.loop.post {
      box.wasOnLoopThread = box.wasOnLoopThread && box.loop.isOnLoopThread
      box.seen(index)
    }
    #expect(isTaken)
  }
  return nil
}

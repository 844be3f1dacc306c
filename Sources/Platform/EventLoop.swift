// Waiting for descriptors, timers and other threads, on one thread.
//
// A turn (`runOnce`) is: ask `prepareToSleep` whether other work is waiting; sleep in epoll(7) until something happens;
// read the clock once; run what is ready: watched descriptors, then posted calls, then due timers.
//
// Invariants:
// 1. Everything but `post`, `wake` and `isOnLoopThread` is called on the loop's thread: the one that made it, or the
//    one that last called `bindToCurrentThread`.
// 2. After `unwatch` returns, the watch's closure is not called any more, even when the kernel has reported it already:
//    every watch has a generation number, which travels through epoll's user data and must match when it comes back.
//    A descriptor number that is closed and used again within one turn is a new generation.
// 3. A timer fires at most once, and never early. One that a timer sets fires in a later turn, so that a timer that sets
//    itself again does not starve the descriptors. Timers of the same moment fire in the order in which they were set.
// 4. Posted calls run in the order in which they were posted. One posted by a posted call runs in the next turn, so that
//    a call that posts itself again does not starve the descriptors.
// 5. Between the hook and the sleep nothing is lost: whoever makes work visible to the hook rings the doorbell
//    afterwards, and a rung doorbell ends the sleep at once.
//
// Bounds: descriptors as the process may have; `postsMax` posted calls at once; timers as memory allows.

internal import CPlatform
internal import Glibc
public import MailModel
internal import Synchronization

/// What a descriptor is ready for, or is watched for.
public struct DescriptorEvents: OptionSet, Hashable, Sendable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  public static let readable = DescriptorEvents(rawValue: 1)
  public static let writable = DescriptorEvents(rawValue: 2)
  /// The other side is gone in both directions, or an error is pending. Reported whether asked for or not, together
  /// with what was asked for, so that the next read or write shows the error.
  public static let hangup = DescriptorEvents(rawValue: 4)
}

/// Names a timer that has been set; never used again in the same loop, never 0.
public struct TimerNumber: Hashable, Sendable {
  public let rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue }
}

public final class EventLoop: @unchecked Sendable {
  // SAFETY: Sendable by invariant 1; `posts` has its own lock, and the doorbell and `postsMax` never change.

  public typealias Ready = (DescriptorEvents) -> Void

  /// Posted calls that may wait at once; more are refused.
  public static let postsMax = 1 << 20
  private static let eventsPerTurn = 512
  private static let doorbellToken = UInt64.max

  private struct Watch {
    var generation: UInt32
    var events: DescriptorEvents
    var ready: Ready
  }

  private struct Post: @unchecked Sendable {
    // SAFETY: run on the loop's thread only; the poster says that this is right.
    let call: () -> Void
  }

  private struct Posts: Sendable {
    var waiting: [Post] = []
    var isClosed = false
  }

  private let epoll: FileDescriptor
  private let doorbell: EventFD
  private let posts = Mutex(Posts())
  private var thread: pthread_t
  private var watches: [Watch?] = []
  private var generation: UInt32 = 0
  private var timers = TimerHeap()
  private var isInTurn = false
  private let events: UnsafeMutablePointer<epoll_event>

  /// When the current turn woke up; what runs in it uses this instead of reading a clock.
  public private(set) var now: MonotonicTime

  /// Called before each sleep, on the loop's thread: does or looks for work that no descriptor announces. False when
  /// some may be left, so that the turn must not sleep.
  public var prepareToSleep: (() -> Bool)?

  /// - Parameter doorbell: Ends the sleep when rung, by any thread or process that holds it; nil makes one.
  /// - Throws: ``SystemError`` of `eventfd`, `epoll_create1` or `epoll_ctl`.
  public init(doorbell: consuming EventFD? = nil) throws(SystemError) {
    let epoll = epoll_create1(Int32(CPLATFORM_EPOLL_CLOEXEC))
    guard epoll >= 0 else { throw .last("epoll_create1") }
    self.epoll = FileDescriptor(owning: epoll)
    if let doorbell { self.doorbell = doorbell } else { self.doorbell = try EventFD() }
    self.thread = pthread_self()
    self.now = .now()
    self.events = .allocate(capacity: Self.eventsPerTurn)
    var event = epoll_event(events: UInt32(CPLATFORM_EPOLLIN), data: epoll_data_t(u64: Self.doorbellToken))
    guard epoll_ctl(epoll, Int32(CPLATFORM_EPOLL_ADD), self.doorbell.rawValue, &event) == 0 else {
      throw .last("epoll_ctl")
    }
  }

  deinit { events.deallocate() }

  /// The doorbell's descriptor, to be handed to whoever shall be able to wake this loop. The loop keeps it.
  public var doorbellDescriptor: Int32 { doorbell.rawValue }

  /// Makes the calling thread the loop's own. Only while no other thread is in the loop.
  public func bindToCurrentThread() { thread = pthread_self() }

  /// Thread: any.
  public var isOnLoopThread: Bool { pthread_equal(thread, pthread_self()) != 0 }

  // MARK: Descriptors

  /// Calls `ready` whenever the descriptor is so, level-triggered, until ``unwatch(_:)``. For a descriptor that is being
  /// watched, replaces events and closure. No events: only ``DescriptorEvents/hangup``.
  ///
  /// The caller keeps the descriptor and calls ``unwatch(_:)`` before it closes it.
  ///
  /// - Throws: ``SystemError`` of `epoll_ctl`: EPERM for a file that is always ready, EBADF for no open file. Nothing is
  ///   watched then.
  public func watch(
    _ descriptor: Int32, _ events: DescriptorEvents, _ ready: @escaping Ready
  ) throws(SystemError) {
    guard descriptor >= 0 else { throw SystemError("epoll_ctl", errno: EBADF) }
    let index = Int(descriptor)
    let isWatched = index < watches.count && watches[index] != nil
    generation &+= 1
    // The doorbell's token has every bit set, which a descriptor's never has: a descriptor is positive.
    var event = epoll_event(
      events: mask(events), data: epoll_data_t(u64: UInt64(generation) << 32 | UInt64(UInt32(bitPattern: descriptor))))
    var result = control(isWatched ? CPLATFORM_EPOLL_MOD : CPLATFORM_EPOLL_ADD, descriptor, &event)
    // The number was closed without unwatch and opened anew, or the file behind it is known by a duplicate.
    if result == ENOENT { result = control(CPLATFORM_EPOLL_ADD, descriptor, &event) }
    if result == EEXIST { result = control(CPLATFORM_EPOLL_MOD, descriptor, &event) }
    guard result == 0 else {
      if isWatched { watches[index] = nil }
      throw SystemError("epoll_ctl", errno: result)
    }
    while watches.count <= index { watches.append(nil) }
    watches[index] = Watch(generation: generation, events: events, ready: ready)
  }

  /// Ends a watch; its closure is freed and not called any more. Nothing happens for a descriptor without a watch.
  public func unwatch(_ descriptor: Int32) {
    guard descriptor >= 0, Int(descriptor) < watches.count, watches[Int(descriptor)] != nil else { return }
    watches[Int(descriptor)] = nil
    var event = epoll_event()
    // Fails when the descriptor is closed already, which has ended the watch in the kernel too.
    _ = control(CPLATFORM_EPOLL_DEL, descriptor, &event)
  }

  private func control(_ operation: Int, _ descriptor: Int32, _ event: inout epoll_event) -> Int32 {
    epoll_ctl(epoll.rawValue, Int32(operation), descriptor, &event) == 0 ? 0 : errno
  }

  private func mask(_ events: DescriptorEvents) -> UInt32 {
    (events.contains(.readable) ? UInt32(CPLATFORM_EPOLLIN) : 0)
      | (events.contains(.writable) ? UInt32(CPLATFORM_EPOLLOUT) : 0)
  }

  private func dispatch(_ event: epoll_event) {
    let token = event.data.u64
    if token == Self.doorbellToken {
      doorbell.drain()
      return
    }
    let index = Int(token & 0xFFFF_FFFF)
    guard index < watches.count, let watch = watches[index], watch.generation == UInt32(token >> 32) else { return }
    var ready: DescriptorEvents = []
    if event.events & UInt32(CPLATFORM_EPOLLIN) != 0 { ready.insert(.readable) }
    if event.events & UInt32(CPLATFORM_EPOLLOUT) != 0 { ready.insert(.writable) }
    if event.events & UInt32(CPLATFORM_EPOLLHUP | CPLATFORM_EPOLLERR) != 0 {
      ready.formUnion(watch.events)
      ready.insert(.hangup)
    }
    watch.ready(ready)
  }

  // MARK: Timers

  /// Calls `fire` once, after `seconds`. Less than 0 or not a number counts as 0.
  public func timer(afterSeconds seconds: Double, _ fire: @escaping () -> Void) -> TimerNumber {
    // Not from `now`, which is a while ago in a long turn: the timer would be early.
    timers.add(at: MonotonicTime.now().advanced(bySeconds: seconds > 0 ? seconds : 0), fire)
  }

  /// True when the timer had not fired and now will not.
  @discardableResult
  public func cancel(_ timer: TimerNumber) -> Bool { timers.remove(timer) }

  // MARK: Other threads

  /// Calls `call` on the loop's thread in one of the next turns. False after ``closePosts()``, or when ``postsMax`` calls
  /// are waiting. What the closure captures must be fit to pass to the loop's thread. Thread: any.
  public func post(_ call: @escaping () -> Void) -> Bool {
    let post = Post(call: call)
    let (isTaken, isFirst) = posts.withLock { posts in
      guard !posts.isClosed, posts.waiting.count < Self.postsMax else { return (false, false) }
      posts.waiting.append(post)
      return (true, posts.waiting.count == 1)
    }
    if isFirst { doorbell.signal() }
    return isTaken
  }

  /// Refuses further posts; what is waiting still runs. Thread: any.
  public func closePosts() { posts.withLock { $0.isClosed = true } }

  /// Ends the current or the next sleep. Thread: any.
  public func wake() { doorbell.signal() }

  /// Sleeps until the doorbell rings, outside of a turn or inside of one: for a call that must wait for what the hook
  /// would find. Whoever rang may have meant the loop, so call ``wake()`` when done.
  public func waitForDoorbell(timeoutSeconds: Double) {
    _ = doorbell.wait(timeoutSeconds: timeoutSeconds)
    doorbell.drain()
  }

  // MARK: Turns

  /// One turn. Returns after something ran, after ``wake()``, after a signal, or after `timeoutSeconds` (nil: no limit).
  ///
  /// - Throws: ``SystemError`` of `epoll_wait`, which a sound process does not see.
  public func runOnce(timeoutSeconds: Double? = nil) throws(SystemError) {
    precondition(!isInTurn, "a turn of an event loop inside its own turn")
    isInTurn = true
    defer { isInTurn = false }
    now = .now()
    var timeout = timeoutSeconds.map { milliseconds($0) } ?? -1
    if let prepareToSleep, !prepareToSleep() { timeout = 0 }
    if timeout != 0, let next = timers.next {
      let wait = milliseconds(next.seconds(since: .now()))
      timeout = timeout < 0 ? wait : min(timeout, wait)
    }
    let count = epoll_wait(epoll.rawValue, events, Int32(Self.eventsPerTurn), timeout)
    guard count >= 0 || errno == EINTR else { throw .last("epoll_wait") }
    now = .now()
    for index in 0..<max(0, Int(count)) { dispatch(events[index]) }
    runPosts()
    for fire in timers.takeDue(at: now) { if let call = timers.take(fire) { call() } }
  }

  /// Runs what has been posted up to now; part of every turn, and of an orderly end after the last one.
  public func runPosts() {
    let waiting = posts.withLock { posts in
      let waiting = posts.waiting
      posts.waiting = []
      return waiting
    }
    for post in waiting { post.call() }
  }

  /// Rounded up, so that a timer is not found early and waited for again.
  private func milliseconds(_ seconds: Double) -> Int32 {
    guard seconds > 0 else { return 0 }
    return Int32(min(seconds * 1000, 2e9).rounded(.up))
  }
}

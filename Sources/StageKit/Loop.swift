import CInterchange

/// Descriptors, timers and coming back from other threads, on the stage thread's own event loop.
extension StageContext {
  /// Calls `ready` whenever the descriptor is so (level-triggered), until the watch is cancelled. The watch does not own
  /// the descriptor; cancel it before closing that. Thread: stage.
  public func watch(_ descriptor: Int32, _ events: LoopEvents, _ ready: @escaping (LoopEvents) -> Void) -> Watch? {
    let watch = Watch(self, descriptor, ready)
    return watch.set(events) ? watch : nil
  }

  /// Calls `fire` once after `seconds`. Thread: stage.
  public func timer(after seconds: Double, _ fire: @escaping () -> Void) -> Timer {
    let timer = Timer(self, fire)
    timer.start(seconds)
    return timer
  }

  /// Calls `call` on the stage thread soon. False after stop. Thread: any.
  @discardableResult
  public func post(_ call: @escaping @Sendable () -> Void) -> Bool {
    let box = Unmanaged.passRetained(CallBox(call))
    let status = loopFunctions.pointee.post(
      host, { user in user.map { Unmanaged<CallBox>.fromOpaque($0).takeRetainedValue().call() } }, box.toOpaque())
    if status != IX_OK { box.release() }
    return status == IX_OK
  }

  /// Nanoseconds on a clock that only moves forward.
  public var monotonicNanoseconds: Int64 { loopFunctions.pointee.monotonic(host) }
  /// Milliseconds since 1970.
  public var wallMilliseconds: Int64 { loopFunctions.pointee.wall(host) }
}

final class CallBox {
  let call: () -> Void
  init(_ call: @escaping () -> Void) { self.call = call }
}

public struct LoopEvents: OptionSet, Sendable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  public static let readable = LoopEvents(rawValue: 1)
  public static let writable = LoopEvents(rawValue: 2)
  public static let hangup = LoopEvents(rawValue: 4)
}

/// A descriptor under watch, until it is cancelled or dropped. Thread: stage.
public final class Watch {
  private let context: StageContext
  private let descriptor: Int32
  private let ready: (LoopEvents) -> Void
  private var isWatching = true

  init(_ context: StageContext, _ descriptor: Int32, _ ready: @escaping (LoopEvents) -> Void) {
    self.context = context
    self.descriptor = descriptor
    self.ready = ready
  }

  /// Changes what is waited for. False when the host refuses the descriptor.
  @discardableResult
  public func set(_ events: LoopEvents) -> Bool {
    guard isWatching else { return false }
    // SAFETY: the host calls back only until `unwatch`, which cancel and deinit call.
    let user = Unmanaged.passUnretained(self).toOpaque()
    let status = context.loopFunctions.pointee.watch(
      context.host, descriptor, events.rawValue,
      { user, events in
        guard let user else { return }
        let watch = Unmanaged<Watch>.fromOpaque(user).takeUnretainedValue()
        withExtendedLifetime(watch) { watch.ready(LoopEvents(rawValue: events)) }
      }, user)
    return status == IX_OK
  }

  public func cancel() {
    guard isWatching else { return }
    isWatching = false
    context.loopFunctions.pointee.unwatch(context.host, descriptor)
  }

  deinit { cancel() }
}

/// A timer that has been set. Dropping it does not cancel it. Thread: stage.
public final class Timer {
  private let context: StageContext
  private let fire: () -> Void
  private var number: UInt64 = 0

  init(_ context: StageContext, _ fire: @escaping () -> Void) {
    self.context = context
    self.fire = fire
  }

  fileprivate func start(_ seconds: Double) {
    let box = Unmanaged.passRetained(self)
    number = context.loopFunctions.pointee.timer(
      context.host, seconds,
      { user in
        guard let user else { return }
        let timer = Unmanaged<Timer>.fromOpaque(user).takeRetainedValue()
        timer.number = 0
        timer.fire()
      }, box.toOpaque())
    if number == 0 { box.release() }
  }

  public func cancel() {
    guard number != 0 else { return }
    if context.loopFunctions.pointee.cancel_timer(context.host, number) { Unmanaged.passUnretained(self).release() }
    number = 0
  }
}

internal import Platform
internal import Spoke
internal import Synchronization

/// The way of frames to the host. Thread: any.
final class StageLink: Sendable {
  let spoke: SpokeStageEnd
  private let loop: EventLoop
  private let broken = Mutex<SpokeError?>(nil)

  init(_ spoke: SpokeStageEnd, _ loop: EventLoop) {
    self.spoke = spoke
    self.loop = loop
  }

  /// Sends a frame, in order with the others of this thread. On a broken spoke it goes nowhere: the host has given the
  /// instance up, or will.
  func send(_ frame: UpFrame) {
    let isOnStageThread = loop.isOnLoopThread
    do throws(SpokeError) {
      // The stage thread wakes the host once a round, with `endCycle`.
      try spoke.send(frame, wakesHost: !isOnStageThread)
      // What waits for room is sent by the stage thread, which may be asleep.
      if !isOnStageThread && spoke.isBlocked { loop.wake() }
    } catch {
      fail(error)
    }
  }

  func fail(_ error: SpokeError) {
    broken.withLock { if $0 == nil { $0 = error } }
    loop.wake()
  }

  var failure: SpokeError? { broken.withLock { $0 } }
}

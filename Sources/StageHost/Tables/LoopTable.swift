internal import CInterchange
internal import MailModel
internal import Platform

extension HostTables {
  // SAFETY: as for the other tables. What the stage hands in as `user` is passed back to it on the stage thread.
  nonisolated(unsafe) static let loop = eternal(
    ix_loop_functions(
      size: MemoryLayout<ix_loop_functions>.size,
      watch: { host, descriptor, events, ready, user in
        guard let runner = HostBlock.runner(host) else { return IX_CLOSED }
        guard let ready else {
          runner.breach("watch", "no ready function")
          return IX_INVALID
        }
        guard runner.loop.isOnLoopThread else {
          runner.breach("watch", "not on the stage thread")
          return IX_INVALID
        }
        // The bits of ix_event and of DescriptorEvents are the same.
        let asked = DescriptorEvents(rawValue: events & (IX_READABLE.rawValue | IX_WRITABLE.rawValue))
        do throws(SystemError) {
          try runner.loop.watch(descriptor, asked) { ready(user, $0.rawValue) }
          return IX_OK
        } catch {
          runner.breach("watch", "descriptor \(descriptor): \(error)")
          return IX_INVALID
        }
      },
      unwatch: { host, descriptor in
        guard let runner = HostBlock.runner(host) else { return }
        guard runner.loop.isOnLoopThread else { return runner.breach("unwatch", "not on the stage thread") }
        runner.loop.unwatch(descriptor)
      },
      timer: { host, seconds, fire, user in
        guard let runner = HostBlock.runner(host), let fire else { return 0 }
        guard runner.loop.isOnLoopThread else {
          runner.breach("timer", "not on the stage thread")
          return 0
        }
        return runner.loop.timer(afterSeconds: seconds) { fire(user) }.rawValue
      },
      cancel_timer: { host, timer in
        guard let runner = HostBlock.runner(host) else { return false }
        guard runner.loop.isOnLoopThread else {
          runner.breach("cancel_timer", "not on the stage thread")
          return false
        }
        return runner.loop.cancel(TimerNumber(rawValue: timer))
      },
      post: { host, call, user in
        guard let runner = HostBlock.runner(host) else { return IX_CLOSED }
        guard let call else {
          runner.breach("post", "no function")
          return IX_INVALID
        }
        return runner.loop.post { call(user) } ? IX_OK : IX_CLOSED
      },
      monotonic: { _ in MonotonicTime.now().nanoseconds },
      wall: { _ in WallTime.now().millisecondsSinceEpoch }))
}

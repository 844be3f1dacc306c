internal import CPlatform
internal import Glibc

/// A thread of this process with a name that `top -H` and a debugger show. It is joined or runs as long as the process.
public struct Thread: Sendable {
  private let handle: pthread_t

  /// Starts `body` on a new thread.
  ///
  /// - Parameter name: At most 15 octets count (prctl(2), PR_SET_NAME).
  /// - Throws: ``SystemError`` of `pthread_create`; EAGAIN when no thread is to be had.
  public static func start(name: String, _ body: @escaping @Sendable () -> Void) throws(SystemError) -> Thread {
    let box = Unmanaged.passRetained(ThreadBody(name: String(decoding: name.utf8.prefix(15), as: UTF8.self), body))
    var handle = pthread_t()
    let result = pthread_create(&handle, nil, threadEntry, box.toOpaque())
    guard result == 0 else {
      box.release()
      throw SystemError("pthread_create", errno: result)
    }
    return Thread(handle: handle)
  }

  /// Waits until the thread has ended.
  public consuming func join() { pthread_join(handle, nil) }
}

private final class ThreadBody {
  let name: String
  let body: @Sendable () -> Void

  init(name: String, _ body: @escaping @Sendable () -> Void) {
    self.name = name
    self.body = body
  }
}

/// A closure at file scope that captures nothing, because a top-level closure as a thread's entry crashes.
private func threadEntry(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  guard let argument else { return nil }
  let thread = Unmanaged<ThreadBody>.fromOpaque(argument).takeRetainedValue()
  // The name is for people only: that it could not be set does not matter.
  thread.name.withCString { _ = cplatform_prctl(PR_SET_NAME, UInt(bitPattern: $0)) }
  thread.body()
  return nil
}

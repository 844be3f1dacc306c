internal import Glibc

/// A system call that failed: trouble of the host, for the operator. Never the fate of a recipient.
public struct SystemError: Error, Hashable, Sendable {
  /// The call's name, such as `mmap`.
  public let call: String
  /// errno(3) as the call left it.
  public let errno: Int32

  public init(_ call: String, errno: Int32) {
    self.call = call
    self.errno = errno
  }

  /// The error of a call that has just failed on this thread.
  public static func last(_ call: String) -> SystemError { SystemError(call, errno: Glibc.errno) }
}

extension SystemError: CustomStringConvertible {
  public var description: String { "\(call): \(String(cString: strerror(errno)))" }
}

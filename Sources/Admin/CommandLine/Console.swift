internal import CPlatform
internal import Glibc

/// Where a verb writes: what was asked for goes to `output`, everything else to `complain`.
///
/// Text that came from a message, a peer or a file is neutralised (`LogText.neutral`) by whoever renders it; what comes
/// here is written as it is.
public struct Console {
  public var output: (String) -> Void
  public var complain: (String) -> Void
  /// Standard error is a terminal, so that progress may be shown on one line that is written over.
  public var showsProgress: Bool

  public init(output: @escaping (String) -> Void, complain: @escaping (String) -> Void, showsProgress: Bool) {
    self.output = output
    self.complain = complain
    self.showsProgress = showsProgress
  }

  /// Standard output and standard error, unbuffered, so that rows appear as they come.
  public static var standard: Console {
    Console(
      output: { write($0, to: STDOUT_FILENO) }, complain: { write($0, to: STDERR_FILENO) },
      showsProgress: isatty(STDERR_FILENO) == 1)
  }

  func line(_ text: String) { output(text + "\n") }

  /// One line that says what went wrong.
  func error(_ text: String) { complain("interchange: \(text)\n") }

  /// A count that changes, on a terminal.
  func progress(_ text: String) {
    if showsProgress { complain("\r\u{1B}[K\(text)") }
  }

  func endProgress() {
    if showsProgress { complain("\r\u{1B}[K") }
  }

  private static func write(_ text: String, to descriptor: Int32) {
    var text = text
    // Nobody may be left to read it: a pager that was closed, a full disk behind a redirection.
    text.withUTF8 { _ = StandardOutput.write(UnsafeRawBufferPointer($0), to: descriptor) }
  }
}

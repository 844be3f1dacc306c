import Glibc
public import MailModel
import Platform

/// The gateway's log: one line an event on standard error, whatever the text holds.
///
///     2026-11-20T21:14:51.003Z warning imc_out 0F3K…: connection refused
///
/// Control characters and characters that reorder text are written as `\u{…}`, and a line is cut at 4 KiB, so that user
/// data can neither forge nor break a line (failure mode A14, faults.md §5.5). Thread: any.
public final class EventLog: Sendable {
  private let descriptor: Int32
  private let threshold: Dispatcher.Severity

  public init(descriptor: Int32 = 2, threshold: Dispatcher.Severity = .info) {
    self.descriptor = descriptor
    self.threshold = threshold
  }

  public func write(_ severity: Dispatcher.Severity, stage: String?, _ id: QueueID?, _ text: String) {
    guard severity.rawValue >= threshold.rawValue else { return }
    var line = "\(TimestampText.make(WallTime.now())) \(severity.word)"
    if let stage { line += " \(stage)" }
    if let id { line += " \(id)" }
    line += ": " + LogText.neutral(text) + "\n"
    line.withUTF8 { octets in
      // A log that cannot be written stops nothing; there is nobody left to tell.
      _ = Glibc.write(descriptor, octets.baseAddress, octets.count)
    }
  }
}

extension Dispatcher.Severity {
  public var word: String {
    switch self {
    case .debug: "debug"
    case .info: "info"
    case .warning: "warning"
    case .error: "error"
    }
  }
}

/// Text that came from elsewhere, made fit for one line of a log or a terminal.
public enum LogText {
  public static func neutral(_ text: String, octetsMax: Int = 4096) -> String {
    var result = ""
    result.reserveCapacity(min(text.utf8.count, octetsMax))
    for scalar in text.unicodeScalars {
      if result.utf8.count >= octetsMax { return result + "…" }
      switch scalar.properties.generalCategory {
      case .control, .format, .surrogate, .lineSeparator, .paragraphSeparator, .unassigned, .privateUse:
        result += "\\u{\(String(scalar.value, radix: 16))}"
      default:  // an open enumeration of the standard library
        result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}

/// RFC 3339 with milliseconds, in UTC.
public enum TimestampText {
  public static func make(_ time: WallTime) -> String {
    var seconds = time_t(time.millisecondsSinceEpoch / 1000)
    var parts = tm()
    gmtime_r(&seconds, &parts)
    func padded(_ value: some BinaryInteger, _ width: Int) -> String {
      let digits = String(value)
      return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }
    return padded(Int(parts.tm_year) + 1900, 4) + "-" + padded(parts.tm_mon + 1, 2) + "-" + padded(parts.tm_mday, 2)
      + "T" + padded(parts.tm_hour, 2) + ":" + padded(parts.tm_min, 2) + ":" + padded(parts.tm_sec, 2) + "."
      + padded(max(0, time.millisecondsSinceEpoch % 1000), 3) + "Z"
  }
}

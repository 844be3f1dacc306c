public import PipelineConfig

/// When a recipient that could not be served is tried again, and when that ends: after so many attempts *and* so much
/// age, so that neither a clock jump nor a burst of quick failures alone gives a message up (faults.md D-16).
extension RetrySchedule {
  /// Attempts that must have been made before age counts.
  static let attemptsMin: UInt32 = 3

  /// RFC 5321 §4.5.4.1: give up after 4–5 days.
  public static let standard = RetrySchedule(
    delaysSeconds: [120, 300, 900, 1800, 3600], expireSeconds: 5 * 86400, jitterFraction: 0.1)

  /// The delay before the next attempt, in seconds, or nil when the time is over.
  ///
  /// - Parameters:
  ///   - attempts: Attempts made, this one included; at least 1.
  ///   - ageSeconds: Since acceptance.
  ///   - hintSeconds: What the stage asked for; it replaces the step, but is never shorter than the first one.
  ///   - random: In 0..<1.
  public func delaySeconds(after attempts: UInt32, ageSeconds: Double, hintSeconds: Double?, random: Double) -> Double? {
    guard attempts < Self.attemptsMin || ageSeconds < expireSeconds else { return nil }
    guard let first = delaysSeconds.first else { return nil }
    let step = delaysSeconds[min(max(Int(attempts) - 1, 0), delaysSeconds.count - 1)]
    let wanted = hintSeconds.map { max($0, first) } ?? step
    return wanted * (1 + jitterFraction * (2 * random - 1))
  }
}

internal import Spoke

/// Bounds of one stage instance in the runner. What reaches one is told so by the call; nothing is thrown away.
enum RunnerLimits {
  /// Drafts that are being written at once: thousands of SMTP sessions, each with one message.
  static let draftsMax = 4096
  /// Offered messages whose verdict is awaited; a source that outruns the disk meets this.
  static let verdictsMax = 16_384
  /// New messages from one job.
  static let emissionsMax = 10_000
  /// Frames handled between two looks at descriptors and timers.
  static let framesPerTurn = 256
  /// Octets of a log line or a complaint; a longer one is cut.
  static let lineOctetsMax = 16 * 1024
  /// Names of counters and gauges, and octets of one (interchange.h, ix_metrics_functions).
  static let metricsMax = 64
  static let metricOctetsMax = 64
  /// Seconds for which metrics gather before they are sent.
  static let metricsIntervalSeconds = 1.0
  /// Broken rules of the ABI that are logged one by one; after that every power of two.
  static let breachesLogged = 100
  /// Segments that stay mapped when no job reads them. Address space only: the pages are the page cache's.
  static let segmentsMapped = 64
  /// Octets of one piece of content that a stage reads.
  static let pieceOctets: UInt64 = 1 << 20
  /// Of a larger content, pages that were read are left, so that its size does not show in a worker's memory.
  static let contentOctetsKept: UInt64 = 4 << 20
  /// Seconds that a reader waits for the descriptor of a segment which the host has promised.
  static let segmentWaitSeconds = 5.0
  /// Seconds between two looks at whether the host is still there, when a writer waits for room.
  static let roomLookSeconds = 1.0
  /// Seconds that the last frames may take to find room when the instance has ended.
  static let farewellSeconds = 5.0

  /// Octets of one write: half of the arena, so that two large writers do not wait for each other for ever.
  static func writeOctetsMax(chunkCount: Int) -> Int { max(1, chunkCount / 2) * SpokeRegion.chunkOctets }
}

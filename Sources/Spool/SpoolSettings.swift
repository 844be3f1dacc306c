/// The bounds and sizes of an embedded spool.
public struct SpoolSettings: Sendable {
  /// What the file system must keep free for others; new messages are refused below it.
  public enum Reserve: Sendable, Equatable {
    case octets(UInt64)
    /// Of the file system's size, 0…100.
    case percent(Double)
  }

  /// Size of a segment file. A single record that does not fit gets a segment of its own size.
  public var segmentOctets: Int = 64 << 20
  /// Records gather in memory up to this many octets before they are written.
  public var bufferOctets: Int = 1 << 20
  /// The largest piece of content in one record.
  public var pieceOctetsMax: Int = 256 << 10
  public var reserve: Reserve = .percent(5)
  /// Octets of log after which a snapshot is written; at least twice the last snapshot's own octets.
  public var snapshotEveryOctets: Int = 64 << 20
  /// Empty segments kept in advance. One of them is kept for changes that end recipients, so that a full disk drains.
  public var sparesMin: Int = 2
  /// Freed segments beyond this many are removed instead of kept.
  public var sparesMax: Int = 4
  /// Copying forward begins when there are more segments than this…
  public var copyForwardSegmentsMin: Int = 4
  /// …and one has fewer live octets than this part of its size, in percent.
  public var copyForwardLivePercent: Int = 25
  /// Octets that one call of `tidy` copies, zeroes or writes into a snapshot, each.
  public var tidyOctetsMax: Int = 4 << 20
  /// Calls of `tidy` for which the descriptor of a segment whose messages were copied forward stays open, for readers
  /// that still hold the old extents.
  public var descriptorGraceTidies: Int = 16

  public init() {}

  /// Damages, problems and notes kept in memory; further ones are only counted.
  static let notesMax = 10_000
}

/// Every bound that more than one part of the program must agree on, with its reason.
/// When one is hit, the source slows down or the one recipient fails; nothing is thrown away.
public enum Limits {
  /// Octets of one address. RFC 5321 allows 256 in a path; O/R addresses in text are longer; beyond this nothing real
  /// remains, and a longer one is still carried so that its failure can be reported verbatim, up to the envelope's bound.
  public static let addressOctetsMax = 64 * 1024
  /// Octets of one encoded envelope: 1,000,000 recipients of 256 octets.
  public static let envelopeOctetsMax = 256 * 1024 * 1024
  /// Recipients of one message.
  public static let recipientsMax = 1_000_000
  /// Attributes of an envelope or of a recipient (faults.md §5.6).
  public static let attributesMax = 100
  /// Octets of a status text or of a remote reply kept for a report; a longer one is cut.
  public static let statusTextOctetsMax = 4096
  /// Octets of content returned in a report (Postfix's bounce_size_limit).
  public static let returnedContentOctetsMax = 50_000
  /// Times a message may pass through this node or others, by its trace (Postfix's hopcount_limit).
  public static let hopsMax = 50
}

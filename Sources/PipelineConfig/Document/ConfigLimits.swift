/// What a configuration file may be. Each bound is far above any pipeline that a person wires and far below what
/// costs a noticeable time.
public enum ConfigLimits {
  /// Octets of one file. The largest pipeline known is 40 KB.
  public static let fileOctetsMax = 1 << 20
  /// Nesting of sequences and mappings. libyaml takes 20 s over 100,000 open brackets; it never sees the 66th.
  public static let depthMax = 64
  /// Scalars, sequences and mappings of one file, keys included: bounds the memory of the tree (about 100 octets each).
  public static let nodesMax = 100_000
  /// Complaints kept; further ones are only counted.
  public static let diagnosticsMax = 200
  /// Octets of one secret's file.
  public static let secretOctetsMax = 64 * 1024
  /// Octets of one string after substitution.
  public static let substitutedOctetsMax = 256 * 1024
  /// Characters of a source line shown with a complaint; a longer one is cut around the caret.
  public static let shownLineCharactersMax = 120
  /// Stages of one pipeline; the largest known has 40.
  public static let stagesMax = 1_000
  /// Rules of one router.
  public static let routerRulesMax = 1_000
  /// Comparisons of one router's rules with earlier ones, for the warnings about rules that nothing reaches.
  public static let ruleComparisonsMax = 2_000_000
  /// Octets of a configuration subtree on its way to a worker.
  public static let shippedOctetsMax = 8 << 20
}

import MailModel
import Spoke

/// What the hub hands to the committer, in order, through the intake ring.
enum IntakeEntry: Sendable {
  /// Octets of a draft in a chunk of the offering stage's arena, which the entry keeps mapped.
  case piece(DraftKey, SpokeRegion, chunk: UInt32, octets: Int, lane: Int)
  case discard(DraftKey)
  /// The stage that numbered these drafts is gone: none of its unfinished ones will be finished.
  case closeLink(UInt64)
  case transaction(Transaction)
  case record(HistoryEvent)
  /// The last entry: the committer ends after it.
  case close
}

public import MailModel

/// A durable store of messages. The embedded log is one engine, a distributed queue another; both pass the same
/// conformance suite.
///
/// Use: ``recover(_:)`` once, then any number of rounds of writing contents, ``append(_:)`` and one ``commit()``.
/// What was appended is durable when `commit` has returned, and only then may anybody be told *accepted*.
/// After a thrown ``SpoolError/io(operation:errno:)`` the engine refuses everything: the process must end and recover from
/// disk, because a failed sync leaves the page cache telling one story and the disk another.
///
/// Thread: one thread at a time (the committer's), except where a member says otherwise.
public protocol SpoolEngine: AnyObject {
  /// Replays what a previous run left. Hands over every message with a live recipient, oldest first, with the state of
  /// each recipient in order and the extents of its content.
  func recover(_ body: (StoredMessage, [RecipientState], [ContentExtent]) -> Void) throws(SpoolError)

  /// The highest identifier ever used here, so that the next one is new.
  var lastQueueID: QueueID { get }

  /// Starts a content. Bounded in number only by memory; each costs a few words.
  func beginContent() -> ContentID

  /// Appends octets, which the caller keeps; they may be reused on return.
  /// - Throws: ``SpoolError/noSpace`` before anything is written; ``SpoolError/io``.
  func append(_ octets: UnsafeRawBufferPointer, to content: ContentID) throws(SpoolError)

  /// Forgets a content that no change has sealed.
  func abandon(_ content: ContentID)

  /// Appends changes that become durable together. On ``SpoolError/noSpace`` none of them was taken. Changes that end
  /// recipients are always taken, from a reserve, so that a full disk drains.
  func append(_ changes: [SpoolChange]) throws(SpoolError)

  /// Makes everything appended durable, with one sync for all of it.
  func commit() throws(SpoolError)

  /// The extents of a message's content, valid until its last recipient has ended or ``takeMoved()`` names it. Known
  /// after `append`.
  func extents(of id: QueueID) -> [ContentExtent]?

  /// Messages whose content ``tidy()`` has copied to another place since the last call, with their new extents. Whoever
  /// was given a descriptor of the old place can go on reading there; nobody else will be for long.
  func takeMoved() -> [(id: QueueID, extents: [ContentExtent])]

  /// A descriptor of a segment, open for reading, to be given to a worker. The engine keeps ownership; it stays open
  /// while a message in the segment is live. Thread: any.
  func descriptor(ofSegment segment: UInt32) -> Int32?

  /// Octets that new messages may still use above the configured reserve; negative when it is already eaten into.
  func octetsAvailable() -> Int64

  /// Housekeeping between commits: frees or recycles segments, copies the last live messages of old ones forward,
  /// writes a snapshot when one is due. Bounded work a call; call it when idle or every so many commits.
  func tidy() throws(SpoolError)

  /// A clean stop: a last commit and a snapshot. The engine is of no use afterwards.
  func close() throws(SpoolError)
}

public enum SpoolError: Error, Equatable, Sendable {
  /// Not enough room above the reserve; nothing was written.
  case noSpace
  /// A system call failed; the engine refuses everything from now on.
  case io(operation: String, errno: Int32)
  /// The directory or a record in it cannot be understood; the text names file and offset.
  case damaged(String)
  /// The directory cannot be used as it is: missing, foreign owner, another host's lock. The text says which.
  case unusable(String)
}

import MailModel
public import Spool

/// Changes that become durable together: made by the dispatcher, written by the committer, and then, durable or
/// refused, given back to the dispatcher. One thread owns it at a time; the intake ring hands it over.
public final class Transaction: @unchecked Sendable {
  // SAFETY: Sendable, because the intake ring's cursors pass ownership from thread to thread with release and acquire.

  public struct NewMessage {
    public var stored: StoredMessage
    public var content: ContentSource
    /// The lane that it goes to, and its stage's id.
    public var lane: Int
    public var stage: String
  }

  public enum ContentSource {
    /// The pieces of a draft that a stage has written.
    case draft(DraftKey)
    /// Octets in memory: reports and what operators inject.
    case octets([UInt8])
    /// The content of a stored message, copied.
    case copy(StoredContent)
  }

  /// What the dispatcher does when the transaction is durable or refused.
  enum Purpose {
    case offer(DraftKey)
    case outcome
    /// `done` is called on the hub's thread.
    case order((Result<[QueueID], SpoolError>) -> Void)
  }

  var purpose: Purpose
  public var accepts: [NewMessage] = []
  var changes: [(message: QueuedMessage, recipients: [Int], state: RecipientState)] = []
  /// Recipients that go to another lane once this is durable.
  var onward: [(message: QueuedMessage, recipients: [Int], lane: Int)] = []

  /// Written with the rest, and nothing is done when they are durable: what the dispatcher has already acted upon.
  var notes: [SpoolChange] = []

  /// The lane of the filter whose drafts are in it, and which repeats its work when there is no room for them.
  var repeatsAt: Int?

  // Set by the committer.
  var failure: SpoolError?
  var extents: [[ContentExtent]] = []

  init(_ purpose: Purpose) { self.purpose = purpose }

  var isEmpty: Bool { accepts.isEmpty && changes.isEmpty && notes.isEmpty }
}

/// A draft of a stage: numbered by the stage, and by the start of the stage that numbered it.
public struct DraftKey: Hashable, Sendable {
  public var link: UInt64
  public var draft: UInt64
}

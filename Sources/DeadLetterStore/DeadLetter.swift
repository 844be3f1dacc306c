public import MailModel

/// A message that could neither be delivered nor reported, for those recipients whose end this is.
public struct DeadLetter: Sendable, Hashable {
  /// A recipient and why it ended here.
  public struct Entry: Sendable, Hashable {
    public var recipient: Recipient
    public var status: DeliveryStatus

    public init(_ recipient: Recipient, _ status: DeliveryStatus) {
      self.recipient = recipient
      self.status = status
    }
  }

  /// One thing that happened to the message.
  public struct Event: Sendable, Hashable {
    public var at: WallTime
    public var text: String

    public init(at: WallTime, _ text: String) {
      self.at = at
      self.text = text
    }
  }

  public var queueID: QueueID
  public var acceptedAt: WallTime
  public var storedAt: WallTime
  /// Where the message was when it ended; empty when that is not known.
  public var stage: String
  /// Its list of recipients is empty; they are in ``entries``.
  public var envelope: Envelope
  /// One or more.
  public var entries: [Entry]
  public var history: [Event]
  public var contentOctets: UInt64

  public init(
    queueID: QueueID, acceptedAt: WallTime, storedAt: WallTime, stage: String, envelope: Envelope, entries: [Entry],
    history: [Event] = [], contentOctets: UInt64
  ) {
    self.queueID = queueID
    self.acceptedAt = acceptedAt
    self.storedAt = storedAt
    self.stage = stage
    self.envelope = envelope
    self.envelope.recipients = []
    self.entries = entries
    self.history = history
    self.contentOctets = contentOctets
  }
}

extension DeadLetter {
  /// A letter made of an envelope as it comes to the dead-letter stage: each recipient's attributes `dead.code`,
  /// `dead.text`, `dead.remote` and `dead.stage` say why it comes; they become its status, the others stay. Without a
  /// code that can be read it is 5.0.0. The envelope's attribute `dead.history`, lines of milliseconds since 1970 and a
  /// text, becomes the history.
  public init(
    queueID: QueueID, acceptedAt: WallTime, storedAt: WallTime, buried envelope: Envelope, contentOctets: UInt64
  ) {
    var stage = ""
    var envelope = envelope
    let history = Self.events(envelope.attribute("dead.history") ?? "")
    envelope.attributes.removeAll { $0.name == "dead.history" }
    let entries = envelope.recipients.map { recipient in
      var recipient = recipient
      func take(_ name: String) -> String? {
        defer { recipient.attributes.removeAll { $0.name == name } }
        return recipient.attributes.last { $0.name == name }?.value
      }
      var status = DeliveryStatus(EnhancedStatusCode(.permanent, 0, 0), take("dead.text") ?? "no reason was given")
      if let code = take("dead.code").flatMap({ EnhancedStatusCode($0) }) { status.code = code }
      if let remote = take("dead.remote") { status.text += " (\(remote))" }
      if let place = take("dead.stage") { stage = place }
      return Entry(recipient, status)
    }
    self.init(
      queueID: queueID, acceptedAt: acceptedAt, storedAt: storedAt, stage: stage, envelope: envelope, entries: entries,
      history: history, contentOctets: contentOctets)
  }

  /// Lines without a time that can be read are left out.
  private static func events(_ lines: String) -> [Event] {
    lines.split(separator: "\n").compactMap { line in
      let parts = line.split(separator: " ", maxSplits: 1)
      guard parts.count == 2, let at = Int64(parts[0]) else { return nil }
      return Event(at: WallTime(millisecondsSinceEpoch: at), String(parts[1]))
    }
  }
}

/// The name of a letter and of its directory: a queue identifier, and a number because the recipients of one message
/// may end here one after another.
public struct LetterID: Hashable, Sendable, Comparable, LosslessStringConvertible {
  public let queueID: QueueID
  /// From 1 on.
  public let number: UInt32

  init(_ queueID: QueueID, _ number: UInt32) {
    self.queueID = queueID
    self.number = number
  }

  public var description: String { "\(queueID)-\(number)" }

  /// Exactly what ``description`` writes.
  public init?(_ text: String) {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 2, let queueID = QueueID(String(parts[0])), let number = UInt32(parts[1]), number > 0 else {
      return nil
    }
    self.init(queueID, number)
    guard description == text else { return nil }
  }

  public static func < (left: LetterID, right: LetterID) -> Bool {
    (left.queueID, left.number) < (right.queueID, right.number)
  }
}

public enum DeadLetterError: Error, Equatable, Sendable {
  /// The letter would pass a bound of the store; the text says which. Nothing was written.
  case quota(String)
  /// Another process is writing; nothing was changed.
  case busy
  case noSuchLetter
  /// A system call failed. A letter that was being stored is whole or absent; storing it again is right in both cases.
  case io(SystemErrorText)
  /// A letter's files cannot be understood; the text names the file and the line.
  case damaged(String)
  /// Content ended before or after the number of octets announced. Nothing is left of the letter.
  case incomplete(octets: UInt64, announced: UInt64)
}

/// A failed call, in words and as errno.
public struct SystemErrorText: Hashable, Sendable, CustomStringConvertible {
  public let description: String
  public let errno: Int32

  init(_ description: String, errno: Int32) {
    self.description = description
    self.errno = errno
  }
}

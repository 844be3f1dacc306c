internal import JSONText
internal import MailModel
internal import Pipeline
internal import Spool

/// Everything known of a message and its relatives: the lines of the spool's history, and where its recipients are now.
/// From one message to the next it follows `parent` and `successor`.
struct TraceCollector {
  let spoolPath: String
  /// Messages followed at most: each costs a search of the history.
  static let messagesMax = 16
  static let linesMax = 100_000

  private(set) var events: [JSONValue] = []
  /// Why the history could not be read.
  private(set) var trouble: String?

  init(spoolPath: String) { self.spoolPath = spoolPath }

  /// - Parameter live: Looks a message up in the queue; nil when it has ended, or no host runs.
  mutating func collect<Failure: Error>(
    _ first: QueueID, live: (QueueID) throws(Failure) -> MessageDetail?
  ) throws(Failure) {
    var found: Set<QueueID> = [first]
    var rest = [first]
    var lines: [JSONValue] = []
    var now: [JSONValue] = []
    while let id = rest.popLast() {
      var relatives: [QueueID] = []
      for line in history(id) where lines.count < Self.linesMax {
        lines.append(line)
        relatives += ["parent", "successor"].compactMap { line[$0]?.string.flatMap { QueueID($0) } }
      }
      if let message = try live(id) {
        if let parent = message.stored.parent { relatives.append(parent) }
        now += message.recipients.filter { $0.state != .ended }.map { recipient in
          guard case .object(let members) = recipient.json(id) else { return .null }
          return .object([("event", .string("now"))] + members)
        }
      }
      for relative in relatives where found.count < Self.messagesMax && !found.contains(relative) {
        found.insert(relative)
        rest.append(relative)
      }
    }
    // Stable, because events of one moment are in their order.
    let ordered = lines.enumerated().sorted { left, right in
      let (first, second) = (left.element["time"]?.integer ?? 0, right.element["time"]?.integer ?? 0)
      return first != second ? first < second : left.offset < right.offset
    }
    events = ordered.map(\.element) + now
  }

  private mutating func history(_ id: QueueID) -> [JSONValue] {
    var lines: [JSONValue] = []
    do throws(SpoolError) {
      try History.search(id, spoolPath: spoolPath) { text in
        // A line that is no JSON is a torn one.
        if lines.count < Self.linesMax, let line = try? JSONValue(parsing: Array(text.utf8)) { lines.append(line) }
      }
    } catch { trouble = GatewayError.spool(error).description }
    return lines
  }
}

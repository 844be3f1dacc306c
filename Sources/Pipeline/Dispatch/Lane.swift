import MailModel

/// Recipients of one message that go to a stage together.
struct WorkItem {
  let message: QueuedMessage
  var recipients: [Int]
  /// Why, for the dead-letter stage, and where the recipients were when it was decided.
  var because: DeliveryStatus?
  var from: String?
}

/// What waits for one stage, by destination: the lane takes turns between destinations, and one that has its full share
/// in the stage's hands is passed over, so that a slow destination holds up only its own queue.
///
/// Suspects (messages in the hands of a process when it died) go first and alone, until the guilty one is known.
struct Lane {
  let plan: LanePlan
  let index: Int
  /// The stage is up and takes jobs.
  var isUp = false
  var openJobs = 0
  private(set) var suspects: ArraySlice<WorkItem> = []
  private var destinations: [String: Destination] = [:]
  /// Keys of destinations with something waiting and a share free, in turn.
  private var turns: ArraySlice<String> = []
  /// Whether the only open job is a suspect on trial.
  var trialJob: UInt64?
  private(set) var waitingCount = 0

  private struct Destination {
    var waiting: ArraySlice<WorkItem> = []
    var open = 0
    var hasTurn = false
  }

  init(plan: LanePlan, index: Int) {
    self.plan = plan
    self.index = index
  }

  mutating func add(_ item: WorkItem, destination key: String) {
    waitingCount += 1
    destinations[key, default: Destination()].waiting.append(item)
    giveTurn(key)
  }

  mutating func addSuspect(_ item: WorkItem) {
    waitingCount += 1
    suspects.append(item)
  }

  private mutating func giveTurn(_ key: String) {
    guard var destination = destinations[key], !destination.hasTurn, !destination.waiting.isEmpty,
      destination.open < plan.jobsPerDestinationMax
    else { return }
    destination.hasTurn = true
    destinations[key] = destination
    turns.append(key)
  }

  /// The next work that the stage may be given, or nil. The caller starts a job with it, or calls ``jobEnded(destination:)``.
  mutating func next() -> (item: WorkItem, destination: String, isTrial: Bool)? {
    guard isUp, openJobs < plan.jobsMax, trialJob == nil else { return nil }
    if !suspects.isEmpty {
      guard openJobs == 0 else { return nil }
      waitingCount -= 1
      openJobs += 1
      let item = suspects.removeFirst()
      let key = item.message.destinationKey(of: item.recipients[0], at: self)
      destinations[key, default: Destination()].open += 1
      return (item, key, true)
    }
    guard let key = turns.popFirst(), var destination = destinations[key] else { return nil }
    guard let item = destination.waiting.popFirst() else { return nil }
    destination.open += 1
    destination.hasTurn = false
    destinations[key] = destination
    giveTurn(key)
    waitingCount -= 1
    openJobs += 1
    return (item, key, false)
  }

  mutating func jobEnded(destination key: String) {
    openJobs -= 1
    guard var destination = destinations[key] else { return }
    destination.open -= 1
    if destination.open == 0 && destination.waiting.isEmpty {
      destinations[key] = nil
    } else {
      destinations[key] = destination
      giveTurn(key)
    }
  }
}

extension QueuedMessage {
  /// Sinks have a queue for each destination; everything before them has one.
  func destinationKey(of recipient: Int, at lane: Lane) -> String {
    lane.plan.role == .sink ? stored.envelope.recipients[recipient].address.destinationKey : ""
  }
}

internal import MailModel

/// Every message with a live recipient, in as few octets as will do: about 100 for one with one recipient and one
/// extent. The message itself stays in the log.

/// Where a whole record lies.
struct RecordPlace: Equatable, Sendable {
  var segment: UInt32
  var offset: UInt64
  var octets: UInt32
}

/// Stage names, each kept once.
struct StageNames {
  private(set) var names: [String] = []
  private var indices: [String: UInt16] = [:]

  subscript(index: UInt16) -> String { names[Int(index)] }

  /// Nil when there are more names than indices, which a configuration cannot reach.
  mutating func index(of name: String) -> UInt16? {
    if let index = indices[name] { return index }
    guard let index = UInt16(exactly: names.count) else { return nil }
    names.append(name)
    indices[name] = index
    return index
  }
}

/// A recipient's state; the common one without a reference.
enum CompactState: Sendable {
  final class Box: Sendable {
    let state: RecipientState
    init(_ state: RecipientState) { self.state = state }
  }

  case queued(stage: UInt16, attempts: UInt32, suspicions: UInt8)
  case other(Box)

  init(_ state: RecipientState, _ stages: inout StageNames) {
    if case .queued(let stage, let attempts, let suspicions) = state, let index = stages.index(of: stage) {
      self = .queued(stage: index, attempts: attempts, suspicions: suspicions)
    } else {
      self = .other(Box(state))
    }
  }

  func expanded(_ stages: StageNames) -> RecipientState {
    switch self {
    case .queued(let stage, let attempts, let suspicions):
      .queued(stage: stages[stage], attempts: attempts, suspicions: suspicions)
    case .other(let box): box.state
    }
  }

  var isLive: Bool {
    switch self {
    case .queued: true
    case .other(let box): box.state.isLive
    }
  }
}

/// A list that keeps a single element without an allocation of its own.
enum CompactList<Element: Sendable>: Sendable {
  case one(Element)
  case many([Element])

  init(_ elements: [Element]) { self = elements.count == 1 ? .one(elements[0]) : .many(elements) }

  var count: Int {
    switch self {
    case .one: 1
    case .many(let elements): elements.count
    }
  }

  subscript(index: Int) -> Element {
    get {
      switch self {
      case .one(let element):
        precondition(index == 0, "index beyond a list of one")
        return element
      case .many(let elements): return elements[index]
      }
    }
    set {
      switch self {
      case .one:
        precondition(index == 0, "index beyond a list of one")
        self = .one(newValue)
      case .many(var elements):
        self = .many([])  // The array has one owner again and is changed in place.
        elements[index] = newValue
        self = .many(elements)
      }
    }
  }

  func forEach(_ body: (Element) -> Void) {
    switch self {
    case .one(let element): body(element)
    case .many(let elements): for element in elements { body(element) }
    }
  }

  var array: [Element] {
    switch self {
    case .one(let element): [element]
    case .many(let elements): elements
    }
  }
}

struct LiveMessage: Sendable {
  var id: QueueID
  /// The accept or copy record that holds its envelope.
  var place: RecordPlace
  var extents: CompactList<ContentExtent>
  var states: CompactList<CompactState>
  var liveCount: UInt32
  var isDamageNoted: Bool

  init(
    id: QueueID, place: RecordPlace, extents: [ContentExtent], states: CompactList<CompactState>, isDamageNoted: Bool
  ) {
    self.id = id
    self.place = place
    self.extents = CompactList(extents)
    self.states = states
    self.isDamageNoted = isDamageNoted
    var liveCount: UInt32 = 0
    states.forEach { if $0.isLive { liveCount += 1 } }
    self.liveCount = liveCount
  }
}

extension LiveMessage {
  /// What an empty slot holds; zero is nobody's identifier.
  fileprivate static let none = LiveMessage(
    id: QueueID(rawValue: 0), place: RecordPlace(segment: 0, offset: 0, octets: 0), extents: [], states: .many([]),
    isDamageNoted: false)

  fileprivate var isNone: Bool { id.rawValue == 0 }
}

struct LiveIndex {
  private var entries: [LiveMessage] = []
  private var freeSlots: [UInt32] = []
  private var slots: [UInt64: UInt32] = [:]

  var count: Int { slots.count }

  /// Slots that a walk with ``entry(atSlot:)`` passes, empty ones among them.
  var slotCount: Int { entries.count }

  func entry(atSlot slot: Int) -> LiveMessage? { entries[slot].isNone ? nil : entries[slot] }

  func slot(of id: QueueID) -> Int? { slots[id.rawValue].map { Int($0) } }

  subscript(id: QueueID) -> LiveMessage? { slots[id.rawValue].map { entries[Int($0)] } }

  /// All identifiers, ascending.
  var sortedIDs: [QueueID] { slots.keys.sorted().map { QueueID(rawValue: $0) } }

  /// Changes the entry in a slot in place.
  mutating func withEntry<Result>(atSlot slot: Int, _ body: (inout LiveMessage) -> Result) -> Result {
    precondition(!entries[slot].isNone, "no message in this slot of the index")
    return body(&entries[slot])
  }

  mutating func insert(_ entry: LiveMessage) {
    precondition(slots[entry.id.rawValue] == nil, "message is in the index already")
    if let slot = freeSlots.popLast() {
      entries[Int(slot)] = entry
      slots[entry.id.rawValue] = slot
    } else {
      slots[entry.id.rawValue] = UInt32(entries.count)
      entries.append(entry)
    }
  }

  @discardableResult
  mutating func remove(_ id: QueueID) -> LiveMessage? {
    guard let slot = slots.removeValue(forKey: id.rawValue) else { return nil }
    let entry = entries[Int(slot)]
    entries[Int(slot)] = .none
    freeSlots.append(slot)
    return entry
  }
}

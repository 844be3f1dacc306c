import Glibc
import MailModel
import Spool
import SpoolTesting
import Testing

/// How long the random tests run: 1 for the short run, more from the environment variable SPOOL_TEST_SCALE.
let testScale = getenv("SPOOL_TEST_SCALE").flatMap { Int(String(cString: $0)) } ?? 1

/// A random use of a spool beside a model of what it must hold.
///
/// The model keeps what is known to be durable and the groups appended since. After a crash the spool must hold the
/// durable state and a prefix of those groups: nothing accepted is lost, nothing appears that was not appended, no group
/// is there in half.
struct Workload {
  struct Message: Equatable {
    var octets: Int
    var states: [RecipientState]
  }

  typealias State = [Int: Message]

  enum Step {
    case accept(Int, Message)
    case set(Int, [Int], RecipientState)
  }

  var random: SeededRandom
  /// Contents up to this size; a few are ten times as large.
  var contentOctetsMax = 1500
  private(set) var durable: State = [:]
  private(set) var pending: [[Step]] = []
  private var nextNumber = 1

  init(seed: UInt64) { random = SeededRandom(seed: seed) }

  /// The state with everything appended.
  var current: State { pending.reduce(durable) { Self.applying($1, to: $0) } }

  private static func applying(_ group: [Step], to state: State) -> State {
    var state = state
    for step in group {
      switch step {
      case .accept(let number, let message): state[number] = message
      case .set(let number, let indices, let new):
        for index in indices { state[number]?.states[index] = new }
        if state[number]?.states.contains(where: \.isLive) == false { state[number] = nil }
      }
    }
    return state
  }

  private mutating func settle() {
    durable = current
    pending = []
  }

  private mutating func below(_ bound: Int) -> Int { Int(random.next() % UInt64(bound)) }

  private mutating func randomState() -> RecipientState {
    let status = DeliveryStatus(.noAnswer, "no answer number \(below(1000))")
    switch below(8) {
    case 0: return .deferred(stage: "out", until: WallTime(millisecondsSinceEpoch: 5), attempts: 1, status)
    case 1: return .held(stage: "out", attempts: 2, reason: "held")
    case 2: return .queued(stage: "out\(below(3))", attempts: UInt32(below(9)), suspicions: 1)
    case 3: return .failed(status, report: nil)
    case 4: return .dead(status)
    default: return done
    }
  }

  /// Copies forward, freed segments and so on happen only while there are not too many messages.
  private static let liveMax = 12

  /// One random step; throws what the engine throws, but for a lack of room, after which the model is as before.
  mutating func step(_ spool: any SpoolEngine) throws {
    do {
      let choice = below(20)
      switch choice < 8 && current.count > Self.liveMax ? 8 + below(8) : choice {
      case 0..<8: try accept(spool, parent: nil)
      case 8..<14:
        guard let number = randomLive() else { return }
        let count = current[number]?.states.count ?? 1
        let indices = (0..<count).filter { _ in below(5) > 0 }
        guard !indices.isEmpty else { return }
        let state = randomState()
        pending.append([.set(number, indices, state)])
        try spool.append([.recipients(id(number), indices, state)])
      case 14: try accept(spool, parent: randomLive())
      case 15:
        let content = spool.beginContent()
        try spool.write(madeOctets(below(3000)), to: content)
        spool.abandon(content)
      case 16, 17:
        try spool.commit()
        settle()
      default:
        try spool.tidy()
        settle()
      }
    } catch SpoolError.noSpace {
    }
  }

  private func madeOctets(_ count: Int) -> [UInt8] { content(0, octets: count) }

  private mutating func randomLive() -> Int? {
    let live = current.keys.sorted()
    return live.isEmpty ? nil : live[below(live.count)]
  }

  private mutating func accept(_ spool: any SpoolEngine, parent: Int?) throws {
    let number = nextNumber
    nextNumber += 1
    let octets = below(12) == 0 ? below(contentOctetsMax * 10) : below(contentOctetsMax)
    let recipients = 1 + below(3)
    let identifier = spool.beginContent()
    do {
      try spool.write(content(number, octets: octets), to: identifier, piece: 1 + below(2000))
      let fresh = Message(
        octets: octets, states: Array(repeating: .queued(stage: "route", attempts: 0, suspicions: 0), count: recipients)
      )
      var group: [Step] = [.accept(number, fresh)]
      var changes: [SpoolChange] = [
        .accept(stored(number, recipients: recipients, contentOctets: octets), content: identifier, stage: "route")
      ]
      if let parent, let old = current[parent] {
        let indices = Array(old.states.indices)
        group.append(.set(parent, indices, .moved(to: id(number))))
        changes.append(.recipients(id(parent), indices, .moved(to: id(number))))
      }
      pending.append(group)
      do { try spool.append(changes) } catch SpoolError.noSpace {
        pending.removeLast()
        throw SpoolError.noSpace
      }
    } catch {
      if error as? SpoolError == .noSpace { spool.abandon(identifier) }
      throw error
    }
  }

  mutating func close(_ spool: any SpoolEngine) throws {
    try spool.close()
    settle()
  }

  /// Checks what a recovery gave against the model and takes it over.
  mutating func check(_ recovered: [Recovered], _ fixture: any SpoolFixture, _ spool: any SpoolEngine) throws {
    var found: State = [:]
    for one in recovered {
      let number = Int(one.message.id.rawValue)
      found[number] = Message(octets: Int(one.message.contentOctets), states: one.states)
      let expected = stored(
        number, recipients: one.states.count, contentOctets: Int(one.message.contentOctets))
      #expect(one.message == expected)
      let octets = try fixture.octets(one.extents, of: spool)
      if octets != content(number, octets: Int(one.message.contentOctets)) {
        Issue.record("message \(number) has other content than was accepted")
      }
    }
    #expect(recovered.map(\.message.id) == recovered.map(\.message.id).sorted())
    var state = durable
    var matches = state == found
    for group in pending where !matches {
      state = Self.applying(group, to: state)
      matches = state == found
    }
    if !matches {
      let lost = durable.keys.filter { found[$0] == nil && current[$0] != nil }.sorted()
      let ghosts = found.keys.filter { durable[$0] == nil && current[$0] == nil }.sorted()
      Issue.record("recovered is no prefix of what was appended: lost \(lost), ghosts \(ghosts)")
    }
    durable = found
    pending = []
  }
}

/// Opens, recovers and checks; the notes of a log may tell of a torn end and nothing else.
func reopen(_ fixture: LogFixture, _ workload: inout Workload) throws -> LogSpool {
  let spool = try fixture.openLog()
  let recovered = try (spool as any SpoolEngine).recovered()
  #expect(spool.recoveryNotes.filter { $0.kind != .tornEnd } == [])
  #expect(spool.unreadableMessages == [])
  try workload.check(recovered, fixture, spool)
  return spool
}

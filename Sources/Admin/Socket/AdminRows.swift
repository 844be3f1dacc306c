internal import JSONText
internal import MailModel
internal import Pipeline
internal import Spool

// Plain values as the rows of docs/cli.md. Members without a value are left out.

/// An object from members of which some may be absent.
func row(_ members: [(String, JSONValue?)]) -> JSONValue {
  .object(members.compactMap { name, value in value.map { (name, $0) } })
}

extension JSONValue {
  init(_ time: WallTime) { self = .integer(Int(time.millisecondsSinceEpoch)) }
  init(octets: UInt64) { self = .integer(Int(clamping: octets)) }
}

extension QueueRow {
  var json: JSONValue {
    row([
      ("id", .string(id.description)), ("state", .string(state.rawValue)), ("stage", stage.map(JSONValue.string)),
      ("accepted_at", JSONValue(acceptedAt)), ("octets", JSONValue(octets: octets)),
      ("sender", .string(sender ?? "")), ("recipient", .string(recipient)), ("recipients", .integer(recipientCount)),
      ("attempts", .integer(Int(attempts))), ("next_try_at", nextTryAt.map { JSONValue($0) }),
      ("reason", reason.map(JSONValue.string)),
    ])
  }
}

extension MessageDetail {
  var json: JSONValue {
    let envelope = stored.envelope
    return row([
      ("id", .string(stored.id.description)), ("parent", stored.parent.map { .string($0.description) }),
      ("accepted_at", JSONValue(stored.acceptedAt)), ("origin", .string(stored.origin)),
      ("generation", .integer(Int(stored.generation))), ("octets", JSONValue(octets: stored.contentOctets)),
      ("sender", .string(envelope.reversePath?.text ?? "")),
      ("sender_kind", envelope.reversePath.map { .string($0.kind.word) }),
      ("envelope_id", envelope.envelopeID.map(JSONValue.string)), ("body", .string(envelope.bodyType.word)),
      ("smtputf8", .boolean(envelope.smtputf8)), ("attributes", attributesJSON(envelope.attributes)),
      ("recipients", .integer(recipientCount)), ("live", .integer(liveCount)),
    ])
  }
}

extension RecipientDetail {
  func json(_ id: QueueID) -> JSONValue {
    row([
      ("id", .string(id.description)), ("index", .integer(index)), ("recipient", .string(recipient.address.text)),
      ("kind", .string(recipient.address.kind.word)), ("state", .string(state.rawValue)),
      ("stage", stage.map(JSONValue.string)), ("attempts", .integer(Int(attempts))),
      ("next_try_at", nextTryAt.map { JSONValue($0) }), ("reason", reason.map(JSONValue.string)),
      ("attributes", attributesJSON(recipient.attributes)),
    ])
  }
}

func attributesJSON(_ attributes: [Attribute]) -> JSONValue? {
  guard !attributes.isEmpty else { return nil }
  return .array(
    attributes.map { .object([("name", .string($0.name)), ("value", .string($0.value))]) })
}

extension BodyType {
  var word: String {
    switch self {
    case .sevenBit: "7bit"
    case .eightBitMIME: "8bitmime"
    case .binaryMIME: "binarymime"
    }
  }
}

extension OrderResult {
  var json: JSONValue {
    row([
      ("id", .string(id.description)), ("found", .boolean(count != nil)),
      ("affected", .integer(count?.affected ?? 0)), ("busy", .integer(count?.busy ?? 0)),
    ])
  }
}

extension QueueShape {
  /// Largest first; the last row is the total.
  var json: [JSONValue] {
    let rows = destinations.map { key, counts in (key, counts, counts.reduce(0, +)) }.sorted {
      $0.2 != $1.2 ? $0.2 > $1.2 : ($0.0.stage, $0.0.destination) < ($1.0.stage, $1.0.destination)
    }
    return rows.map { key, counts, sum in
      row([
        ("stage", .string(key.stage)), ("destination", .string(key.destination)), ("recipients", .integer(sum)),
        ("by_age", .array(counts.map(JSONValue.integer))),
      ])
    } + [
      row([
        ("total", .boolean(true)), ("recipients", .integer(total.reduce(0, +))),
        ("by_age", .array(total.map(JSONValue.integer))),
        ("age_minutes", .array(Self.minutes.map(JSONValue.integer))),
      ])
    ]
  }
}

extension LedgerReport {
  var json: JSONValue {
    row([
      ("recovered", .integer(ledger.recovered)), ("accepted", .integer(ledger.accepted)),
      ("generated", .integer(ledger.generated)), ("delivered", .integer(ledger.delivered)),
      ("relayed", .integer(ledger.relayed)), ("transferred", .integer(ledger.transferred)),
      ("expanded", .integer(ledger.expanded)), ("failed", .integer(ledger.failed)), ("dead", .integer(ledger.dead)),
      ("moved", .integer(ledger.moved)), ("deleted", .integer(ledger.deleted)), ("queued", .integer(live.queued)),
      ("deferred", .integer(live.deferred)), ("held", .integer(live.held)), ("difference", .integer(difference)),
      (
        "holders",
        .array(
          holders.map { holder in
            row([
              ("stage", .string(holder.stage)), ("jobs", .integer(holder.jobs)),
              ("recipients", .integer(holder.recipients)), ("oldest_seconds", .integer(Int(holder.oldestSeconds))),
            ])
          })
      ),
    ])
  }
}

extension GatewayStatus {
  func json(processID: Int32, uptimeSeconds: Int, spool: SpoolFiles) -> JSONValue {
    row([
      ("version", .string(Version.text)), ("node", .string(node)), ("pid", .integer(Int(processID))),
      ("started_at", JSONValue(startedAt)), ("uptime_seconds", .integer(uptimeSeconds)),
      ("stopping", .boolean(isStopping)), ("messages", .integer(messages)), ("recipients", .integer(liveRecipients)),
      ("seconds_since_work", .integer(Int(secondsSinceWork))), ("spool_path", .string(spool.path)),
      ("spool_segments", .integer(spool.segmentCount)), ("spool_octets", .integer(spool.octets)),
      ("spool_room_octets", spoolRoomOctets.map { .integer(Int($0)) }), ("stages", .array(stages.map(\.json))),
      ("metrics", .object(metrics.sorted { $0.key < $1.key }.map { ($0.key, .integer(Int($0.value))) })),
    ])
  }
}

extension StageStatus {
  var json: JSONValue {
    row([
      ("stage", .string(id)), ("role", .string(role)), ("phase", .string(phase.rawValue)),
      ("restarts", .integer(restarts)), ("open_jobs", .integer(openJobs)), ("waiting", .integer(waiting)),
      ("complaint", complaint.map(JSONValue.string)),
    ])
  }
}

internal import Glibc
internal import JSONText
internal import MailModel
internal import Pipeline
internal import Platform

/// Answers requests about a running gateway.
struct GatewayResponder: AdminResponder {
  let control: GatewayControl

  func answer(
    _ verb: AdminVerb, _ request: JSONValue, body: (envelope: [UInt8], content: [UInt8])?,
    _ emit: (JSONValue) -> Bool
  ) throws(AdminFailure) {
    do throws(ControlError) {
      switch verb {
      case .status: _ = emit(statusRow(try control.status()))
      case .health:
        let health = try control.health()
        _ = emit(
          row([
            ("healthy", .boolean(health.isHealthy)), ("problems", .array(health.problems.map(JSONValue.string))),
          ]))
      case .ledger: _ = emit(try control.ledger().json)
      case .queueList: try list(request, emit)
      case .queueShow: try show(request, emit)
      case .queueShape:
        for row in try control.shape(try filter(request)).json { if !emit(row) { return } }
      case .queueHold: try order(.hold(reason: request["reason"]?.string ?? "held by an operator"), request, emit)
      case .queueRelease: try order(.release, request, emit)
      case .queueRetry: try order(.retry, request, emit)
      case .queueDelete:
        try order(.delete(reason: request["reason"]?.string ?? "deleted by an operator"), request, emit)
      case .inject: try inject(request, body, emit)
      case .trace: try trace(request, emit)
      }
    } catch {
      throw AdminFailure(error.description, error.isTemporary ? .temporary : .failed)
    }
  }

  private func statusRow(_ status: GatewayStatus) -> JSONValue {
    let uptime = WallTime.now().millisecondsSinceEpoch - status.startedAt.millisecondsSinceEpoch
    return status.json(
      processID: getpid(), uptimeSeconds: Int(max(0, uptime / 1000)),
      spool: SpoolFiles(control.gateway.pipeline.file.spool.path))
  }

  private func list(_ request: JSONValue, _ emit: (JSONValue) -> Bool) throws(ControlError) {
    var left = request["limit"]?.integer ?? Int.max
    guard left > 0 else { return }
    try control.forEachRow(try filter(request), after: request["after"]?.string.flatMap { QueueID($0) }) { row in
      left -= 1
      return emit(row.json) && left > 0
    }
  }

  private func show(_ request: JSONValue, _ emit: (JSONValue) -> Bool) throws(ControlError) {
    let id = try identifiers(request).first
    guard let id, var message = try control.message(id) else { throw .noSuchMessage }
    guard emit(message.json) else { return }
    var shown = 0
    while true {
      for recipient in message.recipients { if !emit(recipient.json(id)) { return } }
      shown += message.recipients.count
      guard !message.recipients.isEmpty, shown < message.recipientCount else { return }
      // It may have ended meanwhile; what was shown is what there was.
      guard let next = try control.message(id, recipientsFrom: shown) else { return }
      message = next
    }
  }

  private func order(
    _ order: Dispatcher.Order, _ request: JSONValue, _ emit: (JSONValue) -> Bool
  ) throws(ControlError) {
    let isDryRun = request["dry_run"]?.boolean ?? false
    let filter = try filter(request)
    if request["all"]?.boolean == true {
      try control.orderAll(order, filter, isDryRun: isDryRun) { results in
        results.allSatisfy { emit($0.json) }
      }
      return
    }
    for result in try control.order(order, try identifiers(request), filter, isDryRun: isDryRun) {
      if !emit(result.json) { return }
    }
  }

  private func inject(
    _ request: JSONValue, _ body: (envelope: [UInt8], content: [UInt8])?, _ emit: (JSONValue) -> Bool
  ) throws(ControlError) {
    guard let body, let place = request["at"]?.string else { throw .refused("an inject without a place") }
    let envelope: Envelope
    do throws(WireCodingError) {
      var reader = WireReader(body.envelope)
      envelope = try reader.readEnvelope()
      try reader.finish()
    } catch { throw .refused("the envelope cannot be understood: \(error)") }
    let id = try control.inject(envelope, body.content, at: place)
    _ = emit(row([("id", .string(id.description))]))
  }

  private func trace(_ request: JSONValue, _ emit: (JSONValue) -> Bool) throws(ControlError) {
    guard let id = try identifiers(request).first else { throw .noSuchMessage }
    var collector = TraceCollector(spoolPath: control.gateway.pipeline.file.spool.path)
    try collector.collect(id) { (id) throws(ControlError) in try control.message(id) }
    for event in collector.events { if !emit(event) { return } }
  }

  private func identifiers(_ request: JSONValue) throws(ControlError) -> [QueueID] {
    var ids: [QueueID] = []
    for value in request["ids"]?.array ?? [] {
      guard let text = value.string, let id = QueueID(text) else { throw .refused("not a queue identifier") }
      ids.append(id)
    }
    return ids
  }

  private func filter(_ request: JSONValue) throws(ControlError) -> QueueFilter {
    var filter = QueueFilter()
    filter.stage = request["stage"]?.string
    if let stage = filter.stage, control.gateway.pipeline.graph.node(stage) == nil { throw .noSuchStage(stage) }
    if let word = request["state"]?.string {
      guard let state = QueueState(rawValue: word) else { throw .refused("no such state") }
      filter.state = state
    }
    filter.sender = request["sender"]?.string
    filter.recipient = request["recipient"]?.string
    filter.destination = request["destination"]?.string
    filter.olderThanSeconds = request["older_than_seconds"]?.integer.map { Double($0) }
    return filter
  }
}

internal import DeadLetterStore
internal import JSONText
internal import MailModel
internal import PipelineConfig

extension Verb {
  private static let place = Option(
    "at", .text("STAGE"), "Where they go on; else the stage at which each ended, else the first router.")

  static let deadRequeue = Verb(
    name: "dead requeue", summary: "puts dead letters back into the running host, and drops them when that is durable",
    text: """
      Each goes on as a new message with the old envelope, to the recipients that ended here. Should the host go down
      just between, the letter is still there and may be put back twice; never is it lost.
      """,
    operands: [Operand(name: "ID", count: .any)],
    options: [DeadLetterAccess.all, place, .dryRun, .json, .config],
    examples: [
      ("interchange dead requeue 0CKZ3V7PW0000-1", "Once what was wrong is mended."),
      ("interchange dead requeue --all --at route --dry-run", "What would be put back, and where."),
    ]
  ) { arguments, console in
    DeadLetterAccess.with(arguments, console) { (store, file) throws(DeadLetterError) in
      guard let ids = try DeadLetterAccess.chosen(arguments, store, console) else { return .usage }
      var client: AdminClient?
      if !arguments.has(.dryRun) {
        do throws(AdminFailure) { client = try AdminClient(path: file.admin.socket) } catch {
          console.error(error.text)
          return error.exit
        }
      }
      var isRefused = false
      let (count, exit) = DeadLetterAccess.each(ids, console) { (id) throws(DeadLetterError) in
        let letter = try store.read(id)
        guard let stage = arguments.text(place) ?? DeadRequeue.place(of: letter, in: file) else {
          console.error("\(id): no stage is known for it; name one with --at")
          isRefused = true
          return true
        }
        guard let client else {
          console.line("\(id) would go to \(Shown.text(stage))")
          return true
        }
        switch try DeadRequeue.inject(letter, id, store, at: stage, client) {
        case .success(let number):
          try store.drop(id)
          console.line(
            arguments.has(.json)
              ? row([("letter", .string(id.description)), ("id", .string(number)), ("at", .string(stage))]).text
              : "\(id) goes on as \(Shown.text(number)) at \(Shown.text(stage))")
          return true
        case .failure(let failure):
          console.error("\(id): \(failure.text)")
          isRefused = true
          return failure.exit != .hostNotRunning && failure.exit != .temporary
        }
      }
      if !arguments.has(.json) {
        console.line(Amount.count(count, "letter") + (arguments.has(.dryRun) ? " would be put back" : " put back"))
      }
      return isRefused && exit == .done ? .failed : exit
    }
  }
}

enum DeadRequeue {
  /// Nil when neither its stage nor a router is in the pipeline.
  static func place(of letter: DeadLetter, in file: PipelineFile) -> String? {
    if let stage = file.stage(letter.stage), stage.id != PipelineGraph.deadID, stage.use != .builtin(.reports) {
      return stage.id
    }
    return file.stages.first { $0.use == .builtin(.router) }?.id
  }

  static func envelope(of letter: DeadLetter) -> Envelope {
    var envelope = letter.envelope
    envelope.recipients = letter.entries.map { entry in
      var recipient = entry.recipient
      // Why it ended here is no longer so.
      recipient.attributes.removeAll { $0.name.hasPrefix("dead.") }
      return recipient
    }
    return envelope
  }

  /// The number of the new message.
  static func inject(
    _ letter: DeadLetter, _ id: LetterID, _ store: DeadLetterStore, at stage: String, _ client: AdminClient
  ) throws(DeadLetterError) -> Result<String, AdminFailure> {
    var writer = WireWriter()
    writer.write(envelope(of: letter))
    guard letter.contentOctets <= UInt64(max(0, AdminLimits.bodyOctetsMax - writer.octets.count)) else {
      return .failure(AdminFailure("larger than \(Amount.octets(AdminLimits.bodyOctetsMax)); export it"))
    }
    var content: [UInt8] = []
    try store.forEachPiece(of: id) { (piece) throws(DeadLetterError) in
      content.append(contentsOf: piece)
      return content.count <= AdminLimits.bodyOctetsMax
    }
    guard UInt64(content.count) == letter.contentOctets else {
      throw .incomplete(octets: UInt64(content.count), announced: letter.contentOctets)
    }
    var number = ""
    do throws(AdminFailure) {
      try client.ask(.inject, [("at", .string(stage))], envelope: writer.octets, content: content) { row in
        number = row["id"]?.string ?? ""
      }
      return .success(number)
    } catch { return .failure(error) }
  }
}

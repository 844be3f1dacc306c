internal import JSONText
internal import Pipeline
internal import Spool

extension Verb {
  static let spoolVerify = Verb(
    name: "spool verify", summary: "reads a whole spool and checks every record; the host must not run",
    text: "Changes nothing. Without PATH, the pipeline file's spool. Exit code 1 when something is damaged or missing.",
    operands: [Operand(name: "PATH", count: .optional)], options: [.json, .config],
    examples: [("interchange spool verify var/spool", "After a disk has shown errors, or of a copy.")]
  ) { arguments, console in
    SpoolAccess.with(arguments, console) { (path) throws(SpoolError) in
      let report = try SpoolInspection.verify(path)
      console.output(arguments.has(.json) ? SpoolAccess.json(report).text + "\n" : SpoolAccess.text(report))
      return report.isSound ? .done : .failed
    }
  }

  static let spoolDump = Verb(
    name: "spool dump", summary: "prints every record of a spool; the host must not run",
    operands: [Operand(name: "PATH", count: .optional)], options: [.json, .config],
    examples: [("interchange spool dump var/spool | less", "Accepts, changes of recipients, pieces of content.")]
  ) { arguments, console in
    SpoolAccess.with(arguments, console) { (path) throws(SpoolError) in
      try SpoolInspection.dump(path) { record in
        guard arguments.has(.json) else {
          console.line(Shown.text(record.description, octetsMax: 4096))
          return
        }
        console.line(
          row([
            ("file", .string(record.file)), ("offset", JSONValue(octets: record.offset)),
            ("octets", JSONValue(octets: record.octets)), ("sequence", JSONValue(octets: record.sequence)),
            ("kind", .string(record.kind)),
            ("fields", .object(record.fields.map { ($0.name, .string($0.value)) })),
          ]).text)
      }
      return .done
    }
  }
}

private enum SpoolAccess {
  static func with(
    _ arguments: Arguments, _ console: Console, _ body: (String) throws(SpoolError) -> ExitCode
  ) -> ExitCode {
    let path: String
    if let operand = arguments.operands.first {
      path = operand
    } else {
      guard let file = PipelinePath.read(arguments, console) else { return .configuration }
      path = file.spool.path
    }
    do throws(SpoolError) { return try body(path) } catch {
      console.error(Shown.text(GatewayError.spool(error).description))
      return .failed
    }
  }

  private static func members(_ report: SpoolInspection.Report) -> [(String, Int)] {
    [
      ("segments", report.segments), ("octets", Int(clamping: report.octets)), ("records", report.records),
      ("pieces", report.pieces), ("piece_octets", Int(clamping: report.pieceOctets)), ("accepts", report.accepts),
      ("recipient_changes", report.recipientChanges), ("copies", report.copies),
      ("live_messages", report.liveMessages), ("live_recipients", report.liveRecipients),
    ]
  }

  static func json(_ report: SpoolInspection.Report) -> JSONValue {
    row(
      [("sound", .boolean(report.isSound))] + members(report).map { ($0.0, .integer($0.1)) } + [
        ("snapshot_messages", report.snapshotMessages.map(JSONValue.integer)),
        ("torn_end", report.tornEnd.map { .string($0.description) }),
        ("problems", .array(report.problems.map { .string($0.description) })),
      ])
  }

  static func text(_ report: SpoolInspection.Report) -> String {
    var text = report.isSound ? "sound\n" : "damaged\n"
    for problem in report.problems { text += "  \(Shown.text(problem.description))\n" }
    if let tornEnd = report.tornEnd { text += "  \(Shown.text(tornEnd.description))\n" }
    for (name, number) in members(report) {
      let words = String(name.map { $0 == "_" ? " " : $0 })
      text += "  " + Columns.padded(words, 18) + Columns.padded(String(number), 14, .right) + "\n"
    }
    return text
  }
}

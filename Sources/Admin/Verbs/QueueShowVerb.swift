internal import JSONText
internal import MailModel
internal import Platform

extension Verb {
  static let queueShow = Verb(
    name: "queue show", summary: "tells about messages: the envelope, and where each recipient stands",
    operands: [Operand(name: "ID", count: .oneOrMore)], options: [.json, .config],
    examples: [
      ("interchange queue show 0CKZ3V7PW0000", "Sender, size, and each recipient's stage, attempts and reason.")
    ]
  ) { arguments, console in
    let now = WallTime.now()
    var worst = ExitCode.done
    for id in arguments.operands {
      let exit = HostConnection.rows(arguments, console, .queueShow, [("ids", .array([.string(id)]))]) { row in
        RowText.messageRow(row, now: now)
      }
      if exit != .done { worst = exit }
    }
    return worst
  }
}

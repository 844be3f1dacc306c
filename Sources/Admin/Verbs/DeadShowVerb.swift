internal import DeadLetterStore
internal import MailModel

extension Verb {
  private static let content = Option("content", .flag, "The content as it is, and nothing else.")

  static let deadShow = Verb(
    name: "dead show", summary: "tells about a dead letter: envelope, reasons, history, or its content",
    operands: [Operand(name: "ID")], options: [content, .json, .config],
    examples: [
      ("interchange dead show 0CKZ3V7PW0000-1", "Why each of its recipients ended here."),
      ("interchange dead show 0CKZ3V7PW0000-1 --content > letter.eml", "The message."),
    ]
  ) { arguments, console in
    DeadLetterAccess.with(arguments, console) { (store, _) throws(DeadLetterError) in
      guard let id = LetterID(arguments.operands[0]) else { throw .noSuchLetter }
      if arguments.has(content) {
        // Octets, not text: to standard output and not through the console.
        try store.forEachPiece(of: id) { (piece) throws(DeadLetterError) in StandardOutput.write(piece) }
        return .done
      }
      let letter = try store.read(id)
      if arguments.has(.json) {
        for row in LetterRow.json(id, letter) { console.line(row.text) }
      } else {
        console.output(LetterRow.text(id, letter))
      }
      return .done
    }
  }
}

internal import DeadLetterStore

extension Verb {
  static let deadDrop = Verb(
    name: "dead drop", summary: "removes dead letters for good",
    operands: [Operand(name: "ID", count: .any)], options: [DeadLetterAccess.all, .dryRun, .config],
    examples: [
      ("interchange dead drop 0CKZ3V7PW0000-1", "One letter."),
      ("interchange dead drop --all --dry-run", "How many there are to lose."),
    ]
  ) { arguments, console in
    DeadLetterAccess.with(arguments, console) { (store, _) throws(DeadLetterError) in
      guard let ids = try DeadLetterAccess.chosen(arguments, store, console) else { return .usage }
      let isDryRun = arguments.has(.dryRun)
      let (count, exit) = DeadLetterAccess.each(ids, console) { (id) throws(DeadLetterError) in
        if !isDryRun { try store.drop(id) }
        return true
      }
      console.line(Amount.count(count, "letter") + (isDryRun ? " would be removed" : " removed"))
      return exit
    }
  }
}

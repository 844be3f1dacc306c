internal import DeadLetterStore

extension Verb {
  private static let directory = Option("to", .text("DIR"), isRequired: true, "The directory that gets the copies.")

  static let deadExport = Verb(
    name: "dead export", summary: "copies dead letters, each into a directory of its own",
    text: "Each copy has content.eml, letter.txt and history.txt. The letters stay.",
    operands: [Operand(name: "ID", count: .any)], options: [DeadLetterAccess.all, directory, .dryRun, .config],
    examples: [("interchange dead export --all --to /var/tmp/letters", "Before they are dropped.")]
  ) { arguments, console in
    DeadLetterAccess.with(arguments, console) { (store, _) throws(DeadLetterError) in
      guard let ids = try DeadLetterAccess.chosen(arguments, store, console) else { return .usage }
      let target = arguments.text(directory) ?? "."
      let isDryRun = arguments.has(.dryRun)
      let (count, exit) = DeadLetterAccess.each(ids, console) { (id) throws(DeadLetterError) in
        if isDryRun { _ = try store.read(id) } else { try store.export(id, to: target) }
        return true
      }
      console.line(Amount.count(count, "letter") + (isDryRun ? " would be copied" : " copied"))
      return exit
    }
  }
}

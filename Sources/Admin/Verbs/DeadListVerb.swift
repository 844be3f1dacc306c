internal import DeadLetterStore
internal import MailModel
internal import Platform

extension Verb {
  static let deadList = Verb(
    name: "dead list", summary: "lists the dead letters: what could be neither delivered nor reported",
    text: "Reads the store's directory; the host need not run.", options: [.limit, .json, .config],
    examples: [("interchange dead list", "Sender, recipient and reason of each, oldest message first.")]
  ) { arguments, console in
    DeadLetterAccess.with(arguments, console) { (store, _) throws(DeadLetterError) in
      let now = WallTime.now()
      let letters = try store.list()
      if !arguments.has(.json) { console.output(letters.isEmpty ? "there are no dead letters\n" : LetterRow.head) }
      for summary in letters.prefix(arguments.whole(.limit) ?? Int.max) {
        // A damaged letter is listed as such.
        let row = LetterRow.json(summary, try? store.read(summary.id))
        console.output(arguments.has(.json) ? row.text + "\n" : LetterRow.text(row, now: now))
      }
      return .done
    }
  }
}

extension Verb {
  static let ledger = Verb(
    name: "ledger", summary: "proves that nothing is lost: what came in, what ended, what lives, and the difference",
    text: """
      Counted in recipients since the host started. The live ones are counted one by one at that moment, so that a
      difference other than 0 is a fault of this program, and the exit code is then 1.
      """,
    options: [.json, .config],
    examples: [("interchange ledger", "came in = ended + live, and who holds what.")]
  ) { arguments, console in
    var difference = 0
    let exit = HostConnection.with(arguments, console) { (client) throws(AdminFailure) in
      try client.ask(.ledger) { row in
        difference = row["difference"]?.integer ?? 0
        console.output(arguments.has(.json) ? row.text + "\n" : RowText.ledger(row))
      }
      return .done
    }
    guard exit == .done else { return exit }
    return difference == 0 ? .done : .failed
  }
}

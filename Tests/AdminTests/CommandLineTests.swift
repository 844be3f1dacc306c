import Testing

@testable import Admin

/// What a run of the command line wrote.
final class Written {
  var output = ""
  var complaints = ""

  var console: Console {
    Console(output: { self.output += $0 }, complain: { self.complaints += $0 }, showsProgress: false)
  }
}

private let size = Option("size", letter: "s", .whole("N", 1...10), "How many.")
private let age = Option("older-than", .duration, "How old.")
private let kind = Option("kind", .choice(["big", "small"]), "Which.")
private let names = Option("to", .text("NAME"), isRequired: true, isRepeatable: true, "Who.")
private let verbs = [
  Verb(name: "list", summary: "lists", options: [size, age, kind, .json]) { _, _ in .done },
  Verb(
    name: "queue show", summary: "shows", operands: [Verb.Operand(name: "ID", count: .oneOrMore)], options: [.json]
  ) { _, _ in .done },
  Verb(name: "send", summary: "sends", operands: [Verb.Operand(name: "FILE")], options: [names]) { _, _ in .done },
]

private func parse(_ line: String) throws(UsageError) -> CommandLineParser.Command {
  try CommandLineParser.parse(line.split(separator: " ").map(String.init), verbs: verbs)
}

private func complaint(_ line: String) -> UsageError? {
  do throws(UsageError) {
    _ = try parse(line)
    return nil
  } catch { return error }
}

@Suite struct CommandLineTests {
  @Test func `values follow as the next word, after an equals sign, or behind a letter`() throws {
    #expect(try parse("list --size 3").arguments.whole(size) == 3)
    #expect(try parse("list --size=3").arguments.whole(size) == 3)
    #expect(try parse("list -s3").arguments.whole(size) == 3)
    #expect(try parse("list -s 3 --older-than 1h30m").arguments.seconds(age) == 5400)
    #expect(try parse("list --kind big --json").arguments.text(kind) == "big")
  }

  @Test func `options stand anywhere, two dashes end them, and one is an operand`() throws {
    let command = try parse("queue show a --json b")
    #expect(command.verb.name == "queue show")
    #expect(command.arguments.operands == ["a", "b"])
    #expect(command.arguments.has(.json))
    #expect(try parse("queue show -- --json").arguments.operands == ["--json"])
    #expect(try parse("send - --to a --to b").arguments.texts(names) == ["a", "b"])
  }

  @Test(
    arguments: [
      ("", "no verb", "interchange help lists them"), ("lsit", "there is no verb 'lsit'", "did you mean 'list'?"),
      ("queue", "queue what?", "one of: show"), ("queue sohw", "queue has no verb 'sohw'", "did you mean 'show'?"),
      ("list --sise 3", "list has no option '--sise'", "did you mean 'size'?"),
      ("list -x", "list has no option '-x'", "interchange help list lists them"),
      ("list --size", "--size needs a value", "-s, --size N"),
      ("list --size 11", "--size '11' is not a whole number from 1 to 10", nil),
      ("list --size 1 --size 2", "--size stands twice", nil),
      ("list --older-than 5", "--older-than '5' is a duration without a unit", "write 5s, 5m or 5h"),
      ("list --kind huge", "--kind cannot be 'huge'", "one of: big, small"),
      ("list --json=yes", "--json takes no value", nil), ("list a", "list has no place for 'a'", nil),
      ("queue show", "queue show needs ID", nil), ("send a", "send needs --to NAME", nil),
    ] as [(String, String, String?)])
  func `what makes no sense is said in words that help`(_ line: String, _ text: String, _ hint: String?) {
    let error = complaint(line)
    #expect(error?.text == text)
    if let hint { #expect(error?.hint == hint) }
  }

  @Test func `control characters of a command line do not reach the terminal`() {
    let written = Written()
    #expect(CommandLineInterface.run(["\u{1B}[2J"], console: written.console) == .usage)
    #expect(!written.complaints.contains("\u{1B}"))
  }

  @Test func `help is asked for in each of its ways`() {
    for words in [["help"], ["--help"], ["-h"]] {
      let written = Written()
      #expect(CommandLineInterface.run(words, console: written.console) == .done)
      #expect(written.output.contains("usage: interchange VERB"))
    }
    let one = Written()
    #expect(CommandLineInterface.run(["check", "-h"], console: one.console) == .done)
    let other = Written()
    #expect(CommandLineInterface.run(["help", "check"], console: other.console) == .done)
    #expect(one.output == other.output)
  }

  @Test func `every verb has help of at most 100 columns`() {
    #expect(Set(CommandLineInterface.verbs.map(\.name)).count == CommandLineInterface.verbs.count)
    for text in CommandLineInterface.verbs.map(HelpText.verb) + [HelpText.overview(CommandLineInterface.verbs)] {
      for line in text.split(separator: "\n") { #expect(line.count <= 100, "\(line)") }
    }
  }

  @Test func `every verb but help and version shows an example`() {
    for verb in CommandLineInterface.verbs where !["version"].contains(verb.name) {
      #expect(!verb.examples.isEmpty || verb.name == "run", "\(verb.name)")
    }
  }

  @Test func `help is laid out in columns`() {
    let verb = Verb(
      name: "queue show", summary: "shows messages", text: "More.", operands: [Verb.Operand(name: "ID")],
      options: [.limit, .json], examples: [("interchange queue show X", "Shows X.")]
    ) { _, _ in .done }
    #expect(
      HelpText.verb(verb) == """
        shows messages

        usage:  interchange queue show [--limit N] [--json] ID

        More.

        options:
              --limit N  Show at most so many rows.
              --json     One JSON object a line, see docs/cli.md.
          -h, --help     This text.

        examples:
          interchange queue show X
              Shows X.

        """)
  }

  @Test(arguments: [
    (0, "0s"), (119, "119s"), (120, "2m"), (7199, "119m"), (7200, "2h00m"), (172_799, "47h59m"), (172_800, "2d00h"),
    (-5, "0s"),
  ])
  func `ages are short`(_ seconds: Int, _ text: String) { #expect(Amount.age(seconds: seconds) == text) }

  @Test(arguments: [
    (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_048_575, "1023.9 KiB"), (1_048_576, "1.0 MiB"),
    (Int.max, "8388607.9 TiB"),
  ])
  func `sizes are short`(_ octets: Int, _ text: String) { #expect(Amount.octets(octets) == text) }

  @Test func `tables are as wide as they need`() {
    #expect(
      Columns.table(["ID", "N", "WHO"], [["a", "10", "x"], ["bbbb", "9", ""]], right: [1])
        == "ID     N  WHO\na     10  x\nbbbb   9\n")
  }
}

import PipelineConfig
import Testing

/// Reads text and gives the tree and what people would see.
func read(_ text: String) -> (root: ConfigNode?, shown: String) {
  var diagnostics = Diagnostics()
  let document = ConfigDocument.parse(text, file: "p.yaml", diagnostics: &diagnostics)
  return (document?.root, diagnostics.render())
}

struct DocumentTests {
  @Test func `every node and key knows its line and column`() throws {
    let root = try #require(read("a: 1\nb:\n  - x\n  - { c: \"y\" }\n").root)
    #expect(root.mark == ConfigMark(file: "p.yaml", line: 1, column: 1))
    #expect(root["a"]?.mark.description == "p.yaml:1:4")
    guard case .mapping(let entries) = root.content, case .sequence(let list)? = root["b"]?.content else {
      Issue.record("not a mapping with a list")
      return
    }
    #expect(entries[1].keyMark.description == "p.yaml:2:1")
    #expect(list[0].mark.description == "p.yaml:3:5")
    #expect(list[1]["c"]?.mark.description == "p.yaml:4:10")
  }

  @Test func `columns count characters and not octets`() throws {
    let root = try #require(read("{ ключ: значение }").root)
    #expect(root["ключ"]?.mark.column == 9)
  }

  @Test func `plain words that YAML would make booleans, numbers or nothing stay text`() throws {
    let root = try #require(read("[yes, no, on, off, true, null, 012, 0x1F, 1e3, ~, 12:30:45, 2001-01-01]").root)
    guard case .sequence(let nodes) = root.content else { return }
    #expect(
      nodes.map(\.text) == [
        "yes", "no", "on", "off", "true", "null", "012", "0x1F", "1e3", "~", "12:30:45", "2001-01-01",
      ])
  }

  @Test func `a duplicate key is shown with its first place, and the first value stands`() {
    let (root, shown) = read("node: a\nspool: {}\nnode: b\n")
    #expect(root?["node"]?.text == "a")
    #expect(
      shown == """
        p.yaml:3:1: error: key 'node' is already set in line 1
          3 | node: b
            | ^

        """)
  }

  @Test func `a tab as indentation is refused with its place, in block style`() {
    #expect(
      read("a:\n\tb: 1\n").shown == """
        p.yaml:2:1: error: a tab is used for indentation
          2 |  b: 1
            | ^
          hint: use spaces

        """)
  }

  @Test func `a tab as indentation is refused between brackets too, and may stand inside text`() {
    #expect(read("a: {\n  \tb: 1\n}\n").shown.hasPrefix("p.yaml:2:3: error: a tab is used for indentation\n"))
    #expect(read("a: |\n  x\n  \ty\nb: \"1\t2\"\n").shown == "")
  }

  @Test(arguments: [
    ("a: &x 1\nb: 2\n", "p.yaml:1:4: error: anchors (&name) are not allowed\n"),
    ("a: [1]\nb: *x\n", "p.yaml:2:4: error: aliases (*name) are not allowed\n"),
    ("a: !!python/object:os.system 1\n", "p.yaml:1:4: error: tags (!name) are not allowed\n"),
    ("a: !env [X]\n", "p.yaml:1:4: error: tags (!name) are not allowed\n"),
    ("<<: { a: 1 }\n", "p.yaml:1:1: error: merge keys (<<) are not allowed\n"),
    ("a: 1\n---\nb: 2\n", "p.yaml:2:1: error: a second document begins here; a configuration file is one document\n"),
    ("? [a]\n: b\n", "p.yaml:1:3: error: a key must be a single word, not a list\n"),
    ("{ {a: b}: c, d: 1 }\n", "p.yaml:1:3: error: a key must be a single word, not a mapping\n"),
    ("${env:A}: b\n", "p.yaml:1:1: error: substitution is for values, not for keys\n"),
    ("\"\": b\n", "p.yaml:1:1: error: a key is empty\n"),
    ("", "p.yaml:1:1: error: the file says nothing\n"),
    ("# nothing\n", "p.yaml:1:1: error: the file says nothing\n"),
    ("a: 'b\n", "p.yaml:2:1: error: this is not YAML: found unexpected end of stream"),
    ("a: b: c\n", "p.yaml:1:5: error: this is not YAML: mapping values are not allowed in this context"),
    ("a: \u{1}\n", "p.yaml:1:4: error: the file is not UTF-8 text without control characters: control characters"),
  ])
  func `what the language leaves out is refused at its place`(text: String, complaint: String) {
    let shown = read(text).shown
    #expect(shown.hasPrefix(complaint), "\(shown)")
  }

  @Test func `octets that are not UTF-8 are refused at their place`() {
    var diagnostics = Diagnostics()
    let octets: [UInt8] = Array("a: 1\nb: ä".utf8) + [0xFF, 0x0A]
    #expect(ConfigDocument.parse(octets, file: "p.yaml", diagnostics: &diagnostics) == nil)
    #expect(diagnostics.all.map(\.mark.description) == ["p.yaml:2:5"])
  }

  @Test func `a byte order mark is no part of the text`() {
    #expect(read("\u{FEFF}a: 1").root?["a"]?.mark.description == "p.yaml:1:4")
  }

  @Test func `a merely forbidden thing does not hide the next`() {
    let shown = read("a: &x 1\na: 2\nb: !t 3\n").shown
    #expect(shown.split(separator: "\n").count { $0.contains(": error: ") } == 3)
  }
}

/// A hostile file costs no more than an honest one: measured by the work libyaml was given, not by a clock.
struct DocumentBoundTests {
  private func refuse(_ text: String) -> (events: Int, characters: Int, shown: String) {
    var diagnostics = Diagnostics()
    var reader = DocumentReader(Array(text.utf8), file: "p.yaml")
    #expect(reader.read(&diagnostics) == nil)
    return (reader.eventCount, reader.charactersScanned, diagnostics.render())
  }

  @Test(arguments: ["[", "{", "- ", "? ", "{a: ", "[\n", "[ #\n", "[{a: ", "[[],"])
  func `a hundred thousand open brackets stop libyaml within its look-ahead`(piece: String) {
    let (events, characters, shown) = refuse(String(repeating: piece, count: 120_000))
    #expect(events <= 4 * ConfigLimits.depthMax)
    #expect(characters <= 8 * 1024)
    #expect(shown.contains("nested deeper than 64"), "\(shown)")
  }

  @Test func `sixty-four levels pass and sixty-five do not`() {
    #expect(read(String(repeating: "[", count: 64) + String(repeating: "]", count: 64)).root != nil)
    #expect(read(String(repeating: "[", count: 65) + String(repeating: "]", count: 65)).root == nil)
  }

  @Test func `a file above a mebibyte is never given to libyaml`() {
    let (events, characters, shown) = refuse(String(repeating: "#", count: ConfigLimits.fileOctetsMax + 1))
    #expect(events == 0 && characters == 0)
    #expect(shown == "p.yaml:1:1: error: the file is larger than 1048576 octets\n")
  }

  @Test func `a list of too many values is refused`() {
    let (events, _, shown) = refuse("[" + String(repeating: "a,", count: 200_000) + "]")
    #expect(events <= ConfigLimits.nodesMax + 8)
    #expect(shown.contains("more than 100000 values"))
  }

  @Test func `nested aliases are not expanded`() {
    var text = "a0: &a0 [x]\n"
    for level in 1...9 { text += "a\(level): &a\(level) [" + String(repeating: "*a\(level - 1),", count: 9) + "]\n" }
    let (events, _, shown) = refuse(text)
    #expect(events < 200)
    #expect(shown.contains("aliases (*name) are not allowed"))
  }
}

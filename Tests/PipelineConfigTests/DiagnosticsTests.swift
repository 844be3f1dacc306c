import PipelineConfig
import Testing

struct DiagnosticsTests {
  @Test func `all complaints come out in the order of the file, whoever found them first`() {
    var diagnostics = Diagnostics()
    _ = ConfigDocument.parse("a: 1\nb: 2\n", file: "p.yaml", diagnostics: &diagnostics)
    diagnostics.warning("second", at: ConfigMark(file: "p.yaml", line: 2, column: 4))
    diagnostics.error("first", at: ConfigMark(file: "p.yaml", line: 1, column: 1), hint: "look")
    #expect(
      diagnostics.render() == """
        p.yaml:1:1: error: first
          1 | a: 1
            | ^
          hint: look
        p.yaml:2:4: warning: second
          2 | b: 2
            |    ^

        """)
    #expect(diagnostics.hasErrors)
  }

  @Test func `a warning is no error`() {
    var diagnostics = Diagnostics()
    diagnostics.warning("x", at: .nowhere)
    #expect(!diagnostics.hasErrors && !diagnostics.isEmpty)
  }

  @Test func `JSON is one object a line with every member`() {
    var diagnostics = Diagnostics()
    diagnostics.error("a \"b\"\n", at: ConfigMark(file: "p.yaml", line: 3, column: 7))
    diagnostics.warning("c", at: ConfigMark(file: "p.yaml", line: 4, column: 1), hint: "d")
    #expect(
      diagnostics.renderJSON() == """
        {"severity":"error","file":"p.yaml","line":3,"column":7,"text":"a \\"b\\"\\n"}
        {"severity":"warning","file":"p.yaml","line":4,"column":1,"text":"c","hint":"d"}

        """)
  }

  @Test func `complaints beyond the bound are counted`() {
    var diagnostics = Diagnostics()
    for line in 1...ConfigLimits.diagnosticsMax + 5 {
      diagnostics.error("x", at: ConfigMark(file: "p.yaml", line: line, column: 1))
    }
    #expect(diagnostics.all.count == ConfigLimits.diagnosticsMax)
    #expect(diagnostics.render().hasSuffix("and 5 more\n"))
  }

  @Test func `a long line is cut around the caret, and control characters cannot reach the terminal`() {
    var diagnostics = Diagnostics()
    let text = String(repeating: "a", count: 300) + "\u{1B}[31mB" + String(repeating: "c", count: 300)
    _ = ConfigDocument.parse(text, file: "p.yaml", diagnostics: &diagnostics)
    let lines = diagnostics.render().split(separator: "\n")
    #expect(lines.count == 3)
    #expect(!diagnostics.render().contains("\u{1B}"))
    #expect(lines[1].count < 140)
    let caret = lines[2].firstIndex(of: "^").map { lines[2].distance(from: lines[2].startIndex, to: $0) } ?? 0
    #expect(Array(lines[1])[caret] == "\u{FFFD}")
  }
}

import MailModel
import PipelineConfig
import Testing

struct PipelineGraphTests {
  @Test func `the example of the design is proved, with ports and settings`() throws {
    let (_, built, diagnostics) = ExamplePipeline.load(ExamplePipeline.text)
    #expect(
      diagnostics.render() == """
        pipeline.yaml:9:3: warning: no stage uses module 'acme'; it is not loaded
          9 |   acme:    { file: /opt/acme/disclaimer.so, isolation: worker }
            |   ^

        """)
    let graph = try #require(built)
    let ids = graph.nodes.map(\.id)
    func ports(_ id: String) -> [String] { graph.node(id)?.ports.map { "\($0.name)→\(ids[$0.target])" } ?? [] }
    #expect(ports("imc_in") == ["out→validate"])
    #expect(ports("validate") == ["valid→route", "invalid→reports"])
    #expect(ports("route") == ["x400_out→x400_out", "msmi_out→msmi_out", "imc_out→imc_out"])
    #expect(ports("reports") == ["to→route"])
    #expect(ports("dead") == [])
    #expect(ids[graph.reports] == "reports" && ids[graph.dead] == "dead")
    #expect(graph.node("validate")?.settings.boolean("strict") == true)
    #expect(graph.node("imc_in")?.settings.endpoints("listen") == [Endpoint(host: "127.0.0.1", port: 2525)])
    #expect(graph.node("dead")?.settings.seconds("keep") == 7_776_000)
    #expect(graph.node("imc_in")?.isolation == .worker && graph.node("route")?.isolation == nil)
    let rules = try #require(graph.node("route")?.router)
    #expect(rules.rules.map(\.isTotal) == [false, false, true])
    #expect(rules.rules[0].matchers == [.recipientKind([.x400])])
    #expect(rules.rules.map(\.action) == [.forward(port: 0), .forward(port: 1), .forward(port: 2)])
  }

  @Test(arguments: [
    ("use: imc.source", "use: imx.source", "12:21 there is no module 'imx' under modules:"),
    ("use: imc.source", "use: imc.sorce", "12:21 module 'imc' offers no stage 'sorce'"),
    ("listen: [", "lisen: [", "12:43 unknown key 'lisen'"),
    ("config: { peer: \"127.0.0.1:10102\" }, ", "", "21:3 'peer' is missing"),
    ("config: { listen: [\"127.0.0.1:2525\"] }", "config: x", "12:41 a mapping belongs here, not a single value"),
    ("to: validate", "to: validat", "12:77 there is no stage 'validat'"),
    (", to: validate", "", "12:3 'to' is missing: the stage's output leads nowhere"),
    ("invalid: reports", "invlid: reports", "13:60 the stage has no output port 'invlid'"),
    (", invalid: reports", "", "13:44 output port 'invalid' leads nowhere"),
    ("to: { valid: route, invalid: reports }", "to: route", "13:44 the stage has 2 output ports"),
    ("use: imc.sink", "to: route, use: imc.sink", "23:20 a sink leads nowhere: it takes no 'to'"),
    (
      "reports:   { use: reports, to: route }", "",
      "12:3 there is no reports stage: failures could not be told to originators"
    ),
    (
      "dead:      { use", "grave:     { use",
      "12:3 there is no stage 'dead': what can be neither delivered nor reported would have no end"
    ),
    (
      "dead.letter, config: { path: var/dead, keep: 90d }", "address.validator, to: { valid: route, invalid: route }",
      "25:21 'dead' must be a sink, not a filter"
    ),
    (
      "reports:   {", "again:   { use: reports, to: route }\n  reports:   {",
      "25:3 there is a reports stage already, 'again' in line 24"
    ),
    ("reports, to: route", "reports, to: reports", "24:34 reports cannot be sent to the stage that makes them"),
    ("valid: route", "valid: imc_in", "13:53 'imc_in' is a source; nothing can be sent to it"),
    (
      "reports:   {", "lost:  { use: address.validator, to: { valid: route, invalid: reports } }\n  reports:   {",
      "24:3 no source leads to 'lost'"
    ),
    (
      "to: imc_out }", "to: validate }",
      "20:65 messages would go in a circle: validate → route → validate"
    ),
    (
      "use: router ", "isolation: inline\n    use: router ",
      "15:16 'isolation' means nothing for router, which is part of the host"
    ),
    ("use: router ", "to: x400_out\n    use: router ", "15:9 a router's rules say where messages go, not 'to'"),
    ("to: validate", "to: validate, retry: { expire: 2d }", "12:94 a source has no retries: its peer tries again"),
    ("to: msmi_out", "to: nowhere", "19:65 there is no stage 'nowhere'"),
    (
      "when: always, ", "when: { recipient.kind: smtp }, ", "20:19 the last rule must take every recipient that is left"
    ),
    ("[legacy.example]", "[legacy example]", "19:40 'legacy example' is not a domain"),
    ("[legacy.example]", "[]", "19:39 the list is empty"),
    ("recipient.kind: x400", "recipient.kind: x-400", "18:37 'x-400' is not one of its words"),
    ("recipient.kind: x400", "recipient.knd: x400", "18:21 unknown key 'recipient.knd'"),
    ("{ recipient.kind: x400 }", "{}", "18:19 no condition is written"),
    ("{ recipient.kind: x400 }", "sometimes", "18:19 'sometimes' is not 'always'"),
    ("{ recipient.kind: x400 }", "{ origin: imc_inn }", "18:29 there is no stage 'imc_inn'"),
    ("{ recipient.kind: x400 }", "{ origin: imc_out }", "18:29 'imc_out' is no source"),
    ("to: x400_out }", "to: x400_out, reject: {} }", "18:83 a rule has either 'to' or 'reject', not both"),
    (", to: imc_out }", "}", "20:11 the rule says neither 'to' nor 'reject'"),
    (" to: imc_out }", " reject: { code: 4.7.1 } }", "20:77 '4.7.1' is not an enhanced status code of class 5"),
    (
      " to: imc_out }", " reject: { text: \"a\\nb\" } }",
      "20:77 the text is not one line of at most 200 ASCII characters"
    ),
  ])
  func `each flaw of the wiring is named at its place`(old: String, new: String, complaint: String) {
    let edits = old == ", to: imc_out }" ? [("                                   to: imc_out }", " }")] : [(old, new)]
    let complaints = ExamplePipeline.complaints(edits)
    #expect(complaints.contains(complaint), "\(complaints)")
  }

  @Test func `a flaw is shown with its line, a caret and what was meant`() {
    let text = ExamplePipeline.edited([("to: { valid: route", "to: { valid: rout")])
    let rendered = ExamplePipeline.load(text).diagnostics.render()
    #expect(
      rendered.hasSuffix(
        """
        pipeline.yaml:13:53: error: there is no stage 'rout'
          13 |   validate:  { use: address.validator, to: { valid: rout, invalid: reports } }
             |                                                     ^
          hint: did you mean 'route'?

        """), "\(rendered)")
  }

  @Test func `without any source nothing would come in`() {
    let text = ExamplePipeline.edited([
      ("  imc_in:    { use: imc.source, config: { listen: [\"127.0.0.1:2525\"] }, to: validate }\n", "")
    ])
    let texts = ExamplePipeline.load(text).diagnostics.all.map(\.text)
    #expect(texts.contains("there is no source: nothing would ever come in"))
  }

  @Test func `a module that could not be read gets no second complaint`() throws {
    var diagnostics = Diagnostics()
    let file = try #require(ExamplePipeline.load(ExamplePipeline.text).file)
    let graph = PipelineGraph.build(
      file, declarations: ExamplePipeline.stages.filter { $0.module != "imc" }, unavailableModules: ["imc"],
      diagnostics: &diagnostics)
    #expect(graph == nil || diagnostics.isEmpty == false)
    #expect(!diagnostics.hasErrors, "\(diagnostics.render())")
  }

  @Test func `a chain of a thousand stages and a circle at its end are proved without recursion`() {
    var text =
      "version: 1\nnode: a.example\nmodules: { imc: { file: a }, address: { file: b }, dead: { file: c } }\nstages:\n"
    text += "  in: { use: imc.source, config: { listen: [\"a:1\"] }, to: s0 }\n"
    for index in 0..<900 {
      text +=
        "  s\(index): { use: address.validator, to: { valid: s\(index == 899 ? 450 : index + 1), invalid: reports } }\n"
    }
    text += "  reports: { use: reports, to: dead }\n  dead: { use: dead.letter, config: { path: x } }\n"
    let texts = ExamplePipeline.load(text).diagnostics.all.map(\.text)
    #expect(
      texts == ["messages would go in a circle: s450 → s451 → s452 → s453 → s454 → s455 → s456 → s457 → … → s450"])
  }

  @Test func `pictures name every stage and every wire`() throws {
    let graph = try #require(ExamplePipeline.load(ExamplePipeline.text).graph)
    let dot = graph.dot(title: "gw1.example.com")
    #expect(dot.hasPrefix("digraph pipeline {\n  rankdir=LR;\n  label=\"gw1.example.com\";\n"))
    #expect(dot.contains("  \"imc_in\" [shape=cds, label=\"imc_in\\nimc.source\"];\n"))
    #expect(dot.contains("  \"validate\" -> \"reports\" [label=\"invalid\"];\n"))
    #expect(dot.contains("  \"imc_out\" -> \"dead\" [style=dashed, color=gray];\n"))
    #expect(!dot.contains("\"dead\" -> "))
    let mermaid = graph.mermaid()
    #expect(mermaid.contains("  n1[\"validate<br/>address.validator\"]\n"))
    #expect(mermaid.contains("  n1 -->|invalid| n6\n"))
    #expect(mermaid.contains("  n5 -.-> n6\n"))
    #expect(graph.renderJSON().split(separator: "\n").count == graph.nodes.count + graph.edges.count)
  }
}

struct RouterRulesTests {
  private func complaints(_ rules: String) -> [String] {
    let text = ExamplePipeline.edited([
      ("        - { when: { recipient.kind: x400 },                 to: x400_out }\n", rules)
    ])
    return ExamplePipeline.load(text).diagnostics.all.map(\.text).filter { !$0.contains("acme") }
  }

  @Test(arguments: [
    ("legacy.example", true), (".example", true), ("\"*.example\"", true), (".legacy.example", false),
    ("other.example", false), ("LEGACY.Example.", true),
  ])
  func `a rule whose domains an earlier one takes is warned of`(domain: String, isCovered: Bool) {
    let found = complaints(
      "        - { when: { recipient.domain: \(domain) }, to: x400_out }\n        - { when: { recipient.kind: x400 }, to: x400_out }\n"
    )
    #expect(
      found.contains { $0 == "nothing reaches this rule: the rule in line 18 takes all that it would" } == isCovered)
  }

  @Test func `one alternative that an earlier rule takes is warned of by itself`() throws {
    let text = ExamplePipeline.edited([
      ("{ recipient.kind: x400 }", "{ recipient.domain: [a.example, legacy.example] }"),
      ("[legacy.example]", "[b.example, legacy.example]"),
    ])
    let warning = try #require(ExamplePipeline.load(text).diagnostics.all.first { $0.mark.line == 19 })
    #expect(warning.severity == .warning && warning.mark.column == 51)
    #expect(warning.text == "'legacy.example' is never reached here: the rule in line 18 takes it")
  }

  @Test func `a rule after always, and one with more conditions than an earlier one, are warned of`() {
    #expect(
      complaints(
        """
                - { when: { recipient.kind: [x400, msmail] }, to: x400_out }
                - { when: { recipient.kind: x400, size.over: 1MiB }, to: msmi_out }
                - { when: { sender.kind: null, size.over: 2MiB }, reject: { code: 5.3.4, text: Too large } }
                - { when: { sender.kind: null, size.over: 1MiB }, to: imc_out }

        """) == ["nothing reaches this rule: the rule in line 18 takes all that it would"])
  }

  @Test func `every matcher becomes its type`() throws {
    let text = ExamplePipeline.edited([
      (
        "{ recipient.kind: x400 }",
        "{ recipient.kind: [smtp, x400], recipient.domain: [.a.example, B.example], recipient.address: Me@A.example,"
          + " sender.kind: [smtp, null], sender.domain: \"*.c.example\", origin: [imc_in, reports], size.over: 10MiB }"
      )
    ])
    let (_, graph, diagnostics) = ExamplePipeline.load(text)
    let rule = try #require(graph?.node("route")?.router?.rules.first, "\(diagnostics.render())")
    let domains = try [#require(DomainPattern(".a.example")), #require(DomainPattern("b.example"))]
    #expect(
      rule.matchers == [
        .recipientKind([.smtp, .x400]), .recipientDomain(DomainSet(domains)), .recipientAddress(["me@a.example"]),
        .senderKind([.kind(.smtp), .null]), .senderDomain(DomainSet([try #require(DomainPattern(".c.example"))])),
        .origin(["imc_in", "reports"]), .sizeOver(octets: 10 << 20),
      ])
  }

  @Test(arguments: [
    ("a.example", "a.example", true), ("a.example", "A.Example.", true), ("a.example", "x.a.example", false),
    (".a.example", "x.a.example", true), (".a.example", "y.x.a.example", true), (".a.example", "a.example", false),
    (".a.example", "xa.example", false), ("[192.0.2.1]", "[192.0.2.1]", true), ("*.example", "b.example", true),
  ])
  func `a domain pattern means the domain or all below it`(pattern: String, domain: String, matches: Bool) throws {
    #expect(DomainSet([try #require(DomainPattern(pattern))]).contains(domain) == matches)
  }

  @Test(arguments: ["", ".", "*", "*.", "a..b", "a b", "@a", "a@b", "a/b", "*.*.b", "[a b]", "..a"])
  func `what is no domain is refused`(text: String) {
    #expect(DomainPattern(text) == nil)
  }

  @Test func `a list of thirty thousand domains is read and compared without its square`() throws {
    let domains = (0..<30_000).map { "d\($0).example" }.joined(separator: ",")
    let text = ExamplePipeline.edited([
      ("{ recipient.kind: x400 }", "{ recipient.domain: [\(domains)] }"), ("[legacy.example]", "[\(domains)]"),
    ])
    let texts = ExamplePipeline.load(text).diagnostics.all.map(\.text)
    #expect(texts.contains("nothing reaches this rule: the rule in line 18 takes all that it would"))
  }
}

import PipelineConfig
import Testing

/// The example of the design, and what its modules offer.
enum ExamplePipeline {
  static let text = """
    version: 1
    node: gw1.example.com
    modules:                       # nothing is loaded that is not listed
      imc:     { file: libimc.so }           # a bare name: beside the binary or in the installed module directory
      x400:    { file: libx400.so }
      msmi:    { file: libmsmi.so }
      address: { file: libaddress-validator.so }
      dead:    { file: libdead-letter.so }
      acme:    { file: /opt/acme/disclaimer.so, isolation: worker }
    spool: { engine: embedded, path: var/spool, min_free: 5%, max_message: 50MiB }
    stages:
      imc_in:    { use: imc.source, config: { listen: ["127.0.0.1:2525"] }, to: validate }
      validate:  { use: address.validator, to: { valid: route, invalid: reports } }
      route:
        use: router                # built in; per recipient, first match wins, the last rule is total
        config:
          rules:
            - { when: { recipient.kind: x400 },                 to: x400_out }
            - { when: { recipient.domain: [legacy.example] },   to: msmi_out }
            - { when: always,                                   to: imc_out }
      x400_out:  { use: x400.sink, config: { peer: "127.0.0.1:10102" }, retry: { schedule: [2m, 10m, 1h], expire: 2d } }
      msmi_out:  { use: msmi.sink, config: { store: var/msmail } }
      imc_out:   { use: imc.sink, config: { next_hop: "127.0.0.1:2526" } }   # without next_hop: MX lookup
      reports:   { use: reports, to: route }
      dead:      { use: dead.letter, config: { path: var/dead, keep: 90d } }
    admin: { socket: var/interchange.sock }

    """

  static let stages: [StageDeclaration] = [
    StageDeclaration(
      module: "imc", name: "source", kind: .source, ports: ["out"],
      settings: [SettingDeclaration("listen", .list(of: .endpoint, atLeast: 1), isRequired: true, summary: "Where.")],
      summary: "Takes mail by SMTP."),
    StageDeclaration(
      module: "imc", name: "sink", kind: .sink, ports: [],
      settings: [SettingDeclaration("next_hop", .endpoint, summary: "Instead of MX lookup.")],
      summary: "Relays mail by SMTP."),
    StageDeclaration(
      module: "x400", name: "sink", kind: .sink, ports: [],
      settings: [SettingDeclaration("peer", .endpoint, isRequired: true)]),
    StageDeclaration(
      module: "msmi", name: "sink", kind: .sink, ports: [],
      settings: [SettingDeclaration("store", .path, isRequired: true)]),
    StageDeclaration(
      module: "address", name: "validator", kind: .filter, ports: ["valid", "invalid"],
      settings: [SettingDeclaration("strict", .boolean, default: "true")]),
    StageDeclaration(
      module: "dead", name: "letter", kind: .sink, ports: [],
      settings: [
        SettingDeclaration("path", .path, isRequired: true),
        SettingDeclaration("keep", .duration(), default: "30d"),
      ]),
  ]

  /// The example with pieces of its text replaced; a piece that is not there is a mistake of the test.
  static func edited(_ edits: [(String, String)]) -> String {
    var result = text
    for (old, new) in edits {
      #expect(result.contains(old), "the example has no \(old)")
      result = result.split(separator: old, maxSplits: 1, omittingEmptySubsequences: false).joined(separator: new)
    }
    return result
  }

  static func load(_ text: String) -> (file: PipelineFile?, graph: PipelineGraph?, diagnostics: Diagnostics) {
    var diagnostics = Diagnostics()
    let substitution = Substitution(environment: ["PORT": "2525"], secretsDirectory: nil)
    let file = PipelineFile.parse(
      Array(text.utf8), path: "pipeline.yaml", substitution: substitution, diagnostics: &diagnostics)
    let graph = file.flatMap {
      PipelineGraph.build($0, declarations: Self.stages, diagnostics: &diagnostics)
    }
    return (file, graph, diagnostics)
  }

  /// Complaints as `line:column text`, without the one about the unused module that the example itself earns.
  static func complaints(_ edits: [(String, String)]) -> [String] {
    load(edited(edits)).diagnostics.all.filter { !$0.text.contains("no stage uses module 'acme'") }.map {
      "\($0.mark.line):\($0.mark.column) \($0.text)"
    }
  }
}

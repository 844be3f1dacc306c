import PipelineConfig
import Testing

/// SplitMix64: the same sequence for the same seed.
private struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}

struct MutationTests {
  private static let pieces = [
    "[", "]", "{", "}", ":", ": ", "- ", "\n", "\n  ", "\t", "#", "&a ", "*a", "!t ", "\"", "'", "|", ">", "%", "@",
    "?",
    "${env:PORT}", "${secret:x}", "${", "<<: ", "---\n", "...\n", "\u{0}", "\u{FEFF}", "\u{2028}", "é", "\r", "~",
    "yes",
    "99999999999999999999", "-1", "5%", "1h30m", ".", "*.", "reports", "router", "dead", "imc_in", "always",
  ]

  @Test(arguments: [1, 2, 3, 4])
  func `no damage to the example traps, and what is refused says so`(seed: UInt64) {
    var generator = SeededGenerator(state: seed)
    let original = Array(ExamplePipeline.text.utf8)
    for _ in 0..<400 {
      var octets = original
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        let position = Int.random(in: 0..<octets.count, using: &generator)
        let end = min(octets.count, position + Int.random(in: 0...12, using: &generator))
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: octets[position] = UInt8.random(in: 0...255, using: &generator)
        case 1: octets.removeSubrange(position..<end)
        case 2:
          octets.insert(contentsOf: octets[position..<end], at: Int.random(in: 0..<octets.count, using: &generator))
        default: octets.insert(contentsOf: Self.pieces.randomElement(using: &generator)?.utf8 ?? "".utf8, at: position)
        }
        if octets.isEmpty { octets = original }
      }
      var diagnostics = Diagnostics()
      let file = PipelineFile.parse(
        octets, path: "pipeline.yaml",
        substitution: Substitution(environment: ["PORT": "2525"], secretsDirectory: "/nonexistent"),
        diagnostics: &diagnostics)
      let graph = file.flatMap {
        PipelineGraph.build($0, declarations: ExamplePipeline.stages, diagnostics: &diagnostics)
      }
      #expect((graph == nil) == diagnostics.hasErrors)
      for diagnostic in diagnostics.all { #expect(diagnostic.mark.line >= 1 && diagnostic.mark.column >= 1) }
      #expect(!diagnostics.render().unicodeScalars.contains { $0.value < 0x20 && $0 != "\n" })
    }
  }
}

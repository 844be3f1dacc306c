import MailModel
import PipelineConfig
import Testing

struct ConfigWireTests {
  private static let declarations = [
    SettingDeclaration("a", .string), SettingDeclaration("b", .integer()), SettingDeclaration("c", .boolean),
    SettingDeclaration("d", .size()), SettingDeclaration("e", .duration()), SettingDeclaration("f", .percent),
    SettingDeclaration("g", .choice(["x", "y"])), SettingDeclaration("h", .endpoint), SettingDeclaration("i", .path),
    SettingDeclaration("j", .list(of: .string)), SettingDeclaration("k", .mapping(of: .integer())),
    SettingDeclaration("l", .any), SettingDeclaration("m", .string, isSecret: true),
    SettingDeclaration("n", .list(of: .duration()), default: "[1m, 2m]"),
  ]

  private func value() -> ConfigValue {
    let (value, shown) = check(
      """
      { a: ä, b: -1, c: true, d: 1KiB, e: 500ms, f: 2.5%, g: y, h: "[::1]:25", i: /x, j: [p, q], k: { r: 1 },
        l: { s: ["t", u] }, m: secret }
      """, Self.declarations)
    #expect(shown == "")
    return value
  }

  @Test func `settings survive the way to a worker with every place and every secret`() throws {
    let value = value()
    let arrived = try ConfigValue(encoded: value.encoded())
    #expect(arrived == value)
    #expect(arrived["m"]?.isSecret == true)
    #expect(arrived.descendant(["j", "1"])?.mark.description == "p.yaml:1:88")
    #expect(arrived["n"]?.isDefault == true)
  }

  @Test func `octets cut anywhere are an error, and damaged ones never trap`() {
    let octets = value().encoded()
    for count in octets.indices {
      #expect(throws: WireCodingError.self) { try ConfigValue(encoded: Array(octets[..<count])) }
    }
    for index in octets.indices {
      for octet in [0, 1, 0x7F, 0xFF] as [UInt8] {
        var damaged = octets
        damaged[index] = octet
        _ = try? ConfigValue(encoded: damaged)  // any answer will do, as long as there is one
      }
    }
  }

  @Test func `a tree deeper than any file is refused`() {
    var value = ConfigValue(.list([]), at: .nowhere)
    for _ in 0..<100 { value = ConfigValue(.list([value]), at: .nowhere) }
    #expect(throws: WireCodingError.invalid("depth")) { try ConfigValue(encoded: value.encoded()) }
  }

  @Test func `a complaint survives the way to the host, and a damaged one never traps`() throws {
    let complaint = Diagnostic(.warning, "text", at: ConfigMark(file: "p", line: 3, column: 4), hint: "hint")
    var writer = WireWriter()
    writer.write(complaint)
    var reader = WireReader(writer.octets)
    #expect(try reader.readDiagnostic() == complaint)
    try reader.finish()
    for index in writer.octets.indices {
      for octet in [0, 0x0A, 0xFF] as [UInt8] {
        var damaged = writer.octets
        damaged[index] = octet
        var reader = WireReader(damaged)
        _ = try? reader.readDiagnostic()  // any answer will do, as long as there is one
      }
    }
  }
}

import PipelineConfig
import Testing

/// Validates one mapping and gives the record and what people would see.
func check(_ text: String, _ declarations: [SettingDeclaration]) -> (value: ConfigValue, shown: String) {
  var diagnostics = Diagnostics()
  let document = ConfigDocument.parse(text, file: "p.yaml", diagnostics: &diagnostics)
  let value = SettingValidator.validate(
    document?.root, against: declarations, owner: ConfigMark(file: "p.yaml", line: 1, column: 1),
    diagnostics: &diagnostics)
  return (value, diagnostics.render())
}

struct SettingTests {
  static let declarations = [
    SettingDeclaration(
      "listen", .list(of: .endpoint, atLeast: 1), isRequired: true, summary: "Where connections are taken."),
    SettingDeclaration("banner", .string),
    SettingDeclaration("starttls", .boolean, default: "true"),
    SettingDeclaration("sessions", .integer(1...10_000), default: "100"),
    SettingDeclaration("message_max", .size(octets: 1...1 << 40), default: "50MiB"),
    SettingDeclaration("timeout", .duration(seconds: 1...3600), default: "5m"),
    SettingDeclaration("schedule", .list(of: .duration()), default: "[2m, 10m, 1h30m]"),
    SettingDeclaration("reserve", .either([.percent, .size()])),
    SettingDeclaration("mode", .choice(["strict", "tolerant"])),
    SettingDeclaration("store", .path),
    SettingDeclaration("password", .string, isSecret: true),
    SettingDeclaration("tls", .record([SettingDeclaration("certificate", .path, isRequired: true)])),
    SettingDeclaration("names", .mapping(of: .integer())),
  ]

  @Test func `values become what is declared, with defaults, and keep their places`() {
    let (value, shown) = check(
      """
      listen: ["127.0.0.1:2525", "[::1]:25", mx.example.com:0]
      banner: yes
      sessions: 7
      message_max: 10KB
      timeout: 1h
      reserve: 2.5%
      names: { a: 1, b: -2 }
      tls: { certificate: etc/cert.pem }
      """, Self.declarations)
    #expect(shown == "")
    #expect(
      value.endpoints("listen") == [
        Endpoint(host: "127.0.0.1", port: 2525), Endpoint(host: "::1", port: 25),
        Endpoint(host: "mx.example.com", port: 0),
      ])
    #expect(value.string("banner") == "yes")
    #expect(value.boolean("starttls") == true)
    #expect(value["starttls"]?.isDefault == true)
    #expect(value.integer("sessions") == 7)
    #expect(value.octets("message_max") == 10_000)
    #expect(value.seconds("timeout") == 3600)
    #expect(value.list("schedule").compactMap(\.seconds) == [120, 600, 5400])
    #expect(value.percent("reserve") == 2.5)
    #expect(value["names"]?.integer("b") == -2)
    #expect(value["tls"]?.string("certificate") == "etc/cert.pem")
    #expect(value["tls"]?["certificate"]?.mark.description == "p.yaml:8:21")
    #expect(value.descendant(["listen", "1"])?.mark.description == "p.yaml:1:28")
    #expect(value.string("mode") == nil)
  }

  @Test func `all complaints of one mapping are shown together`() {
    #expect(
      check(
        """
        lisen: ["127.0.0.1:2525"]
        starttls: yes
        timeout: 30
        mode: strikt
        """, Self.declarations
      ).shown == """
        p.yaml:1:1: error: unknown key 'lisen'
          1 | lisen: ["127.0.0.1:2525"]
            | ^
          hint: did you mean 'listen'?
        p.yaml:1:1: error: 'listen' is missing
          1 | lisen: ["127.0.0.1:2525"]
            | ^
          hint: listen: Where connections are taken.
        p.yaml:2:11: error: 'yes' is neither true nor false
          2 | starttls: yes
            |           ^
          hint: write true
        p.yaml:3:10: error: '30' is a duration without a unit
          3 | timeout: 30
            |          ^
          hint: write 30s, 30m or 30h
        p.yaml:4:7: error: 'strikt' is not one of its words
          4 | mode: strikt
            |       ^
          hint: did you mean 'strict'?

        """)
  }

  @Test(arguments: [
    ("starttls: \"true\"", "'true' is text, not a boolean", "write true or false without quotes"),
    ("starttls: True", "'True' is neither true nor false", "write true"),
    ("sessions: \"7\"", "'7' is text, not a whole number", "write it without quotes"),
    ("sessions: 0", "'0' is less than 1", nil),
    ("sessions: 10001", "'10001' is more than 10000", nil),
    ("sessions: 007", "'007' is not a whole number", nil),
    ("sessions: 99999999999999999999", "'99999999999999999999' is not a whole number", nil),
    ("sessions: 1.5", "'1.5' is not a whole number", nil),
    ("message_max: 50", "'50' is a size without a unit", "write 50B, 50KiB, 50MiB or 50GiB"),
    ("message_max: 50mib", "'50mib' has an unknown unit 'mib'", "did you mean 'MiB'?"),
    ("message_max: 9999999999TiB", "'9999999999TiB' is too large", nil),
    ("message_max: 2TiB", "'2TiB' is more than 1099511627776B", nil),
    ("timeout: 2h", "'2h' is more than 1h", nil),
    ("timeout: 500ms", "'500ms' is less than 1s", nil),
    ("timeout: 5m1h", "'5m1h' does not name its units from the largest to the smallest, each once", nil),
    ("timeout: 5 minutes", "'5 minutes' is not a duration", nil),
    ("timeout: 1h30", "'1h30' is not a duration", nil),
    ("timeout: 5M", "'5M' has an unknown unit 'M'", "one of: w, d, h, m, s, ms"),
    ("timeout: 99999999999999w", "'99999999999999w' is too long", nil),
    ("timeout: -5m", "'-5m' is not a duration", nil),
    ("reserve: 101%", "'101%' is not a percentage or a size", nil),
    ("listen: 127.0.0.1:25", "a list (each an endpoint (host:port)) belongs here, not a single value", nil),
    ("listen: []", "the list is empty", nil),
    ("listen: [localhost]", "'localhost' has no port", nil),
    ("listen: [\"::1:25\"]", "'::1:25' has an IPv6 address without brackets", nil),
    ("listen: [\"a:65536\"]", "'a:65536' has a port that is not a number from 0 to 65535", nil),
    ("listen: [\":25\"]", "':25' has no host before its port", nil),
    ("banner: [a]", "text belongs here, not a list", nil),
    ("banner:", "text belongs here, not nothing", nil),
    ("tls: {}", "'certificate' is missing", nil),
    ("tls: x", "a mapping belongs here, not a single value", nil),
    ("names: { a: x }", "'x' is not a whole number", nil),
    ("store: \"\"", "'' is not a path", nil),
  ])
  func `a value that does not fit says why`(text: String, complaint: String, hint: String?) throws {
    var diagnostics = Diagnostics()
    let root = try #require(ConfigDocument.parse(text, file: "p", diagnostics: &diagnostics)?.root)
    let declarations = Self.declarations.map { declaration in
      var declaration = declaration
      declaration.isRequired = false
      if declaration.name == "tls" {
        declaration.type = .record([SettingDeclaration("certificate", .path, isRequired: true)])
      }
      return declaration
    }
    _ = SettingValidator.validate(root, against: declarations, owner: root.mark, diagnostics: &diagnostics)
    #expect(diagnostics.all.map(\.text) == [complaint])
    if let hint { #expect(diagnostics.all.first?.hint == hint) }
  }

  @Test func `a module's default that does not fit its own type is an error, not a trap`() {
    let shown = check("{}", [SettingDeclaration("x", .duration(), default: "[")]).shown
    #expect(shown.hasPrefix("p.yaml:1:1: error: the module's own default '[' for 'x' is not a duration\n"))
  }

  @Test(arguments: [(0, "0s"), (1, "0s"), (90_000_000_000, "1m30s"), (172_800_000_000_000, "2d")])
  func `a duration is shown as it would be written`(nanoseconds: Int64, text: String) {
    #expect(durationText(nanoseconds: nanoseconds) == text)
  }
}

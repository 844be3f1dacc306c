import Glibc
import PipelineConfig
import Testing

struct PipelineFileTests {
  @Test func `the example of the design is read whole`() throws {
    let (loaded, _, diagnostics) = ExamplePipeline.load(ExamplePipeline.text)
    let file = try #require(loaded, "\(diagnostics.render())")
    #expect(file.node == "gw1.example.com")
    #expect(file.modules.map(\.name) == ["imc", "x400", "msmi", "address", "dead", "acme"])
    #expect(file.module("acme")?.file == "/opt/acme/disclaimer.so")
    #expect(file.module("imc")?.isolation == .worker)
    #expect(
      file.spool
        == SpoolEntry(
          mark: ConfigMark(file: "pipeline.yaml", line: 10, column: 8), engine: .embedded, path: "var/spool",
          freeMin: .percent(5), messageOctetsMax: 50 << 20, segmentOctets: 64 << 20))
    #expect(file.stages.map(\.id).first == "imc_in" && file.stages.count == 8)
    let out = try #require(file.stage("x400_out"))
    #expect(out.use == .module("x400", stage: "sink"))
    #expect(out.retry == RetrySchedule(delaysSeconds: [120, 600, 3600], expireSeconds: 172_800, jitterFraction: 0.1))
    #expect(file.stage("imc_out")?.retry.delaysSeconds == [120, 600, 1800, 3600])
    #expect(file.stage("reports")?.use == .builtin(.reports))
    #expect(file.admin.socket == "var/interchange.sock")
  }

  @Test func `what is left out of a file has its default`() throws {
    let file = try #require(ExamplePipeline.load("{ version: 1, node: a.example, stages: {} }").file)
    #expect(file.spool.path == "var/spool")
    #expect(file.spool.freeMin == .percent(5))
    #expect(file.admin.socket == "var/interchange.sock")
    #expect(file.modules.isEmpty)
  }

  @Test(arguments: [
    ("version: 1", "version: 2", "1:10 version 2 of the format is not known"),
    ("version: 1", "version: one", "1:10 'one' is not a whole number"),
    ("version: 1", "{}", "2:1 this is not YAML"),
    ("node: gw1.example.com", "node: gw 1", "2:7 'gw 1' is not a domain name"),
    ("node: gw1.example.com", "nodes: gw1.example.com", "2:1 unknown key 'nodes'"),
    ("imc:     { file", "\"i m\": { file", "4:3 'i m' is not a name"),
    ("imc:     { file", "router:  { file", "4:3 'router' is the name of a stage of the host"),
    ("isolation: worker", "isolation: process", "9:56 'process' is not one of its words"),
    ("engine: embedded", "engine: rabbitmq", "10:18 'rabbitmq' is not 'embedded'"),
    ("min_free: 5%", "min_free: 5", "10:55 '5' is not a percentage or a size"),
    ("max_message: 50MiB", "max_message: 50", "10:72 '50' is a size without a unit"),
    ("max_message: 50MiB", "max_message: 1B", "10:72 '1B' is less than 1024B"),
    ("use: router ", "use: routr ", "15:10 'routr' names no stage"),
    ("use: imc.source", "use: imc.source.x", "12:21 'imc.source.x' names no stage"),
    ("imc_in: ", "imc/in: ", "12:3 'imc/in' is not a name"),
    ("to: validate", "to: [validate]", "12:77 a name or a mapping belongs here, not a list"),
    ("[2m, 10m, 1h]", "[2m, 10, 1h]", "21:93 '10' is a duration without a unit"),
    ("[2m, 10m, 1h]", "[]", "21:88 the list is empty"),
    ("[2m, 10m, 1h]", "[100ms]", "21:89 '100ms' is less than 1s"),
    ("expire: 2d", "expire: 2d, jitter: 60%", "21:123 '60%' is more than 50%"),
    ("admin: {", "admin: { http: \"127.0.0.1:8025\",", "26:10 unknown key 'http'"),
  ])
  func `each part that is wrong is named at its place`(old: String, new: String, complaint: String) {
    let complaints = ExamplePipeline.complaints([(old, new)])
    #expect(complaints.contains { $0.hasPrefix(complaint) }, "\(complaints)")
  }

  @Test func `several mistakes are shown in one run, exactly so`() {
    let text = ExamplePipeline.edited([
      ("spool: { engine", "spol: { engine"), ("{ use: msmi.sink", "{ us: msmi.sink"), ("use: router ", "use: routr "),
    ])
    let rendered = ExamplePipeline.load(text).diagnostics.render()
    #expect(
      rendered == """
        pipeline.yaml:10:1: error: unknown key 'spol'
          10 | spol: { engine: embedded, path: var/spool, min_free: 5%, max_message: 50MiB }
             | ^
          hint: did you mean 'spool'?
        pipeline.yaml:15:10: error: 'routr' names no stage
          15 |     use: routr                # built in; per recipient, first match wins, the last rule is total
             |          ^
          hint: did you mean 'router'?
        pipeline.yaml:22:14: error: 'use' is missing
          22 |   msmi_out:  { us: msmi.sink, config: { store: var/msmail } }
             |              ^
          hint: use: MODULE.STAGE, or router, or reports.
        pipeline.yaml:22:16: error: unknown key 'us'
          22 |   msmi_out:  { us: msmi.sink, config: { store: var/msmail } }
             |                ^
          hint: did you mean 'use'?

        """)
  }

  @Test func `a schedule that never eases and an end before the first retry are warnings`() {
    #expect(
      ExamplePipeline.complaints([("[2m, 10m, 1h], expire: 2d", "[5s], expire: 2s")]) == [
        "21:89 a destination that is down is tried every 5s until the message expires",
        "21:102 no retry comes before this end: the first is after 5s",
      ])
  }

  @Test func `a file is read from disk, and one that everybody may write is refused`() throws {
    let directory = ScratchDirectory()
    directory.add("pipeline.yaml", ExamplePipeline.text, mode: 0o644)
    let path = "\(directory.path)/pipeline.yaml"
    let (file, diagnostics) = PipelineFile.load(path: path, environment: [:], secretsDirectory: nil)
    #expect(file != nil && diagnostics.isEmpty)
    chmod(path, 0o666)
    let (refused, complaints) = PipelineFile.load(path: path, environment: [:], secretsDirectory: nil)
    #expect(refused == nil)
    #expect(complaints.render() == "\(path): error: everybody may write this file\n  hint: chmod o-w \(path)\n")
    let missing = PipelineFile.load(path: "\(path)x", environment: [:], secretsDirectory: nil)
    #expect(missing.diagnostics.render() == "\(path)x: error: the file cannot be read: No such file or directory\n")
  }
}

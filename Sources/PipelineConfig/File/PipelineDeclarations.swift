/// What `pipeline.yaml` may hold, in the terms in which stages declare their settings; so the same code checks both,
/// and the schema for editors comes from here.
public enum PipelineDeclarations {
  /// RFC 5321 §4.5.4.1: retries at least 30 minutes apart once the first ones have failed, for 4 to 5 days.
  static let retry: [SettingDeclaration] = [
    SettingDeclaration(
      "schedule", .list(of: .duration(seconds: 1...7 * 86_400), counts: 1...64), default: "[2m, 10m, 30m, 1h]",
      summary: "Time from one attempt to the next; the last one repeats."),
    SettingDeclaration(
      "expire", .duration(seconds: 1...60 * 86_400), default: "5d",
      summary: "Time from acceptance after which a temporary failure is permanent."),
    SettingDeclaration(
      "jitter", .percent, default: "10%", summary: "By how much each delay varies at random, at most 50%."),
  ]

  static let limits: [SettingDeclaration] = [
    SettingDeclaration("concurrency", .integer(1...10_000), summary: "Messages in the stage's hands at once."),
    SettingDeclaration(
      "deadline", .duration(seconds: 1...86_400), summary: "Time in which the stage must answer for a message."),
  ]

  static let isolation = SettingType.choice(Isolation.allCases.map(\.rawValue))

  static let module: [SettingDeclaration] = [
    SettingDeclaration(
      "file", .path, isRequired: true,
      summary: "The module: a path, or a file name found beside the binary or in the module directory."),
    SettingDeclaration(
      "isolation", isolation, default: Isolation.worker.rawValue,
      summary: "Where its stages run: worker (a process each) or inline (a thread of the host)."),
  ]

  static let stage: [SettingDeclaration] = [
    SettingDeclaration("use", .string, isRequired: true, summary: "MODULE.STAGE, or router, or reports."),
    SettingDeclaration("config", .any, summary: "The stage's own settings."),
    SettingDeclaration(
      "to", .either([.identifier, .mapping(of: .identifier)]),
      summary: "The stage that the one port leads to, or a mapping from each port to a stage."),
    SettingDeclaration("isolation", isolation, summary: "Where this stage runs, when not as its module says."),
    SettingDeclaration("retry", .record(retry), summary: "When a deferred recipient is tried again."),
    SettingDeclaration("limits", .record(limits), summary: "Bounds on what the stage is given."),
  ]

  static let spool: [SettingDeclaration] = [
    SettingDeclaration(
      "engine", .choice(SpoolEngineName.allCases.map(\.rawValue)), default: SpoolEngineName.embedded.rawValue,
      summary: "What keeps accepted messages."),
    SettingDeclaration("path", .path, default: "var/spool", summary: "The spool's directory."),
    SettingDeclaration(
      "min_free", .either([.percent, .size()]), default: "5%",
      summary: "Space that stays free, at most 90%; below it, sources are slowed down."),
    SettingDeclaration(
      "max_message", .size(octets: 1 << 10...1 << 36), default: "50MiB", summary: "Size of the largest content taken."),
    SettingDeclaration(
      "segment_size", .size(octets: 1 << 20...1 << 30), default: "64MiB", summary: "Size of one file of the log."),
  ]

  static let admin: [SettingDeclaration] = [
    SettingDeclaration("socket", .path, default: "var/interchange.sock", summary: "Where the command line connects.")
  ]

  /// The whole file.
  public static let file: [SettingDeclaration] = [
    SettingDeclaration("version", .integer(), isRequired: true, summary: "The version of this format, 1."),
    SettingDeclaration("node", .string, isRequired: true, summary: "The domain name of this gateway."),
    SettingDeclaration(
      "modules", .mapping(of: .record(module)), default: "{}",
      summary: "The modules to load, by the name that use: gives them."),
    SettingDeclaration("spool", .record(spool), default: "{}", summary: "Where accepted messages are kept."),
    SettingDeclaration("stages", .mapping(of: .record(stage)), isRequired: true, summary: "The stages, by id."),
    SettingDeclaration("admin", .record(admin), default: "{}", summary: "How the running host is reached."),
  ]
}

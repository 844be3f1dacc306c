private import Glibc

extension PipelineFile {
  /// Reads and checks a file.
  ///
  /// - Parameters:
  ///   - environment: What `${env:NAME}` may name.
  ///   - secretsDirectory: Where `${secret:NAME}` finds its file; nil when there is none.
  /// - Returns: The file, or nil when the diagnostics hold an error. All complaints are collected first.
  public static func load(
    path: String, environment: [String: String], secretsDirectory: String?
  ) -> (file: PipelineFile?, diagnostics: Diagnostics) {
    var diagnostics = Diagnostics()
    guard let octets = read(path: path, &diagnostics) else { return (nil, diagnostics) }
    let file = parse(
      octets, path: path, substitution: Substitution(environment: environment, secretsDirectory: secretsDirectory),
      diagnostics: &diagnostics)
    return (file, diagnostics)
  }

  /// The same for octets at hand; nil when the diagnostics hold an error.
  public static func parse(
    _ octets: [UInt8], path: String, substitution: Substitution, diagnostics: inout Diagnostics
  ) -> PipelineFile? {
    guard let document = ConfigDocument.parse(octets, file: path, diagnostics: &diagnostics) else { return nil }
    let root = substitution.apply(to: document.root, diagnostics: &diagnostics)
    var validator = SettingValidator(diagnostics: diagnostics)
    let value = validator.value(of: root, as: .record(PipelineDeclarations.file))
    var reader = PipelineFileReader(path: path, diagnostics: validator.diagnostics)
    let file = value.map { reader.file($0) }
    diagnostics = reader.diagnostics
    return diagnostics.hasErrors ? nil : file
  }

  private static func read(path: String, _ diagnostics: inout Diagnostics) -> [UInt8]? {
    let mark = ConfigMark(file: path, line: 0, column: 0)
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      diagnostics.error("the file cannot be read: \(errorText(errno))", at: mark)
      return nil
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      diagnostics.error("this is not a file", at: mark)
      return nil
    }
    // The file decides what is loaded: whoever may write it may run code as the host.
    guard status.st_mode & S_IWOTH == 0 else {
      diagnostics.error("everybody may write this file", at: mark, hint: "chmod o-w \(path)")
      return nil
    }
    if status.st_mode & S_IWGRP != 0 {
      diagnostics.warning("the file's group may write it", at: mark, hint: "chmod g-w \(path)")
    }
    guard status.st_size <= ConfigLimits.fileOctetsMax,
      let octets = readFile(descriptor, octetsMax: ConfigLimits.fileOctetsMax)
    else {
      diagnostics.error("the file is larger than \(ConfigLimits.fileOctetsMax) octets or cannot be read", at: mark)
      return nil
    }
    return octets
  }
}

/// From checked values to the typed file, with the rules that a declaration cannot say.
private struct PipelineFileReader {
  let path: String
  var diagnostics: Diagnostics

  mutating func file(_ value: ConfigValue) -> PipelineFile {
    if let version = value["version"], value.integer("version") != 1 {
      diagnostics.error("version \(version) of the format is not known", at: version.mark, hint: "write version: 1")
    }
    let node = value["node"]
    if let node, let name = node.text, !isDomainName(name) {
      diagnostics.error(
        "\(node.isSecret ? "the secret" : quoted(name)) is not a domain name", at: node.mark,
        hint: "write the name by which others reach this gateway, such as gw1.example.com")
    }
    let stages = value["stages"]
    if let stages, stages.entries.count > ConfigLimits.stagesMax {
      diagnostics.error("there are more than \(ConfigLimits.stagesMax) stages", at: stages.mark)
    }
    return PipelineFile(
      path: path, node: node?.text ?? "", nodeMark: node?.mark ?? value.mark,
      modules: (value["modules"]?.entries ?? []).map { module($0) }, spool: spool(value["spool"] ?? value),
      stages: (stages?.entries.prefix(ConfigLimits.stagesMax) ?? []).compactMap { stage($0) },
      stagesMark: stages?.mark ?? value.mark,
      admin: AdminEntry(
        mark: value["admin"]?.mark ?? value.mark, socket: value["admin"]?.string("socket") ?? "var/interchange.sock"))
  }

  private mutating func requireIdentifier(_ entry: ConfigValue.Entry) {
    do throws(ScalarComplaint) {
      _ = try readIdentifier(entry.key)
    } catch {
      diagnostics.error("\(quoted(entry.key)) \(error.text)", at: entry.keyMark, hint: error.hint)
    }
  }

  private mutating func module(_ entry: ConfigValue.Entry) -> ModuleEntry {
    requireIdentifier(entry)
    if let builtin = BuiltinStage(rawValue: entry.key) {
      diagnostics.error("\(quoted(builtin.rawValue)) is the name of a stage of the host", at: entry.keyMark)
    }
    let isolation = entry.value.string("isolation").flatMap(Isolation.init(rawValue:)) ?? .worker
    return ModuleEntry(
      name: entry.key, mark: entry.keyMark, file: entry.value.string("file") ?? "",
      fileMark: entry.value["file"]?.mark ?? entry.keyMark, isolation: isolation)
  }

  private mutating func requireAtMost(_ bound: Double, _ value: ConfigValue?) {
    guard let value, case .percent(let percent) = value.content, percent > bound else { return }
    let shown = value.isSecret ? "the secret" : quoted(percentText(percent))
    diagnostics.error("\(shown) is more than \(percentText(bound))", at: value.mark)
  }

  private mutating func spool(_ value: ConfigValue) -> SpoolEntry {
    requireAtMost(90, value["min_free"])
    var freeMin = FreeSpace.percent(5)
    if let percent = value.percent("min_free") { freeMin = .percent(percent) }
    if let octets = value.octets("min_free") { freeMin = .octets(octets) }
    return SpoolEntry(
      mark: value.mark, engine: value.string("engine").flatMap(SpoolEngineName.init(rawValue:)) ?? .embedded,
      path: value.string("path") ?? "var/spool", freeMin: freeMin,
      messageOctetsMax: value.octets("max_message") ?? 50 << 20,
      segmentOctets: value.octets("segment_size") ?? 64 << 20)
  }

  private mutating func stage(_ entry: ConfigValue.Entry) -> StageEntry? {
    requireIdentifier(entry)
    let value = entry.value
    guard let useValue = value["use"], let use = use(useValue) else { return nil }
    var config: ConfigNode?
    if case .node(let node)? = value["config"]?.content { config = node }
    return StageEntry(
      id: entry.key, mark: entry.keyMark, use: use, useMark: useValue.mark, config: config, to: wiring(value["to"]),
      isolation: value.string("isolation").flatMap(Isolation.init(rawValue:)),
      isolationMark: value["isolation"]?.mark, retry: retry(value["retry"]), retryMark: value["retry"]?.mark,
      limits: StageLimits(
        concurrencyMax: value["limits"]?.integer("concurrency").map { Int(clamping: $0) },
        deadlineSeconds: value["limits"]?.seconds("deadline")),
      limitsMark: value["limits"]?.mark)
  }

  private mutating func use(_ value: ConfigValue) -> StageUse? {
    guard let text = value.text else { return nil }
    let parts = text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    if parts.count == 2, isIdentifier(parts[0]), isIdentifier(parts[1]) { return .module(parts[0], stage: parts[1]) }
    if parts.count == 1, let builtin = BuiltinStage(rawValue: text) { return .builtin(builtin) }
    let builtins = BuiltinStage.allCases.map(\.rawValue)
    let suggested = suggestion(for: text, among: builtins).map { "did you mean \(quoted($0))?" }
    diagnostics.error(
      "\(value.isSecret ? "the secret" : quoted(text)) names no stage", at: value.mark,
      hint: suggested ?? "write MODULE.STAGE, router or reports")
    return nil
  }

  private func wiring(_ value: ConfigValue?) -> Wiring {
    guard let value else { return .none }
    if let text = value.text { return .single(StageReference(id: text, mark: value.mark)) }
    let ports = value.entries.map {
      PortWiring(
        port: $0.key, portMark: $0.keyMark, target: StageReference(id: $0.value.text ?? "", mark: $0.value.mark))
    }
    return .ports(ports, mark: value.mark)
  }

  private mutating func retry(_ value: ConfigValue?) -> RetrySchedule {
    let delays = value?.list("schedule").compactMap(\.seconds) ?? [120, 600, 1800, 3600]
    let expire = value?.seconds("expire") ?? 5 * 86_400
    requireAtMost(50, value?["jitter"])
    if let first = delays.first, first > expire, let mark = value?["expire"]?.mark {
      diagnostics.warning("no retry comes before this end: the first is after \(seconds(first))", at: mark)
    }
    if let last = delays.last, last < 30, let mark = value?["schedule"]?.elements.last?.mark {
      diagnostics.warning(
        "a destination that is down is tried every \(seconds(last)) until the message expires", at: mark,
        hint: "end the schedule with 30m or more (RFC 5321 §4.5.4.1)")
    }
    return RetrySchedule(
      delaysSeconds: delays, expireSeconds: expire, jitterFraction: (value?.percent("jitter") ?? 10) / 100)
  }

  private func seconds(_ value: Double) -> String { durationText(nanoseconds: Int64(value * 1e9)) }
}

/// Letters, digits, `-` and dots, at most 255 octets: what greetings and trace fields may say (RFC 5321 §2.3.5).
private func isDomainName(_ text: String) -> Bool {
  guard (1...255).contains(text.utf8.count) else { return false }
  return text.utf8.split(separator: 0x2E, omittingEmptySubsequences: false).allSatisfy { label in
    (1...63).contains(label.count) && label.allSatisfy { isLetterOrDigit($0) || $0 == 0x2D }
      && label.first != 0x2D && label.last != 0x2D
  }
}

internal import CInterchange
internal import PipelineConfig

/// Reads what a stage declares about its configuration (`ix_setting`).
struct ModuleSettingReader {
  let reader: ModuleReader
  /// How complaints name the stage.
  let stage: String
  /// Settings read so far, against ``ModuleLimits/settingsMax``.
  private var count = 0

  init(reader: ModuleReader, stage: String) {
    self.reader = reader
    self.stage = stage
  }

  mutating func members(
    _ base: UnsafePointer<ix_setting>?, count: Int, stride: Int, depth: Int
  ) throws(ModuleRefusal) -> [SettingDeclaration] {
    let pointers = try reader.elements(
      base, count: count, stride: stride, max: ModuleLimits.membersMax, "\(stage): settings")
    var declarations: [SettingDeclaration] = []
    for pointer in pointers {
      let declaration = try read(pointer.pointee, depth: depth)
      guard !declarations.contains(where: { $0.name == declaration.name }) else {
        throw .malformed(.setting, "\(stage): two settings are called '\(declaration.name)'")
      }
      declarations.append(declaration)
    }
    return declarations
  }

  private mutating func read(_ raw: ix_setting, depth: Int) throws(ModuleRefusal) -> SettingDeclaration {
    let name = try reader.name(raw.name, "\(stage): a setting")
    let what = "\(stage): setting '\(name)'"
    guard raw.flags & ~(IX_SETTING_REQUIRED.rawValue | IX_SETTING_SECRET.rawValue) == 0 else {
      throw .malformed(.setting, "\(what) has unknown flags")
    }
    let isRequired = raw.flags & IX_SETTING_REQUIRED.rawValue != 0
    let defaultText = try reader.text(raw.default_text, "\(what): the default", max: ModuleLimits.defaultOctetsMax)
    guard !isRequired || defaultText == nil else { throw .malformed(.setting, "\(what) is required and has a default") }
    return SettingDeclaration(
      name, try type(raw, what, depth: depth), isRequired: isRequired, default: defaultText,
      isSecret: raw.flags & IX_SETTING_SECRET.rawValue != 0,
      summary: try reader.line(raw.summary, "\(what): the summary", max: ModuleLimits.summaryOctetsMax))
  }

  private mutating func type(
    _ raw: ix_setting, _ what: String, depth: Int
  ) throws(ModuleRefusal) -> SettingType {
    count += 1
    guard count <= ModuleLimits.settingsMax else {
      throw .malformed(.setting, "\(stage) has more than \(ModuleLimits.settingsMax) settings")
    }
    guard depth < ModuleLimits.settingDepthMax else { throw .malformed(.setting, "\(what) is nested too deep") }
    switch ix_setting_kind(rawValue: raw.kind) {
    case IX_SETTING_STRING: return .string
    case IX_SETTING_INTEGER: return .integer(try range(raw, what) ?? Int64.min...Int64.max)
    case IX_SETTING_BOOLEAN: return .boolean
    case IX_SETTING_SIZE: return .size(octets: try range(raw, what, lowest: 0) ?? 0...Int64.max)
    case IX_SETTING_DURATION:
      return .duration(nanoseconds: try range(raw, what, times: 1e9, lowest: 0) ?? 0...Int64.max)
    case IX_SETTING_PERCENT:
      _ = try range(raw, what)
      return .percent
    case IX_SETTING_CHOICE: return .choice(try choices(raw, what))
    case IX_SETTING_ENDPOINT: return .endpoint
    case IX_SETTING_PATH: return .path
    case IX_SETTING_LIST: return .list(of: try element(raw, what, depth: depth))
    case IX_SETTING_MAPPING: return .mapping(of: try element(raw, what, depth: depth))
    case IX_SETTING_RECORD:
      return .record(
        try members(raw.children, count: raw.child_count, stride: raw.child_stride, depth: depth + 1))
    case IX_SETTING_ANY: return .any
    // An open C enumeration, not ours.
    default: throw .malformed(.setting, "\(what) is of the unknown kind \(raw.kind)")
    }
  }

  private mutating func element(
    _ raw: ix_setting, _ what: String, depth: Int
  ) throws(ModuleRefusal) -> SettingType {
    let children = try reader.elements(
      raw.children, count: raw.child_count, stride: raw.child_stride, max: 1, "\(what): children")
    guard let child = children.first else { throw .malformed(.setting, "\(what) does not say what its elements are") }
    return try type(child.pointee, what, depth: depth + 1)
  }

  private func choices(_ raw: ix_setting, _ what: String) throws(ModuleRefusal) -> [String] {
    let texts = try reader.texts(
      raw.choices, count: raw.choice_count, max: ModuleLimits.membersMax, "\(what): choices")
    var words: [String] = []
    for text in texts {
      let word = try reader.line(text, "\(what): a choice", max: ModuleLimits.defaultOctetsMax)
      guard !word.isEmpty, !words.contains(word) else {
        throw .malformed(.setting, "\(what) has an empty choice or one twice")
      }
      words.append(word)
    }
    guard !words.isEmpty else { throw .malformed(.setting, "\(what) has no choices") }
    return words
  }

  /// Nil when there are no bounds. Bounds beyond 64 bits are cut to them.
  private func range(
    _ raw: ix_setting, _ what: String, times factor: Double = 1, lowest: Int64 = .min
  ) throws(ModuleRefusal) -> ClosedRange<Int64>? {
    guard raw.minimum != 0 || raw.maximum != 0 else { return nil }
    guard raw.minimum <= raw.maximum else { throw .malformed(.setting, "\(what) has bounds that are not in order") }
    func whole(_ bound: Double) -> Int64 {
      Int64(exactly: (bound * factor).rounded(.towardZero)) ?? (bound < 0 ? .min : .max)
    }
    let low = max(whole(raw.minimum), lowest)
    return low...max(whole(raw.maximum), low)
  }
}

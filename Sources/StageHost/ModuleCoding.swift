internal import MailModel
internal import PipelineConfig

/// How a description travels from a probing child to the host (``WireWriter``). Both ends are the same executable, so
/// there is no version; the reader still trusts nothing, because the module's code has run in the child.

extension WireWriter {
  mutating func write(_ module: ModuleDescription) {
    write(module.name)
    write(module.version)
    write(module.summary)
    write(module.path)
    writeList(module.stages) { writer, stage in
      writer.write(stage.name)
      writer.write(stage.kind.rawValue)
      writer.write(stage.summary)
      writer.writeList(stage.ports) { $0.write($1) }
      writer.writeList(stage.settings) { $0.write($1) }
    }
  }

  mutating func write(_ setting: SettingDeclaration) {
    write(setting.name)
    write(setting.isRequired)
    write(setting.isSecret)
    write(setting.defaultText)
    write(setting.summary)
    write(setting.type)
  }

  private mutating func write(_ type: SettingType) {
    func kind(_ kind: UInt8) { write(kind) }
    switch type {
    case .string: kind(1)
    case .integer(let range):
      kind(2)
      write(range)
    case .boolean: kind(3)
    case .size(let range):
      kind(4)
      write(range)
    case .duration(let range):
      kind(5)
      write(range)
    case .percent: kind(6)
    case .choice(let words):
      kind(7)
      writeList(words) { $0.write($1) }
    case .endpoint: kind(8)
    case .path: kind(9)
    case .list(let element, let counts):
      kind(10)
      write(Int64(counts.lowerBound)...Int64(counts.upperBound))
      write(element)
    case .mapping(let element):
      kind(11)
      write(element)
    case .record(let members):
      kind(12)
      writeList(members) { $0.write($1) }
    case .any: kind(13)
    case .identifier: kind(14)
    case .either(let types):
      kind(15)
      writeList(types) { $0.write($1) }
    }
  }

  private mutating func write(_ range: ClosedRange<Int64>) {
    write(range.lowerBound)
    write(range.upperBound)
  }

  /// Only what a child can find; anything else travels as the loader's words.
  mutating func write(_ refusal: ModuleRefusal) {
    switch refusal {
    case .missingSymbol(let symbol):
      write(UInt8(2))
      write(symbol)
    case .noDescription: write(UInt8(3))
    case .wrongLevel(let module, let host):
      write(UInt8(4))
      write(module)
      write(host)
    case .malformed(let part, let text):
      write(UInt8(5))
      write(part.rawValue)
      write(text)
    case .loader(let text):
      write(UInt8(1))
      write(text)
    case .badName, .notFound, .system, .symbolicLink, .notRegularFile, .foreignOwner, .writableByOthers,
      .foreignDirectory, .directoryWritableByOthers, .mountedNoExec, .empty, .notELF, .wrongClass, .wrongByteOrder,
      .wrongMachine, .notSharedObject, .truncated, .crashed, .hung, .exited, .garbled:
      write(UInt8(1))
      write(refusal.description)
    }
  }
}

extension WireReader {
  mutating func readModuleDescription() throws(WireCodingError) -> ModuleDescription {
    ModuleDescription(
      name: try readString(), version: try readString(), summary: try readString(), path: try readString(),
      stages: try readList(max: ModuleLimits.stagesMax) { (reader) throws(WireCodingError) in
        let name = try reader.readString()
        guard let kind = StageKind(rawValue: try reader.read(UInt8.self)) else { throw .invalid("stage kind") }
        return StageDescription(
          name: name, kind: kind, summary: try reader.readString(),
          ports: try reader.readList(max: ModuleLimits.portsMax) { (reader) throws(WireCodingError) in
            try reader.readString()
          },
          settings: try reader.readSettings(depth: 0))
      })
  }

  private mutating func readSettings(depth: Int) throws(WireCodingError) -> [SettingDeclaration] {
    try readList(max: ModuleLimits.membersMax) { (reader) throws(WireCodingError) in
      let name = try reader.readString()
      let isRequired = try reader.readBool()
      let isSecret = try reader.readBool()
      let defaultText = try reader.readOptionalString()
      let summary = try reader.readString()
      return SettingDeclaration(
        name, try reader.readSettingType(depth: depth), isRequired: isRequired, default: defaultText,
        isSecret: isSecret, summary: summary)
    }
  }

  private mutating func readSettingType(depth: Int) throws(WireCodingError) -> SettingType {
    guard depth < ModuleLimits.settingDepthMax else { throw .invalid("setting depth") }
    switch try read(UInt8.self) {
    case 1: return .string
    case 2: return .integer(try readRange())
    case 3: return .boolean
    case 4: return .size(octets: try readRange())
    case 5: return .duration(nanoseconds: try readRange())
    case 6: return .percent
    case 7:
      return .choice(
        try readList(max: ModuleLimits.membersMax) { (reader) throws(WireCodingError) in try reader.readString() })
    case 8: return .endpoint
    case 9: return .path
    case 10:
      let counts = try readRange()
      guard let low = Int(exactly: counts.lowerBound), let high = Int(exactly: counts.upperBound) else {
        throw .invalid("list count")
      }
      return .list(of: try readSettingType(depth: depth + 1), counts: low...high)
    case 11: return .mapping(of: try readSettingType(depth: depth + 1))
    case 12: return .record(try readSettings(depth: depth + 1))
    case 13: return .any
    case 14: return .identifier
    case 15:
      return .either(
        try readList(max: ModuleLimits.membersMax) { (reader) throws(WireCodingError) in
          try reader.readSettingType(depth: depth + 1)
        })
    default: throw .invalid("setting type")
    }
  }

  private mutating func readRange() throws(WireCodingError) -> ClosedRange<Int64> {
    let low = try read(Int64.self)
    let high = try read(Int64.self)
    guard low <= high else { throw .invalid("range") }
    return low...high
  }

  mutating func readModuleRefusal() throws(WireCodingError) -> ModuleRefusal {
    switch try read(UInt8.self) {
    case 1: return .loader(try readString())
    case 2: return .missingSymbol(try readString())
    case 3: return .noDescription
    case 4: return .wrongLevel(module: try read(UInt32.self), host: try read(UInt32.self))
    case 5:
      guard let part = ModulePart(rawValue: try read(UInt8.self)) else { throw .invalid("part") }
      return .malformed(part, try readString())
    default: throw .invalid("refusal")
    }
  }
}

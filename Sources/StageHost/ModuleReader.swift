internal import CInterchange
internal import PipelineConfig

/// Reads a module's description out of its tables, believing nothing that can be checked: sizes and strides, counts,
/// absent pointers, UTF-8, kinds, names. What cannot be checked is whether a pointer points anywhere; a child process
/// (``ModuleProbe``) finds that out.
struct ModuleReader {
  let path: String

  func read(_ pointer: UnsafePointer<ix_module>) throws(ModuleRefusal) -> LoadedModule {
    // SAFETY: `size` and `level` come first at every level; nothing else is touched before both fit.
    guard UInt(bitPattern: pointer) % UInt(MemoryLayout<ix_module>.alignment) == 0 else {
      throw .malformed(.layout, "ix_module is not aligned")
    }
    let raw = UnsafeRawPointer(pointer)
    let level = raw.loadUnaligned(fromByteOffset: MemoryLayout<Int>.size, as: UInt32.self)
    guard level == UInt32(IX_LEVEL) else { throw .wrongLevel(module: level, host: UInt32(IX_LEVEL)) }
    try requireSize(raw.load(as: Int.self), of: ix_module.self, "ix_module")
    let module = pointer.pointee
    guard module.flags == 0 else { throw .malformed(.layout, "ix_module has unknown flags") }
    let name = try name(module.name, "the module")
    let version = try line(module.version, "the version", max: ModuleLimits.versionOctetsMax)
    let summary = try line(module.summary, "the summary", max: ModuleLimits.summaryOctetsMax)
    let classes = try elements(
      module.stages, count: module.stage_count, stride: module.stage_stride, max: ModuleLimits.stagesMax, "stages")
    guard !classes.isEmpty else { throw .malformed(.stage, "it offers no stage") }
    var stages: [StageDescription] = []
    for stageClass in classes {
      let stage = try read(stageClass)
      guard !stages.contains(where: { $0.name == stage.name }) else {
        throw .malformed(.text, "two stages are called '\(stage.name)'")
      }
      stages.append(stage)
    }
    return LoadedModule(
      ModuleDescription(name: name, version: version, summary: summary, path: path, stages: stages), classes)
  }

  private func read(_ pointer: UnsafePointer<ix_stage_class>) throws(ModuleRefusal) -> StageDescription {
    let raw = pointer.pointee
    let name = try name(raw.name, "a stage")
    let what = "stage '\(name)'"
    guard let kind = UInt8(exactly: raw.kind).flatMap({ StageKind(rawValue: $0) }) else {
      throw .malformed(.stage, "\(what) is of the unknown kind \(raw.kind)")
    }
    guard raw.flags == 0 else { throw .malformed(.stage, "\(what) has unknown flags") }
    guard raw.create != nil, raw.start != nil, raw.stop != nil, raw.destroy != nil else {
      throw .malformed(.stage, "\(what) lacks create, start, stop or destroy")
    }
    guard kind == .source || raw.submit != nil else {
      throw .malformed(.stage, "\(what) is a \(kind.word) without submit")
    }
    let ports = try texts(raw.ports, count: raw.port_count, max: ModuleLimits.portsMax, "\(what): ports")
    var names: [String] = []
    for port in ports {
      let name = try self.name(port, "\(what): a port")
      guard !names.contains(name) else { throw .malformed(.text, "\(what): two ports are called '\(name)'") }
      names.append(name)
    }
    guard kind != .sink || names.isEmpty else { throw .malformed(.stage, "\(what) is a sink with ports") }
    guard kind == .sink || !names.isEmpty else { throw .malformed(.stage, "\(what) is a \(kind.word) without a port") }
    var settings = ModuleSettingReader(reader: self, stage: what)
    return StageDescription(
      name: name, kind: kind,
      summary: try line(raw.summary, "\(what): the summary", max: ModuleLimits.summaryOctetsMax),
      ports: names,
      settings: try settings.members(raw.settings, count: raw.setting_count, stride: raw.setting_stride, depth: 0))
  }

  // MARK: Parts

  func requireSize<Struct>(_ size: Int, of _: Struct.Type, _ what: String) throws(ModuleRefusal) {
    // At level 0 both sides know the same fields. A larger size is one that a later header appended to.
    guard size >= MemoryLayout<Struct>.size, size <= 64 * 1024 else {
      throw .malformed(.layout, "\(what) says it has \(size) octets; \(MemoryLayout<Struct>.size) are needed")
    }
  }

  /// Pointers to the elements of an array of sized structs, each of which begins with its size.
  func elements<Struct>(
    _ base: UnsafePointer<Struct>?, count: Int, stride: Int, max: Int, _ what: String
  ) throws(ModuleRefusal) -> [UnsafePointer<Struct>] {
    guard count != 0 else { return [] }
    guard count > 0, count <= max else {
      throw .malformed(.layout, "\(what): \(UInt(bitPattern: count)) of them; at most \(max)")
    }
    guard let base, UInt(bitPattern: base) % UInt(MemoryLayout<Struct>.alignment) == 0 else {
      throw .malformed(.layout, "\(what): \(count) of them, but no array")
    }
    guard stride >= MemoryLayout<Struct>.size, stride <= 64 * 1024, stride % MemoryLayout<Struct>.alignment == 0 else {
      throw .malformed(.layout, "\(what): a stride of \(stride) octets; \(MemoryLayout<Struct>.size) are needed")
    }
    var result: [UnsafePointer<Struct>] = []
    for index in 0..<count {
      // SAFETY: index * stride is at most 4096 * 64 KiB; that so much memory is there is the module's promise.
      let element = UnsafeRawPointer(base) + index * stride
      let size = element.load(as: Int.self)
      try requireSize(size, of: Struct.self, "\(what)[\(index)]")
      guard size <= stride else { throw .malformed(.layout, "\(what)[\(index)] is larger than the stride") }
      result.append(element.assumingMemoryBound(to: Struct.self))
    }
    return result
  }

  func texts(
    _ base: UnsafePointer<ix_text>?, count: Int, max: Int, _ what: String
  ) throws(ModuleRefusal) -> [ix_text] {
    guard count != 0 else { return [] }
    guard count > 0, count <= max else {
      throw .malformed(.layout, "\(what): \(UInt(bitPattern: count)) of them; at most \(max)")
    }
    guard let base, UInt(bitPattern: base) % UInt(MemoryLayout<ix_text>.alignment) == 0 else {
      throw .malformed(.layout, "\(what): \(count) of them, but no array")
    }
    return Array(UnsafeBufferPointer(start: base, count: count))
  }

  /// UTF-8 of at most `max` octets; nil when absent.
  func text(_ raw: ix_text, _ what: String, max: Int) throws(ModuleRefusal) -> String? {
    guard let octets = raw.octets else {
      guard raw.count == 0 else { throw .malformed(.text, "\(what) has a length but no octets") }
      return nil
    }
    guard raw.count >= 0, raw.count <= max else {
      throw .malformed(.text, "\(what) has \(UInt(bitPattern: raw.count)) octets; at most \(max)")
    }
    let copy = UnsafeRawBufferPointer(start: octets, count: raw.count)
    guard let text = String(validating: copy, as: UTF8.self) else { throw .malformed(.text, "\(what) is not UTF-8") }
    return text
  }

  /// One line for people: no control characters, which could steer a terminal. Absent is empty.
  func line(_ raw: ix_text, _ what: String, max: Int) throws(ModuleRefusal) -> String {
    let text = try text(raw, what, max: max) ?? ""
    guard text.unicodeScalars.allSatisfy({ $0.value >= 0x20 && !(0x7F..<0xA0).contains($0.value) }) else {
      throw .malformed(.text, "\(what) is not one line of text")
    }
    return text
  }

  /// A word for pipeline.yaml: letters and digits of ASCII, `_` and `-`, beginning with a letter.
  func name(_ raw: ix_text, _ what: String) throws(ModuleRefusal) -> String {
    let name = try text(raw, "\(what)'s name", max: ModuleLimits.nameOctetsMax) ?? ""
    guard Self.isName(name) else {
      throw .malformed(.text, "\(what)'s name is '\(Self.printable(name))'; letters, digits, _ and - may stand there")
    }
    return name
  }

  static func isName(_ name: String) -> Bool {
    func isLetter(_ octet: UInt8) -> Bool { (0x41...0x5A).contains(octet) || (0x61...0x7A).contains(octet) }
    guard let first = name.utf8.first, isLetter(first) else { return false }
    return name.utf8.allSatisfy { isLetter($0) || (0x30...0x39).contains($0) || $0 == 0x5F || $0 == 0x2D }
  }

  private static func printable(_ text: String) -> String {
    String(text.unicodeScalars.map { $0.value < 0x20 || (0x7F..<0xA0).contains($0.value) ? "?" : Character($0) })
  }
}

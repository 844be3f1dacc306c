public import CInterchange
import Synchronization

/// Makes the C description of a module out of its stage types, once, for the life of the process.
public final class StageModule: Sendable {
  // SAFETY: written in init only, never freed; the host reads it from any thread.
  public nonisolated(unsafe) let description: UnsafePointer<ix_module>

  public init(name: String, version: String, summary: String, stages: [any Stage.Type]) {
    let classes = UnsafeMutablePointer<ix_stage_class>.allocate(capacity: stages.count)
    for (index, stage) in stages.enumerated() {
      (classes + index).initialize(to: Self.describe(stage))
      StageTypes.register(stage, for: UnsafePointer(classes + index))
    }
    let module = UnsafeMutablePointer<ix_module>.allocate(capacity: 1)
    module.initialize(
      to: ix_module(
        size: MemoryLayout<ix_module>.size, level: UInt32(CInterchange.IX_LEVEL), flags: 0,
        name: EternalText.copy(name), version: EternalText.copy(version), summary: EternalText.copy(summary),
        stages: UnsafePointer(classes), stage_count: stages.count, stage_stride: MemoryLayout<ix_stage_class>.stride))
    description = UnsafePointer(module)
  }

  private static func describe(_ stage: any Stage.Type) -> ix_stage_class {
    let declaration = stage.declaration
    let ports = UnsafeMutablePointer<ix_text>.allocate(capacity: max(1, declaration.ports.count))
    for (index, port) in declaration.ports.enumerated() { (ports + index).initialize(to: EternalText.copy(port)) }
    let settings = describe(declaration.settings)
    return ix_stage_class(
      size: MemoryLayout<ix_stage_class>.size, name: EternalText.copy(declaration.name),
      kind: declaration.kind.rawValue, flags: 0, summary: EternalText.copy(declaration.summary),
      ports: UnsafePointer(ports), port_count: declaration.ports.count,
      settings: settings, setting_count: declaration.settings.count,
      setting_stride: MemoryLayout<ix_setting>.stride,
      create: stageCreate, start: stageStart, submit: declaration.kind == .source ? nil : stageSubmit,
      cancel: stageCancel, stop: stageStop, destroy: stageDestroy, get_extension: stageExtension)
  }

  private static func describe(_ settings: [Setting]) -> UnsafePointer<ix_setting> {
    let memory = UnsafeMutablePointer<ix_setting>.allocate(capacity: max(1, settings.count))
    for (index, setting) in settings.enumerated() { (memory + index).initialize(to: describe(setting)) }
    return UnsafePointer(memory)
  }

  private static func describe(_ setting: Setting) -> ix_setting {
    var result = ix_setting()
    result.size = MemoryLayout<ix_setting>.size
    result.name = EternalText.copy(setting.name)
    result.flags =
      (setting.isRequired ? IX_SETTING_REQUIRED.rawValue : 0) | (setting.isSecret ? IX_SETTING_SECRET.rawValue : 0)
    result.default_text = EternalText.copy(setting.defaultText)
    result.summary = EternalText.copy(setting.summary)
    result.child_stride = MemoryLayout<ix_setting>.stride
    var children: [Setting] = []
    switch setting.kind {
    case .string: result.kind = IX_SETTING_STRING.rawValue
    case .integer(let range):
      result.kind = IX_SETTING_INTEGER.rawValue
      result.minimum = Double(range?.lowerBound ?? 0)
      result.maximum = Double(range?.upperBound ?? 0)
    case .boolean: result.kind = IX_SETTING_BOOLEAN.rawValue
    case .size: result.kind = IX_SETTING_SIZE.rawValue
    case .duration: result.kind = IX_SETTING_DURATION.rawValue
    case .percent: result.kind = IX_SETTING_PERCENT.rawValue
    case .choice(let words):
      result.kind = IX_SETTING_CHOICE.rawValue
      let choices = UnsafeMutablePointer<ix_text>.allocate(capacity: max(1, words.count))
      for (index, word) in words.enumerated() { (choices + index).initialize(to: EternalText.copy(word)) }
      result.choices = UnsafePointer(choices)
      result.choice_count = words.count
    case .endpoint: result.kind = IX_SETTING_ENDPOINT.rawValue
    case .path: result.kind = IX_SETTING_PATH.rawValue
    case .list(let element):
      result.kind = IX_SETTING_LIST.rawValue
      children = [Setting("element", element, "")]
    case .mapping(let element):
      result.kind = IX_SETTING_MAPPING.rawValue
      children = [Setting("element", element, "")]
    case .record(let members):
      result.kind = IX_SETTING_RECORD.rawValue
      children = members
    case .any: result.kind = IX_SETTING_ANY.rawValue
    }
    result.children = describe(children)
    result.child_count = children.count
    return result
  }
}

/// Which Swift type a C stage class stands for. Thread: any; tests make modules on many.
enum StageTypes {
  private struct Table: @unchecked Sendable {
    // SAFETY: Sendable, because metatypes never change and the table is behind the lock.
    var types: [UInt: any Stage.Type] = [:]
  }

  private static let table = Mutex(Table())

  static func register(_ type: any Stage.Type, for description: UnsafePointer<ix_stage_class>) {
    let entry = Table(types: [UInt(bitPattern: description): type])
    table.withLock { $0.types.merge(entry.types) { _, new in new } }
  }

  static func type(for description: UnsafePointer<ix_stage_class>) -> (any Stage.Type)? {
    table.withLock { $0 }.types[UInt(bitPattern: description)]
  }
}

/// What an `ix_instance` pointer points to.
private final class InstanceBox {
  let stage: any Stage
  let context: StageContext
  /// Octets of the last health line, lent to the host until the next call.
  var healthLine: [CChar] = []

  init(_ stage: any Stage, _ context: StageContext) {
    self.stage = stage
    self.context = context
  }

  static func of(_ instance: OpaquePointer?) -> InstanceBox? {
    instance.map { Unmanaged<InstanceBox>.fromOpaque(UnsafeRawPointer($0)).takeUnretainedValue() }
  }
}

private let stageCreate:
  @convention(c) (
    UnsafePointer<ix_stage_class>?, UnsafePointer<ix_host>?, OpaquePointer?, UnsafeMutablePointer<OpaquePointer?>?
  ) -> ix_status = { description, host, config, instance in
    guard let description, let host, let instance, let type = StageTypes.type(for: description),
      let context = StageContext(host)
    else { return IX_FAILED }
    do throws(StageFailure) {
      let stage = try type.init(context: context, config: context.node(config))
      instance.pointee = OpaquePointer(Unmanaged.passRetained(InstanceBox(stage, context)).toOpaque())
      return IX_OK
    } catch {
      return context.status(of: error)
    }
  }

private let stageStart: @convention(c) (OpaquePointer?) -> ix_status = { instance in
  guard let box = InstanceBox.of(instance) else { return IX_FAILED }
  do throws(StageFailure) {
    try box.stage.start()
    return IX_OK
  } catch {
    return box.context.status(of: error)
  }
}

private let stageSubmit: @convention(c) (OpaquePointer?, OpaquePointer?) -> Void = { instance, job in
  guard let box = InstanceBox.of(instance), let job else { return }
  box.stage.submit(box.context.job(job))
}

private let stageCancel: @convention(c) (OpaquePointer?, OpaquePointer?) -> Void = { instance, job in
  guard let box = InstanceBox.of(instance), let job, let open = box.context.openJob(job) else { return }
  box.stage.cancel(open)
}

private let stageStop: @convention(c) (OpaquePointer?) -> Void = { instance in
  InstanceBox.of(instance)?.stage.stop()
}

private let stageDestroy: @convention(c) (OpaquePointer?) -> Void = { instance in
  guard let instance else { return }
  Unmanaged<InstanceBox>.fromOpaque(UnsafeRawPointer(instance)).release()
}

private let stageExtension: @convention(c) (OpaquePointer?, UnsafePointer<CChar>?) -> UnsafeRawPointer? = { _, id in
  guard let id, String(cString: id) == IX_HEALTH else { return nil }
  return UnsafeRawPointer(healthFunctions)
}

// SAFETY: written once, before its address is given away.
nonisolated(unsafe) private let healthFunctions: UnsafePointer<ix_health_functions> = {
  let memory = UnsafeMutablePointer<ix_health_functions>.allocate(capacity: 1)
  memory.initialize(
    to: ix_health_functions(
      size: MemoryLayout<ix_health_functions>.size,
      health: { instance, text in
        guard let box = InstanceBox.of(instance), let line = box.stage.health() else { return IX_OK }
        box.healthLine = line.utf8.map { CChar(bitPattern: $0) }
        box.healthLine.withUnsafeBufferPointer { octets in
          // SAFETY: the array is kept in the box and not touched until the next call.
          text?.pointee = ix_text(octets: octets.baseAddress, count: octets.count)
        }
        return IX_FAILED
      }))
  return UnsafePointer(memory)
}()

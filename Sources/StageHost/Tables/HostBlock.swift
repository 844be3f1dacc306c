internal import CInterchange
internal import Synchronization

/// What an `ix_host` pointer points to: the struct of interchange.h, and behind it the number of the runner.
///
/// A block is never freed (a few dozen octets an instance), so that a thread which a stage left behind reads valid
/// memory and finds that the number stands for nobody.
enum HostBlock {
  private static let table = Mutex<[UInt64: StageRunner]>([:])
  private static let serial = Atomic<UInt64>(0)
  private static let numberOffset = MemoryLayout<ix_host>.stride

  /// A block, and the runner's number for choosing a shard.
  static func make() -> (host: UnsafePointer<ix_host>, shard: Int) {
    let memory = UnsafeMutableRawPointer.allocate(
      byteCount: numberOffset + MemoryLayout<UInt64>.size, alignment: MemoryLayout<ix_host>.alignment)
    let number = serial.wrappingAdd(1, ordering: .relaxed).newValue
    let host = memory.initializeMemory(
      as: ix_host.self,
      to: ix_host(
        size: MemoryLayout<ix_host>.size, level: UInt32(IX_LEVEL), flags: 0, get_extension: hostGetExtension))
    memory.storeBytes(of: number, toByteOffset: numberOffset, as: UInt64.self)
    return (UnsafePointer(host), Int(truncatingIfNeeded: number))
  }

  private static func number(_ host: UnsafePointer<ix_host>) -> UInt64 {
    // SAFETY: every ix_host that a stage has is such a block.
    UnsafeRawPointer(host).load(fromByteOffset: numberOffset, as: UInt64.self)
  }

  static func register(_ runner: StageRunner, for host: UnsafePointer<ix_host>) {
    table.withLock { $0[number(host)] = runner }
  }

  static func forget(_ host: UnsafePointer<ix_host>) { table.withLock { _ = $0.removeValue(forKey: number(host)) } }

  /// The runner behind a host pointer; nil when the instance is destroyed.
  static func runner(_ host: UnsafePointer<ix_host>?) -> StageRunner? {
    guard let host else { return nil }
    return table.withLock { $0[number(host)] }
  }
}

private let hostGetExtension: @convention(c) (UnsafePointer<ix_host>?, UnsafePointer<CChar>?) -> UnsafeRawPointer? = {
  _, id in
  guard let id else { return nil }
  switch String(cString: id) {
  case IX_JOB: return UnsafeRawPointer(HostTables.job)
  case IX_DRAFT: return UnsafeRawPointer(HostTables.draft)
  case IX_INGEST: return UnsafeRawPointer(HostTables.ingest)
  case IX_LOOP: return UnsafeRawPointer(HostTables.loop)
  case IX_CONFIG: return UnsafeRawPointer(HostTables.config)
  case IX_DIAGNOSTICS: return UnsafeRawPointer(HostTables.diagnostics)
  case IX_LOG: return UnsafeRawPointer(HostTables.log)
  case IX_METRICS: return UnsafeRawPointer(HostTables.metrics)
  default: return nil
  }
}

/// The tables of interchange.h, one of each for the life of the process.
enum HostTables {
  /// Puts a table where it stays.
  static func eternal<Table>(_ table: Table) -> UnsafePointer<Table> {
    let memory = UnsafeMutablePointer<Table>.allocate(capacity: 1)
    memory.initialize(to: table)
    return UnsafePointer(memory)
  }
}

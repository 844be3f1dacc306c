internal import Glibc
public import Platform

/// A disk in memory that answers ``FileCalls`` as a kernel and a disk might at their worst. For tests.
///
/// What was written and not synced is kept apart from what is durable. A power cut keeps, drops or tears each of those
/// writes and entries of a directory, as a seed decides. A failed sync forgets: the octets can still be read, and no
/// later sync makes them durable (what Linux does).
///
/// Not for use by several threads.
public final class SimulatedDisk: FileCalls {
  /// What happens at the n-th call that can fail.
  public enum Fault: Sendable {
    /// This call fails.
    case once(errno: Int32)
    /// This and every later call that writes fails.
    case forGood(errno: Int32)
    /// Every write takes at most this many octets from here on.
    case shortWrites(octets: Int)
    /// The power goes: this call has a part of its effect, and it and all later ones fail with EIO.
    case powerCut
  }

  private enum Change {
    case write(offset: Int, octets: [UInt8])
    case resize(Int)
  }

  private enum EntryChange {
    case link(String, Int)
    case unlink(String)
    case rename(String, String, Int)
  }

  private final class Node {
    let kind: FileStatus.Kind
    var mode: UInt32
    var owner: UInt32
    /// A symbolic link is neither file nor directory here, and nothing follows it.
    var octets: [UInt8] = []
    var durableOctets: [UInt8] = []
    var changes: [Change] = []
    var entries: [String: Int] = [:]
    var durableEntries: [String: Int] = [:]
    var entryChanges: [EntryChange] = []
    var links = 1
    var lockedBy: Int32?

    init(kind: FileStatus.Kind, mode: UInt32, owner: UInt32) {
      self.kind = kind
      self.mode = mode
      self.owner = owner
    }
  }

  private struct Open {
    var node: Int
    var appends: Bool
  }

  public var user: UInt32 = 1000
  /// Octets the disk holds.
  public var capacity: UInt64
  /// Calls so far that could fail.
  public private(set) var callCount = 0
  public var fault: (at: Int, Fault)?
  public private(set) var octetsWritten = 0
  public private(set) var syncCount = 0
  public private(set) var largestWriteOctets = 0

  private var nodes: [Int: Node] = [:]
  private var opened: [Int32: Open] = [:]
  private var nextNode = 1
  private var nextDescriptor: Int32 = 100
  private var powerIsOff = false
  private var random: SeededRandom
  private static let root = 0

  public init(capacity: UInt64 = 1 << 30, seed: UInt64 = 1) {
    self.capacity = capacity
    random = SeededRandom(seed: seed)
    nodes[Self.root] = Node(kind: .directory, mode: 0o755, owner: 0)
  }

  // MARK: The test's side

  /// Makes a durable directory in the root.
  public func addDirectory(_ name: String, mode: UInt32 = 0o700, owner: UInt32? = nil) {
    add(name, Node(kind: .directory, mode: mode, owner: owner ?? user))
  }

  /// Makes something in the root that is neither file nor directory.
  public func addSymbolicLink(_ name: String) { add(name, Node(kind: .other, mode: 0o777, owner: user)) }

  private func add(_ name: String, _ node: Node) {
    nodes[nextNode] = node
    nodes[Self.root]?.entries[name] = nextNode
    nodes[Self.root]?.durableEntries[name] = nextNode
    nextNode += 1
  }

  /// The names in a directory of the root, sorted.
  public func names(inDirectory directory: String) -> [String] {
    guard let number = nodes[Self.root]?.entries[directory], let node = nodes[number] else { return [] }
    return node.entries.keys.sorted()
  }

  private func node(_ path: String) -> Node? {
    var number = Self.root
    for part in path.split(separator: "/") {
      guard let next = nodes[number]?.entries[String(part)] else { return nil }
      number = next
    }
    return nodes[number]
  }

  /// What a file holds, by its path of names with `/` between.
  public func octets(_ path: String) -> [UInt8]? { node(path)?.octets }

  /// Changes a file behind everybody's back, durably.
  public func alter(_ path: String, _ body: (inout [UInt8]) -> Void) {
    guard let node = node(path) else { return }
    body(&node.octets)
    node.durableOctets = node.octets
    node.changes = []
  }

  public func setMode(_ path: String, _ mode: UInt32) { node(path)?.mode = mode }
  public func setLinks(_ path: String, _ links: Int) { node(path)?.links = links }

  /// Ends the process: its descriptors and locks go, the page cache stays.
  public func endProcess() {
    opened = [:]
    for node in nodes.values { node.lockedBy = nil }
    fault = nil
  }

  /// Cuts the power and starts again: of what was not synced, each part is kept, dropped or torn.
  public func cutPower(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    endProcess()
    powerIsOff = false
    for number in nodes.keys.sorted() {
      guard let node = nodes[number] else { continue }
      let prefixOnly = random.next() % 2 == 0
      var lost = false
      for change in node.changes {
        if lost && prefixOnly { break }
        switch random.next() % 3 {
        case 0: Self.apply(change, &node.durableOctets)
        case 1: lost = true
        default:
          Self.applyTorn(change, &node.durableOctets, &random)
          lost = true
        }
      }
      node.changes = []
      node.octets = node.durableOctets
      lost = false
      for change in node.entryChanges {
        if lost && prefixOnly { break }
        if random.next() % 2 == 0 { Self.apply(change, &node.durableEntries) } else { lost = true }
      }
      node.entryChanges = []
      node.entries = node.durableEntries
    }
  }

  /// A copy of the durable and cached state, without open files.
  public func copy() -> SimulatedDisk {
    let copy = SimulatedDisk(capacity: capacity)
    copy.user = user
    copy.nextNode = nextNode
    copy.nodes = nodes.mapValues { node in
      let twin = Node(kind: node.kind, mode: node.mode, owner: node.owner)
      twin.octets = node.octets
      twin.durableOctets = node.durableOctets
      twin.changes = node.changes
      twin.entries = node.entries
      twin.durableEntries = node.durableEntries
      twin.entryChanges = node.entryChanges
      twin.links = node.links
      return twin
    }
    return copy
  }

  private static func apply(_ change: Change, _ octets: inout [UInt8]) {
    switch change {
    case .resize(let count):
      if count < octets.count {
        octets.removeLast(octets.count - count)
      } else {
        octets += zeros(count - octets.count)
      }
    case .write(let offset, let written):
      if octets.count < offset + written.count {
        octets += zeros(offset + written.count - octets.count)
      }
      octets.withUnsafeMutableBytes { target in
        written.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: target[offset...]).copyMemory(from: $0) }
      }
    }
  }

  /// In one stroke, which a debug build does not make of a repeated element.
  private static func zeros(_ count: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      if let base = buffer.baseAddress { memset(base, 0, count) }
      initialized = count
    }
  }

  private static func applyTorn(_ change: Change, _ octets: inout [UInt8], _ random: inout SeededRandom) {
    switch change {
    case .resize: apply(change, &octets)
    case .write(let offset, let written):
      guard written.count > 1 else { return }
      switch random.next() % 3 {
      case 0:  // A part from the start.
        let count = Int(random.next() % UInt64(written.count))
        apply(.write(offset: offset, octets: Array(written[..<count])), &octets)
      case 1:  // A part from the end.
        let count = Int(random.next() % UInt64(written.count))
        apply(.write(offset: offset + count, octets: Array(written[count...])), &octets)
      default:  // Some of the sectors.
        var position = offset
        while position < offset + written.count {
          let end = min((position / 512 + 1) * 512, offset + written.count)
          if random.next() % 2 == 0 {
            apply(.write(offset: position, octets: Array(written[position - offset..<end - offset])), &octets)
          }
          position = end
        }
      }
    }
  }

  private static func apply(_ change: EntryChange, _ entries: inout [String: Int]) {
    switch change {
    case .link(let name, let number): entries[name] = number
    case .unlink(let name): entries[name] = nil
    case .rename(_, let to, let number):
      // An earlier rename of the same file may be lost: whatever name it has now goes.
      for (name, other) in entries where other == number { entries[name] = nil }
      entries[to] = number
    }
  }

  // MARK: The kernel's side

  /// Counts a call that can fail, and fails it when the plan says so.
  private func enter(_ call: String, writes: Bool) throws(SystemError) {
    callCount += 1
    if powerIsOff { throw SystemError(call, errno: EIO) }
    guard let (at, fault) = fault else { return }
    switch fault {
    case .once(let code): if callCount == at { throw SystemError(call, errno: code) }
    case .forGood(let code): if callCount >= at, writes { throw SystemError(call, errno: code) }
    case .shortWrites: break
    case .powerCut: if callCount >= at { powerIsOff = true }
    }
  }

  private func leave(_ call: String) throws(SystemError) {
    if powerIsOff { throw SystemError(call, errno: EIO) }
  }

  private func node(_ descriptor: Int32, _ call: String) throws(SystemError) -> Node {
    guard let open = opened[descriptor], let node = nodes[open.node] else { throw SystemError(call, errno: EBADF) }
    return node
  }

  private func open(_ number: Int, appends: Bool = false) -> Int32 {
    nextDescriptor += 1
    opened[nextDescriptor] = Open(node: number, appends: appends)
    return nextDescriptor
  }

  private var octetsUsed: UInt64 {
    var linked: Set<Int> = Set(opened.values.map(\.node))
    for node in nodes.values { linked.formUnion(node.entries.values) }
    return linked.reduce(0) { $0 + UInt64(nodes[$1]?.octets.count ?? 0) }
  }

  public func openDirectory(_ path: String) throws(SystemError) -> Int32 {
    try enter("open", writes: false)
    var number = Self.root
    for part in path.split(separator: "/") where part != "." {
      guard let next = nodes[number]?.entries[String(part)] else { throw SystemError("open", errno: ENOENT) }
      guard nodes[next]?.kind == .directory else { throw SystemError("open", errno: ENOTDIR) }
      number = next
    }
    return open(number)
  }

  public func openDirectory(_ name: String, in directory: Int32) throws(SystemError) -> Int32 {
    try enter("openat", writes: false)
    guard let number = try node(directory, "openat").entries[name] else { throw SystemError("openat", errno: ENOENT) }
    guard nodes[number]?.kind == .directory else { throw SystemError("openat", errno: ENOTDIR) }
    return open(number)
  }

  public func open(_ name: String, in directory: Int32, _ purpose: FilePurpose) throws(SystemError) -> Int32 {
    try enter("openat", writes: false)
    let parent = try node(directory, "openat")
    if let number = parent.entries[name] {
      if case .creating = purpose { throw SystemError("openat", errno: EEXIST) }
      guard nodes[number]?.kind != .other else { throw SystemError("openat", errno: ELOOP) }
      if case .appending = purpose { return open(number, appends: true) }
      return open(number)
    }
    switch purpose {
    case .reading, .readingAndWriting: throw SystemError("openat", errno: ENOENT)
    case .creating, .creatingIfMissing, .appending:
      let number = nextNode
      nextNode += 1
      nodes[number] = Node(kind: .file, mode: 0o600, owner: user)
      parent.entries[name] = number
      parent.entryChanges.append(.link(name, number))
      try leave("openat")
      if case .appending = purpose { return open(number, appends: true) }
      return open(number)
    }
  }

  public func close(_ descriptor: Int32) {
    guard let open = opened.removeValue(forKey: descriptor), let node = nodes[open.node] else { return }
    if node.lockedBy == descriptor { node.lockedBy = nil }
  }

  /// Files that the process has open.
  public var openCount: Int { opened.count }

  public func read(
    _ descriptor: Int32, into: UnsafeMutableRawBufferPointer, at offset: UInt64
  ) throws(SystemError) -> Int {
    try enter("pread", writes: false)
    try leave("pread")
    let node = try node(descriptor, "pread")
    guard offset < UInt64(node.octets.count) else { return 0 }
    let count = min(into.count, node.octets.count - Int(offset))
    node.octets.withUnsafeBytes { octets in
      into.copyMemory(from: UnsafeRawBufferPointer(rebasing: octets[Int(offset)..<Int(offset) + count]))
    }
    return count
  }

  public func write(
    _ descriptor: Int32, _ octets: UnsafeRawBufferPointer, at offset: UInt64
  ) throws(SystemError) -> Int {
    let node = try node(descriptor, "pwrite")
    var taken = octets.count
    do throws(SystemError) {
      try enter("pwrite", writes: true)
    } catch {
      // A write that fails may have written a part.
      if !powerIsOff, error.errno == EIO {
        put(node, Array(UnsafeRawBufferPointer(rebasing: octets[..<(taken / 2)])), at: Int(offset))
      }
      throw error
    }
    if let (at, fault) = fault, case .shortWrites(let most) = fault, callCount >= at { taken = min(taken, most) }
    let start = opened[descriptor]?.appends == true ? node.octets.count : Int(offset)
    let growth = max(0, start + taken - node.octets.count)
    if growth > 0, octetsUsed + UInt64(growth) > capacity { throw SystemError("pwrite", errno: ENOSPC) }
    put(node, Array(UnsafeRawBufferPointer(rebasing: octets[..<taken])), at: start)
    octetsWritten += taken
    largestWriteOctets = max(largestWriteOctets, taken)
    try leave("pwrite")
    return taken
  }

  private func put(_ node: Node, _ octets: [UInt8], at offset: Int) {
    let change = Change.write(offset: offset, octets: octets)
    Self.apply(change, &node.octets)
    node.changes.append(change)
  }

  public func syncData(_ descriptor: Int32) throws(SystemError) {
    let node = try node(descriptor, "fdatasync")
    do throws(SystemError) { try enter("fdatasync", writes: true) } catch {
      node.changes = []  // The page cache keeps them and believes them written.
      throw error
    }
    if powerIsOff { throw SystemError("fdatasync", errno: EIO) }
    for change in node.changes { Self.apply(change, &node.durableOctets) }
    node.changes = []
    syncCount += 1
  }

  public func syncDirectory(_ descriptor: Int32) throws(SystemError) {
    let node = try node(descriptor, "fsync")
    try enter("fsync", writes: true)
    try leave("fsync")
    for change in node.entryChanges { Self.apply(change, &node.durableEntries) }
    node.entryChanges = []
  }

  public func allocate(_ descriptor: Int32, count: UInt64) throws(SystemError) {
    try enter("fallocate", writes: true)
    let node = try node(descriptor, "fallocate")
    guard count > UInt64(node.octets.count) else { return }
    guard octetsUsed + count - UInt64(node.octets.count) <= capacity else {
      throw SystemError("fallocate", errno: ENOSPC)
    }
    resize(node, Int(count))
    try leave("fallocate")
  }

  public func truncate(_ descriptor: Int32, to count: UInt64) throws(SystemError) {
    try enter("ftruncate", writes: true)
    resize(try node(descriptor, "ftruncate"), Int(count))
    try leave("ftruncate")
  }

  private func resize(_ node: Node, _ count: Int) {
    Self.apply(.resize(count), &node.octets)
    node.changes.append(.resize(count))
  }

  public func rename(_ name: String, to newName: String, in directory: Int32) throws(SystemError) {
    try enter("renameat", writes: true)
    let node = try node(directory, "renameat")
    guard let number = node.entries.removeValue(forKey: name) else { throw SystemError("renameat", errno: ENOENT) }
    node.entries[newName] = number
    node.entryChanges.append(.rename(name, newName, number))
    try leave("renameat")
  }

  public func unlink(_ name: String, in directory: Int32) throws(SystemError) {
    try enter("unlinkat", writes: true)
    let node = try node(directory, "unlinkat")
    guard node.entries.removeValue(forKey: name) != nil else { throw SystemError("unlinkat", errno: ENOENT) }
    node.entryChanges.append(.unlink(name))
    try leave("unlinkat")
  }

  public func makeDirectory(_ name: String, in directory: Int32) throws(SystemError) {
    try enter("mkdirat", writes: true)
    let parent = try node(directory, "mkdirat")
    guard parent.entries[name] == nil else { throw SystemError("mkdirat", errno: EEXIST) }
    let number = nextNode
    nextNode += 1
    nodes[number] = Node(kind: .directory, mode: 0o700, owner: user)
    parent.entries[name] = number
    parent.entryChanges.append(.link(name, number))
    try leave("mkdirat")
  }

  public func names(in directory: Int32) throws(SystemError) -> [String] {
    try enter("readdir", writes: false)
    return Array(try node(directory, "readdir").entries.keys)
  }

  public func status(_ descriptor: Int32) throws(SystemError) -> FileStatus {
    try enter("fstat", writes: false)
    let node = try node(descriptor, "fstat")
    return FileStatus(
      kind: node.kind, owner: node.owner, mode: node.mode, octets: UInt64(node.octets.count),
      links: UInt64(node.links))
  }

  public func room(_ descriptor: Int32) throws(SystemError) -> FileSystemRoom {
    try enter("fstatvfs", writes: false)
    let used = octetsUsed
    return FileSystemRoom(octets: capacity, octetsFree: used > capacity ? 0 : capacity - used)
  }

  public func lock(_ descriptor: Int32) throws(SystemError) -> Bool {
    try enter("flock", writes: false)
    let node = try node(descriptor, "flock")
    if let holder = node.lockedBy, holder != descriptor { return false }
    node.lockedBy = descriptor
    return true
  }
}

/// A random number generator that repeats (SplitMix64).
public struct SeededRandom: RandomNumberGenerator, Sendable {
  private var state: UInt64

  public init(seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
    return value ^ (value >> 31)
  }
}

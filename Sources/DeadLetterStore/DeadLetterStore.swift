public import MailModel
public import Platform

/// Letters as directories, so that nothing of ours is needed to read them:
///
/// ```
/// ROOT/.lock                         held while a letter is written or removed
/// ROOT/01JD5M2Q3RABC-1/content.eml   the content, every octet as it came
/// ROOT/01JD5M2Q3RABC-1/letter.txt    envelope, reasons and times (`LetterText`)
/// ROOT/01JD5M2Q3RABC-1/history.txt   what happened, a line an event
/// ROOT/.incoming-…, .dropped-…       a letter on its way in or out
/// ```
///
/// Invariants:
/// 1. A directory with a letter's name is whole: its files were synced, then it was renamed, then ROOT was synced; only
///    then ``store(_:content:)`` returns. A crash before leaves `.incoming-…`, which the next writer removes.
/// 2. The same letter again (same queue identifier, same recipients) is the letter that is there: a crash between
///    storing and settling duplicates nothing.
/// 3. Names come from identifiers and numbers of this program, never from an address or a content.
/// 4. Removing renames first, so that a letter is never half gone under its own name.
/// 5. One writer at a time, by the lock; readers need none.
///
/// Thread: one at a time.
public final class DeadLetterStore {
  public struct Settings: Sendable {
    /// Octets of all letters' files together; nil is no bound.
    public var octetsMax: UInt64?
    public var lettersMax: Int?

    public init(octetsMax: UInt64? = nil, lettersMax: Int? = nil) {
      self.octetsMax = octetsMax
      self.lettersMax = lettersMax
    }
  }

  /// A letter as a listing shows it.
  public struct Summary: Sendable, Hashable {
    public var id: LetterID
    public var octets: UInt64
    /// Nil when `letter.txt` is damaged.
    public var storedAt: WallTime?
  }

  static let contentName = "content.eml"
  static let letterName = "letter.txt"
  static let historyName = "history.txt"
  private static let fileNames = [contentName, letterName, historyName]

  let calls: any FileCalls
  private let root: Int32
  private let settings: Settings

  /// - Parameter path: An existing directory. Nothing is written before the first letter.
  /// - Throws: ``DeadLetterError/io(_:)``.
  public init(
    path: String, settings: Settings = Settings(), calls: any FileCalls = SystemFileCalls()
  ) throws(DeadLetterError) {
    self.calls = calls
    self.settings = settings
    root = try io { () throws(SystemError) in try calls.openDirectory(path) }
  }

  deinit { calls.close(root) }

  // MARK: Storing

  /// Makes a letter durable. When this returns, a power loss cannot lose it.
  ///
  /// - Parameter content: Called once at most; hands the content over in pieces by the function it is given.
  /// - Returns: The letter's name; that of the letter already there, when it is the same.
  /// - Throws: Any case but ``DeadLetterError/noSuchLetter``; then the message is still the caller's.
  public func store(
    _ letter: DeadLetter,
    content: ((UnsafeRawBufferPointer) throws(DeadLetterError) -> Void) throws(DeadLetterError) -> Void
  ) throws(DeadLetterError) -> LetterID {
    try locked { () throws(DeadLetterError) in
      try removeRemains()
      let existing = try ids()
      var number: UInt32 = 0
      for id in existing where id.queueID == letter.queueID {
        if try isSame(id, letter) {
          // It may have been renamed by a run that was cut off before it synced the directory.
          try io { () throws(SystemError) in try calls.syncDirectory(root) }
          return id
        }
        number = max(number, id.number)
      }
      guard number < UInt32.max else { throw .quota("letters of one message") }
      let id = LetterID(letter.queueID, number + 1)
      let text = LetterText.encode(letter, id: id)
      let history = LetterText.encode(letter.history)
      try checkQuota(existing, adding: letter.contentOctets &+ UInt64(text.count + history.count))
      let incoming = ".incoming-\(id)"
      do throws(DeadLetterError) {
        try write(incoming, announced: letter.contentOctets, text: text, history: history, content: content)
        try io { () throws(SystemError) in
          try calls.rename(incoming, to: id.description, in: root)
          try calls.syncDirectory(root)
        }
      } catch {
        // Best effort: what stays is removed by the next writer. The first error is the one to tell.
        try? remove(directory: incoming)
        throw error
      }
      return id
    }
  }

  private func write(
    _ name: String, announced: UInt64, text: [UInt8], history: [UInt8],
    content: ((UnsafeRawBufferPointer) throws(DeadLetterError) -> Void) throws(DeadLetterError) -> Void
  ) throws(DeadLetterError) {
    let directory = try io { () throws(SystemError) in
      try calls.makeDirectory(name, in: root)
      return try calls.openDirectory(name, in: root)
    }
    defer { calls.close(directory) }
    try file(Self.contentName, in: directory) { descriptor throws(DeadLetterError) in
      var offset: UInt64 = 0
      try content { piece throws(DeadLetterError) in
        guard UInt64(piece.count) <= announced - offset else {
          throw .incomplete(octets: offset &+ UInt64(piece.count), announced: announced)
        }
        try io { () throws(SystemError) in try calls.writeAll(descriptor, piece, at: offset) }
        offset += UInt64(piece.count)
      }
      guard offset == announced else { throw .incomplete(octets: offset, announced: announced) }
    }
    for (name, octets) in [(Self.letterName, text), (Self.historyName, history)] {
      try file(name, in: directory) { descriptor throws(DeadLetterError) in
        try io { () throws(SystemError) in try calls.writeAll(descriptor, octets, at: 0) }
      }
    }
    try io { () throws(SystemError) in try calls.syncDirectory(directory) }
  }

  /// A new file, written by `body` and synced.
  private func file(
    _ name: String, in directory: Int32, _ body: (Int32) throws(DeadLetterError) -> Void
  ) throws(DeadLetterError) {
    let descriptor = try io { () throws(SystemError) in try calls.open(name, in: directory, .creating) }
    defer { calls.close(descriptor) }
    try body(descriptor)
    try io { () throws(SystemError) in try calls.syncData(descriptor) }
  }

  /// A letter that cannot be read is another one: rather twice than not at all.
  private func isSame(_ id: LetterID, _ letter: DeadLetter) throws(DeadLetterError) -> Bool {
    func addresses(_ entries: [DeadLetter.Entry]) -> [String] {
      entries.map { "\($0.recipient.address.kind.rawValue) \($0.recipient.address.text)" }.sorted()
    }
    do throws(DeadLetterError) {
      return addresses(try read(id).entries) == addresses(letter.entries)
    } catch {
      switch error {
      case .damaged, .noSuchLetter: return false
      case .quota, .busy, .io, .incomplete: throw error
      }
    }
  }

  private func checkQuota(_ existing: [LetterID], adding octets: UInt64) throws(DeadLetterError) {
    if let most = settings.lettersMax, existing.count >= most { throw .quota("\(most) letters") }
    guard let most = settings.octetsMax else { return }
    var used: UInt64 = octets
    for id in existing where used <= most { used = used &+ (try summary(id)?.octets ?? 0) }
    guard used <= most else { throw .quota("\(most) octets") }
  }

  // MARK: Reading

  /// All letters, oldest message first.
  public func list() throws(DeadLetterError) -> [Summary] {
    var summaries: [Summary] = []
    for id in try ids().sorted() {
      // One that was dropped meanwhile is left out.
      if let summary = try summary(id) { summaries.append(summary) }
    }
    return summaries
  }

  public func read(_ id: LetterID) throws(DeadLetterError) -> DeadLetter {
    let directory = try openLetter(id)
    defer { calls.close(directory) }
    let text = try contents(Self.letterName, in: directory)
    let history = try contents(Self.historyName, in: directory)
    return try LetterText.decode(text, history: history)
  }

  /// Lends the content in order, until `body` returns false.
  public func forEachPiece(
    of id: LetterID, _ body: (UnsafeRawBufferPointer) throws(DeadLetterError) -> Bool
  ) throws(DeadLetterError) {
    let directory = try openLetter(id)
    defer { calls.close(directory) }
    try forEachPiece(of: Self.contentName, in: directory, body)
  }

  /// Copies the letter's files, synced, into a new directory of the letter's name below `path`.
  public func export(_ id: LetterID, to path: String) throws(DeadLetterError) {
    let source = try openLetter(id)
    defer { calls.close(source) }
    let parent = try io { () throws(SystemError) in try calls.openDirectory(path) }
    defer { calls.close(parent) }
    let target = try io { () throws(SystemError) in
      try calls.makeDirectory(id.description, in: parent)
      return try calls.openDirectory(id.description, in: parent)
    }
    defer { calls.close(target) }
    for name in Self.fileNames {
      try file(name, in: target) { descriptor throws(DeadLetterError) in
        var offset: UInt64 = 0
        try forEachPiece(of: name, in: source) { piece throws(DeadLetterError) in
          try io { () throws(SystemError) in try calls.writeAll(descriptor, piece, at: offset) }
          offset += UInt64(piece.count)
          return true
        }
      }
    }
    try io { () throws(SystemError) in
      try calls.syncDirectory(target)
      try calls.syncDirectory(parent)
    }
  }

  // MARK: Removing

  /// Removes a letter for good.
  public func drop(_ id: LetterID) throws(DeadLetterError) {
    try locked { () throws(DeadLetterError) in try dropLocked(id) }
  }

  /// Removes the letters stored more than `keepSeconds` before `now`, and says which, for the log. A letter whose time
  /// cannot be read stays.
  public func sweep(keepSeconds: Double, now: WallTime) throws(DeadLetterError) -> [Summary] {
    guard keepSeconds.isFinite, keepSeconds >= 0 else { return [] }
    return try locked { () throws(DeadLetterError) in
      try removeRemains()
      var removed: [Summary] = []
      for summary in try list() {
        guard let storedAt = summary.storedAt else { continue }
        let age = Double(now.millisecondsSinceEpoch) - Double(storedAt.millisecondsSinceEpoch)
        guard age > keepSeconds * 1000 else { continue }
        try dropLocked(summary.id)
        removed.append(summary)
      }
      return removed
    }
  }

  private func dropLocked(_ id: LetterID) throws(DeadLetterError) {
    guard try ids().contains(id) else { throw .noSuchLetter }
    let dropped = ".dropped-\(id)"
    try io { () throws(SystemError) in
      try calls.rename(id.description, to: dropped, in: root)
      try calls.syncDirectory(root)
    }
    try remove(directory: dropped)
  }

  // MARK: Files

  /// What a crash left of letters on their way in or out. Only under the lock.
  private func removeRemains() throws(DeadLetterError) {
    for name in try io({ () throws(SystemError) in try calls.names(in: root) })
    where name.hasPrefix(".incoming-") || name.hasPrefix(".dropped-") {
      try remove(directory: name)
    }
  }

  private func remove(directory name: String) throws(DeadLetterError) {
    try io { () throws(SystemError) in
      let directory = try calls.openDirectory(name, in: root)
      defer { calls.close(directory) }
      for file in try calls.names(in: directory) { try calls.unlink(file, in: directory) }
      try calls.unlink(name, in: root)
    }
  }

  private func ids() throws(DeadLetterError) -> [LetterID] {
    try io { () throws(SystemError) in try calls.names(in: root) }.compactMap { LetterID($0) }
  }

  private func summary(_ id: LetterID) throws(DeadLetterError) -> Summary? {
    let directory: Int32
    do throws(DeadLetterError) { directory = try openLetter(id) } catch {
      if error == .noSuchLetter { return nil }
      throw error
    }
    defer { calls.close(directory) }
    var summary = Summary(id: id, octets: 0, storedAt: nil)
    for name in Self.fileNames {
      guard let descriptor = try openFile(name, in: directory) else { continue }
      defer { calls.close(descriptor) }
      try io { () throws(SystemError) in
        summary.octets = summary.octets &+ (try calls.status(descriptor).octets)
        if name == Self.letterName {
          summary.storedAt = LetterText.storedAt(head: try calls.readAll(descriptor, count: 256, at: 0))
        }
      }
    }
    return summary
  }

  private func openLetter(_ id: LetterID) throws(DeadLetterError) -> Int32 {
    do throws(SystemError) {
      return try calls.openDirectory(id.description, in: root)
    } catch {
      if error.errno == SystemErrorText.notFound { throw .noSuchLetter }
      throw .io(SystemErrorText(error))
    }
  }

  /// Nil when it is missing, which only a hand from outside can have done.
  private func openFile(_ name: String, in directory: Int32) throws(DeadLetterError) -> Int32? {
    do throws(SystemError) {
      return try calls.open(name, in: directory, .reading)
    } catch {
      if error.errno == SystemErrorText.notFound { return nil }
      throw .io(SystemErrorText(error))
    }
  }

  private func contents(_ name: String, in directory: Int32) throws(DeadLetterError) -> [UInt8] {
    var octets: [UInt8] = []
    try forEachPiece(of: name, in: directory) { piece throws(DeadLetterError) in
      // An envelope may grow eightfold by escaping, no more.
      guard octets.count + piece.count <= 8 * Limits.envelopeOctetsMax else { throw .damaged("\(name): too long") }
      octets.append(contentsOf: piece)
      return true
    }
    return octets
  }

  private func forEachPiece(
    of name: String, in directory: Int32, _ body: (UnsafeRawBufferPointer) throws(DeadLetterError) -> Bool
  ) throws(DeadLetterError) {
    guard let descriptor = try openFile(name, in: directory) else { throw .damaged("\(name) is missing") }
    defer { calls.close(descriptor) }
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 * 1024, alignment: 16)
    defer { memory.deallocate() }
    var offset: UInt64 = 0
    while true {
      let count = try io { () throws(SystemError) in try calls.read(descriptor, into: memory, at: offset) }
      guard count > 0 else { return }
      offset += UInt64(count)
      guard try body(UnsafeRawBufferPointer(rebasing: memory[..<count])) else { return }
    }
  }

  private func locked<Result>(
    _ body: () throws(DeadLetterError) -> Result
  ) throws(DeadLetterError) -> Result {
    let lock = try io { () throws(SystemError) in try calls.open(".lock", in: root, .creatingIfMissing) }
    // Closing gives the lock back.
    defer { calls.close(lock) }
    guard try io({ () throws(SystemError) in try calls.lock(lock) }) else { throw .busy }
    return try body()
  }
}

private func io<Result>(_ body: () throws(SystemError) -> Result) throws(DeadLetterError) -> Result {
  do throws(SystemError) { return try body() } catch { throw .io(SystemErrorText(error)) }
}

extension SystemErrorText {
  /// ENOENT.
  static let notFound: Int32 = 2

  init(_ error: SystemError) { self.init(error.description, errno: error.errno) }
}

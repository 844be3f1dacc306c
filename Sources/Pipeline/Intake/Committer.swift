import MailModel
import Spoke
import Spool

/// Writes what the hub hands over into the spool, and makes it durable in groups: everything that has arrived since the
/// last sync goes with the next one, so that a sync's cost is shared by whoever waited for it.
///
/// For each batch: contents and changes are appended in order, then one commit, then the batch is passed on to the
/// dispatcher, who tells the world. A change that finds no room is marked refused and the batch goes on. After an I/O
/// error nothing more is written and the process ends (``SpoolEngine``): what was passed on before stays true, and what
/// was not has been told to nobody.
///
/// Thread: the committer's.
final class Committer {
  private let engine: any SpoolEngine
  private let keepHistory: (HistoryEvent) -> Void
  private var contents: [DraftKey: ContentID] = [:]
  /// Drafts of which a piece found no room: their offer is refused.
  private var starved: Set<DraftKey> = []
  private var isDirty = false

  init(_ engine: any SpoolEngine, keepHistory: @escaping (HistoryEvent) -> Void) {
    self.engine = engine
    self.keepHistory = keepHistory
  }

  /// - Throws: ``SpoolError`` other than `noSpace`: the process must end.
  func write(_ entry: IntakeEntry) throws(SpoolError) {
    switch entry {
    case .piece(let key, let region, let chunk, let octets, _): try append(key, region, chunk, octets)
    case .discard(let key): forget(key)
    case .closeLink(let link):
      for key in contents.keys.filter({ $0.link == link }) { forget(key) }
      starved = starved.filter { $0.link != link }
    case .transaction(let transaction): try append(transaction)
    case .record(let event): keepHistory(event)
    case .close: break
    }
  }

  func commit() throws(SpoolError) {
    guard isDirty else { return }
    isDirty = false
    try engine.commit()
  }

  private func forget(_ key: DraftKey) {
    if let content = contents.removeValue(forKey: key) { engine.abandon(content) }
    starved.remove(key)
  }

  private func append(_ key: DraftKey, _ region: SpokeRegion, _ chunk: UInt32, _ octets: Int) throws(SpoolError) {
    guard !starved.contains(key), let memory = region.chunk(chunk) else { return }
    let content = contents[key] ?? engine.beginContent()
    contents[key] = content
    let piece = UnsafeRawBufferPointer(rebasing: memory[..<min(octets, memory.count)])
    if try !fits({ () throws(SpoolError) in try engine.append(piece, to: content) }) {
      forget(key)
      starved.insert(key)
    }
  }

  private func append(_ transaction: Transaction) throws(SpoolError) {
    var made: [ContentID] = []
    var changes = transaction.notes
    for accept in transaction.accepts {
      guard let content = try content(of: accept) else {
        refuse(transaction, made)
        return
      }
      made.append(content)
      changes.append(.accept(accept.stored, content: content, stage: accept.stage))
    }
    for change in transaction.changes {
      changes.append(.recipients(change.message.stored.id, change.recipients, change.state))
    }
    guard try fits({ () throws(SpoolError) in try engine.append(changes) }) else {
      refuse(transaction, made)
      return
    }
    isDirty = true
    transaction.failure = nil
    transaction.extents = transaction.accepts.map { engine.extents(of: $0.stored.id) ?? [] }
    for accept in transaction.accepts {
      if case .draft(let key) = accept.content { contents[key] = nil }
    }
  }

  private func refuse(_ transaction: Transaction, _ made: [ContentID]) {
    for content in made { engine.abandon(content) }
    for accept in transaction.accepts {
      if case .draft(let key) = accept.content { forget(key) }
    }
    transaction.failure = .noSpace
  }

  /// The content of a new message, written if it is not yet; nil when there is no room.
  private func content(of accept: Transaction.NewMessage) throws(SpoolError) -> ContentID? {
    switch accept.content {
    case .draft(let key):
      if starved.contains(key) { return nil }
      if let content = contents[key] { return content }
      // Octets that were announced and are not here must never become an empty content.
      return accept.stored.contentOctets == 0 ? engine.beginContent() : nil
    case .octets(let octets):
      let content = engine.beginContent()
      let written = try fits { () throws(SpoolError) in
        // A span instead of withUnsafeBytes, which does not pass a typed error on.
        try octets.span.withUnsafeBytes { (octets) throws(SpoolError) in try engine.append(octets, to: content) }
      }
      if written { return content }
      engine.abandon(content)
      return nil
    case .copy(let source):
      let content = engine.beginContent()
      let written = try fits { () throws(SpoolError) in
        try source.forEachPiece { (octets) throws(SpoolError) in try engine.append(octets, to: content) }
      }
      if written { return content }
      engine.abandon(content)
      return nil
    }
  }

  /// Runs a write; false when there was no room for it.
  private func fits(_ write: () throws(SpoolError) -> Void) throws(SpoolError) -> Bool {
    do throws(SpoolError) {
      try write()
      return true
    } catch .noSpace {
      return false
    } catch {
      throw error
    }
  }
}

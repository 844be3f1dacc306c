public import MailModel
public import Platform

/// The embedded engine: an append-only log of preallocated segments in one directory, which holds contents and changes
/// alike (``RecordFormat`` has the octets, ``SpoolDirectory`` the names), and an index in memory of what is live.
///
/// Definitions
/// - The *head* is the segment that records are appended to. It is the one with the highest number.
/// - A *place* of a message is the record that holds its envelope: the accept, or a later copy of the whole message.
/// - *Durable* is the highest sequence that a sync has covered.
/// - A segment is *referred to* by the places and extents of live messages and of contents not yet sealed.
///
/// Invariants
///  1. One `append` of changes is one record. A record counts only if its checksum fits, so a group is whole or absent.
///  2. A content's pieces stand before the record that seals it, and the log is believed only up to its first gap.
///     So whoever finds an accept finds its content.
///  3. A head is synced before its successor is made, and the successor's header is durable before it has a segment's
///     name. So only the last segment can have a torn end, and no segment lacks a header.
///  4. A record says what was durable when it was made. So a hole that is followed by a record that knew better is
///     damage, to be reported; any other hole is the trace of a power cut, to be cut.
///  5. Recovery never appends to a segment of an earlier run: it cuts the last one's torn end off, writes again what may
///     never have reached the disk (a sync may have failed), syncs, and starts a new segment when it needs one.
///     So what was cut cannot come back behind new records.
///  6. Each life of a segment file has a new random salt in every checksum. So leftovers never parse.
///  7. A segment is freed only when nothing refers to it, everything appended is durable, and every segment that it
///     depends on is gone and the directory synced. It depends on a segment where a message lies that it holds a change
///     or a copy of. So replaying whatever segments are left, oldest first, never brings an ended message back and
///     never loses the state of a live one: the change outlives what it is about.
///  8. No segment at or after the place at which the snapshot in force (or being written) begins is freed. So a replay
///     on top of a snapshot misses nothing that changed since.
///  9. A snapshot is written in steps while the log goes on. An entry may be newer than the place where replay begins;
///     changes set absolute states and are replayed in order, so that replaying an older one first does no harm.
/// 10. A message is copied forward as one record behind copies of its pieces; until that record is durable the old
///     place and extents are in force. The old segment is then unlinked, never written again.
/// 11. After the first failed write or sync nothing more is written. The process ends and recovers from disk.
/// 12. New messages are refused while the file system has less free than the reserve, before anything is written. One
///     spare segment is kept for changes alone, so that a full disk drains.
///
/// What a power cut leaves, and what recovery makes of it
///
/// | cut while…                                  | on disk                            | recovery                        |
/// |---------------------------------------------|------------------------------------|---------------------------------|
/// | R1 content is written                       | pieces that nothing seals          | ignored; freed with the segment |
/// | R2 records are written, before the sync     | any part of the unsynced records   | whole ones up to the first gap  |
/// | R3 after the sync                           | all                                | all                             |
/// | R4 a new head is prepared, before its rename| a spare with a header in it        | a spare                         |
/// | R5 after the rename, before any record      | a segment without records          | an empty segment, freed later   |
/// | R6 a segment is freed or recycled           | under its old or its new name, or  | replayed to no effect (7), or   |
/// |                                             | gone                               | a spare, or nothing             |
/// | R7 a snapshot is written                    | `snapshot.part`                    | removed; the old one holds (8)  |
/// | R8 the snapshot is renamed                  | the old or the new                 | either is right (8, 9)          |
/// | R9 the snapshot is damaged                  | a checksum that does not fit       | noted; the full log (7)         |
/// | R10 a message is copied forward             | pieces without the copy record     | the old place (10)              |
/// | R11 recovery cuts the torn end              | cut or not                         | done again (5)                  |
/// | R12 a durable record is damaged             | a hole with a knowing record after | noted; its messages are held    |
/// | R13 a segment's header is damaged in both   | an unreadable segment              | noted; kept; its messages held  |
/// |     copies, or its file is missing          |                                    | or named as unreadable          |
///
/// Records that survive though their sync did not return were appended and not committed: their source was told nothing,
/// still owns the message and will offer it again. That is a duplicate, which the field allows (RFC 5321 §6.1), never a
/// loss and never half a group.
///
/// States: opened → (`recover`) ready → (`close`) closed; from any, at the first failed call, failed for good.
///
/// Threads: one at a time, but ``descriptor(ofSegment:)``.
public final class LogSpool: SpoolEngine {
  enum Phase {
    case opened
    case ready
    case failed(SpoolError)
    case closed
  }

  struct OpenContent {
    var extents: [ContentExtent] = []
    var octets: UInt64 = 0
  }

  /// A piece at the end of the buffer that may still grow.
  struct OpenPiece {
    var content: UInt64
    /// Index in the buffer at which the record begins.
    var start: Int
  }

  struct Spare {
    var number: UInt32
    var descriptor: Int32
    var octets: Int
  }

  /// A spare that is being zeroed.
  struct Blank {
    var spare: Spare
    var zeroed: Int
  }

  struct RetiredDescriptor {
    var segment: UInt32
    var descriptor: Int32
    var tidiesLeft: Int
  }

  public let path: String
  let files: any FileCalls
  let settings: SpoolSettings
  let directory: SpoolDirectory
  var random: any RandomNumberGenerator

  var phase: Phase = .opened
  var index = LiveIndex()
  var stages = StageNames()
  var segments = SegmentTable()
  let descriptors = SegmentDescriptors()
  var contents: [UInt64: OpenContent] = [:]
  var lastContent: UInt64 = 0
  public internal(set) var lastQueueID = QueueID(rawValue: 0)

  /// Nil until the first record of this run needs a segment.
  var head: UInt32?
  var headCapacity = 0
  /// Records that are not yet written; they belong at `bufferOffset` of the head.
  var buffer: [UInt8] = []
  var bufferOffset = 0
  var openPiece: OpenPiece?
  /// The sequence of the last record appended.
  var sequence: UInt64 = 0
  var durable: UInt64 = 0

  var nextSegment: UInt32 = 1
  var nextSpare: UInt32 = 1
  var spares: [Spare] = []
  var blank: Blank?
  var retired: [RetiredDescriptor] = []
  /// Messages copied forward since ``takeMoved()``.
  var moved: [QueueID] = []
  /// Free octets of the file system less the reserve, as last asked, and what was taken since.
  var knownRoom: Int64 = 0
  var knownRoomAge = Int.max

  /// The segment at which the snapshot in force begins; nil without one.
  var snapshotSegment: UInt32?
  var snapshotOctets = 0
  var snapshotWriter: SnapshotWriter?
  var octetsSinceSnapshot = 0
  var forwarding: Forwarding?
  var lastRead: ReadRecord?

  /// What recovery found wrong or had to cut, and what copying found later: each with its file and offset.
  public internal(set) var recoveryNotes: [SpoolNote] = []
  /// Notes beyond the bound of ``recoveryNotes``.
  public internal(set) var recoveryNotesDropped = 0
  /// Messages that are live but whose envelope can no longer be read: not handed over by `recover`, not forgotten.
  public internal(set) var unreadableMessages: [QueueID] = []

  /// Opens and locks the spool directory; ``recover(_:)`` is next.
  ///
  /// - Parameters:
  ///   - path: An existing directory of mode 0700 that belongs to this user; see ``createDirectory(_:_:)``.
  ///   - random: Where the salts come from; a test gives one that repeats.
  /// - Throws: ``SpoolError/unusable(_:)`` with one line that names the path.
  public init(
    path: String, settings: SpoolSettings = SpoolSettings(), files: any FileCalls = SystemFileCalls(),
    random: any RandomNumberGenerator = SystemRandomNumberGenerator()
  ) throws(SpoolError) {
    let overhead = RecordFormat.firstRecordOffset + 4096
    precondition(settings.segmentOctets >= 4 * overhead, "segments of fewer than 20 KiB")
    precondition(settings.segmentOctets <= 1 << 31, "segments of more than 2 GiB")
    precondition(settings.pieceOctetsMax >= 1 && settings.sparesMin >= 1, "spool settings of zero")
    var settings = settings
    settings.pieceOctetsMax = min(settings.pieceOctetsMax, settings.segmentOctets - overhead)
    settings.bufferOctets = max(settings.bufferOctets, settings.pieceOctetsMax + 128)
    settings.sparesMax = max(settings.sparesMax, settings.sparesMin)
    self.path = path
    self.settings = settings
    self.files = files
    self.random = random
    directory = try SpoolDirectory.open(path, files)
  }

  deinit {
    switch phase {
    case .closed: break
    case .opened, .ready, .failed: releaseDescriptors()
    }
  }

  /// Makes the directory of a new spool, private to this user. Never done by opening one: a directory that is missing
  /// may be a file system that is not mounted.
  ///
  /// - Throws: ``SpoolError/unusable(_:)`` when its parent is missing or refuses, or when something has its name.
  public static func createDirectory(
    _ path: String, files: any FileCalls = SystemFileCalls()
  ) throws(SpoolError) {
    let parts = path.split(separator: "/", omittingEmptySubsequences: true)
    guard let name = parts.last else { throw .unusable("\(path): not a name for a spool directory") }
    let above = parts.dropLast().joined(separator: "/")
    let parent = (path.hasPrefix("/") ? "/" : "") + above
    do throws(SystemError) {
      let directory = try files.openDirectory(parent.isEmpty ? "." : parent)
      defer { files.close(directory) }
      try files.makeDirectory(String(name), in: directory)
      try files.syncDirectory(directory)
    } catch {
      throw .unusable("\(path): the spool directory cannot be made: \(SpoolDirectory.text(error.errno))")
    }
  }

  // MARK: Contents

  public func beginContent() -> ContentID {
    lastContent += 1
    contents[lastContent] = OpenContent()
    return ContentID(rawValue: lastContent)
  }

  public func append(_ octets: UnsafeRawBufferPointer, to content: ContentID) throws(SpoolError) {
    try checkReady()
    precondition(contents[content.rawValue] != nil, "octets for a content that was never begun, or was sealed")
    let pieces = octets.count / settings.pieceOctetsMax + 2
    let heads = octets.count / settings.segmentOctets + 1
    try requireRoom(octets: octets.count + 64 * pieces + (RecordFormat.firstRecordOffset + 4096) * heads)
    var done = 0
    while done < octets.count {
      done += try appendPiece(UnsafeRawBufferPointer(rebasing: octets[done...]), to: content.rawValue)
    }
  }

  public func abandon(_ content: ContentID) {
    guard let abandoned = contents.removeValue(forKey: content.rawValue) else { return }
    for extent in abandoned.extents { segments.release(extent) }
    if openPiece?.content == content.rawValue { sealPiece() }
  }

  // MARK: Changes

  public func append(_ changes: [SpoolChange]) throws(SpoolError) {
    try checkReady()
    var logged: [LoggedChange] = []
    var sealed: [ContentID] = []
    var accepted: [QueueID: Int] = [:]
    for change in changes {
      switch change {
      case .accept(let message, let content, let stage):
        guard let written = contents[content.rawValue] else {
          preconditionFailure("a message with a content that was never begun, or was sealed")
        }
        precondition(written.octets == message.contentOctets, "a message says another length than its content has")
        precondition(index[message.id] == nil && message.id.rawValue != 0, "a message with a used identifier")
        logged.append(.accept(message, written.extents, stage: stage))
        sealed.append(content)
        accepted[message.id] = message.envelope.recipients.count
      case .recipients(let id, let indices, let state):
        // A message that has ended has no state to change.
        guard let count = index[id]?.states.count ?? accepted[id] else { continue }
        precondition(indices.allSatisfy { (0..<count).contains($0) }, "a recipient beyond the envelope's list")
        logged.append(.recipients(id, indices, state))
      }
    }
    guard !logged.isEmpty else { return }
    var writer = WireWriter(reserving: 256 * logged.count)
    writer.writeList(logged) { $0.write($1) }
    let place = try appendRecord(.changes, writer.octets, for: accepted.isEmpty ? .changesAlone : .newMail)
    for change in logged { apply(change, at: place) }
    for content in sealed { abandon(content) }
  }

  public func commit() throws(SpoolError) {
    try checkReady()
    try makeDurable()
  }

  public func extents(of id: QueueID) -> [ContentExtent]? { index[id]?.extents.array }

  public func takeMoved() -> [(id: QueueID, extents: [ContentExtent])] {
    defer { moved = [] }
    return moved.compactMap { id in index[id].map { (id, $0.extents.array) } }
  }

  public func descriptor(ofSegment segment: UInt32) -> Int32? { descriptors[segment] }

  /// Live messages.
  public var messageCount: Int { index.count }

  /// Segment files of the log, the head among them.
  public var segmentCount: Int { segments.count }

  public func close() throws(SpoolError) {
    try checkReady()
    try makeDurable()
    try writeWholeSnapshot()
    releaseDescriptors()
    phase = .closed
  }

  // MARK: Failure

  func checkReady() throws(SpoolError) {
    switch phase {
    case .ready: return
    case .failed(let error): throw error
    case .opened: preconditionFailure("a spool is used before it was recovered")
    case .closed: preconditionFailure("a spool is used after it was closed")
    }
  }

  /// Makes a system call whose failure ends the use of this engine.
  func io<Result>(_ body: () throws(SystemError) -> Result) throws(SpoolError) -> Result {
    do throws(SystemError) { return try body() } catch { throw fail(error) }
  }

  func fail(_ error: SystemError) -> SpoolError {
    let failure = SpoolError.io(operation: error.call, errno: error.errno)
    phase = .failed(failure)
    return failure
  }

  func note(_ note: SpoolNote) {
    if recoveryNotes.count < SpoolSettings.notesMax {
      recoveryNotes.append(note)
    } else {
      recoveryNotesDropped += 1
    }
  }

  private func releaseDescriptors() {
    for descriptor in descriptors.takeAll() { files.close(descriptor) }
    for spare in spares { files.close(spare.descriptor) }
    if let blank { files.close(blank.spare.descriptor) }
    if let snapshotWriter { files.close(snapshotWriter.descriptor) }
    spares = []
    blank = nil
    retired = []
    snapshotWriter = nil
    directory.close(files)
  }
}

/// Something that an operator should know about a spool's files.
public struct SpoolNote: Sendable, Hashable, CustomStringConvertible {
  public enum Kind: Sendable, Hashable {
    /// Records that were being written when the power or the process went; cut, and nobody had been told of them.
    case tornEnd
    /// Something durable is damaged or missing.
    case damage
    /// A message was set to held because of a damage.
    case held
  }

  public var kind: Kind
  /// The file's name below the spool directory; empty for a note about a message.
  public var file: String
  public var offset: UInt64
  public var octets: UInt64
  /// What is wrong, in one line without the file's name.
  public var text: String
  /// Messages concerned, as far as known.
  public var messages: [QueueID]

  public init(
    _ kind: Kind = .damage, file: String, offset: UInt64, octets: UInt64, text: String, messages: [QueueID] = []
  ) {
    self.kind = kind
    self.file = file
    self.offset = offset
    self.octets = octets
    self.text = text
    self.messages = messages
  }

  public var description: String {
    let concerned = messages.isEmpty ? "" : " (" + messages.map(\.description).joined(separator: " ") + ")"
    return file.isEmpty ? text + concerned : "\(file):\(offset): \(text)\(concerned)"
  }
}

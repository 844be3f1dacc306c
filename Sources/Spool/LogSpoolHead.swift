internal import Glibc
internal import MailModel
internal import Platform

/// The head of the log: records are gathered in the buffer, written, synced, and the head is followed by a new one.
extension LogSpool {
  /// Who asks for room: new messages respect the reserve, changes alone may use all there is.
  enum Purpose {
    case newMail
    case changesAlone
  }

  /// Octets that further records may take in the head.
  var headRoom: Int { head == nil ? 0 : headCapacity - bufferOffset - RecordFormat.padded(buffer.count) }

  func appendRecord(
    _ kind: RecordKind, _ payload: [UInt8], for purpose: Purpose
  ) throws(SpoolError) -> RecordPlace {
    let octets = RecordFormat.recordOctets(payloadOctets: payload.count)
    // A place counts in 32 bits, and so does a record's length; Limits.envelopeOctetsMax keeps far below.
    precondition(octets < 1 << 31, "a record of 2 GiB")
    if purpose == .newMail { try requireRoom(octets: octets) }
    try makeRoom(recordOctets: octets, for: purpose)
    sealPiece()
    if !buffer.isEmpty && buffer.count + octets > settings.bufferOctets { try flush() }
    guard let head, let segment = segments[head] else { preconditionFailure("no head after room was made") }
    let start = buffer.count
    sequence += 1
    buffer.beginRecord(kind, sequence: sequence, durable: durable)
    buffer.append(contentsOf: payload)
    buffer.finishRecord(at: start, seed: segment.header.seed)
    count(octets)
    let place = RecordPlace(segment: head, offset: UInt64(bufferOffset + start), octets: UInt32(octets))
    if buffer.count >= settings.bufferOctets { try flush() }
    return place
  }

  /// Appends as much of `octets` as one piece takes, and answers how much that was.
  func appendPiece(_ octets: UnsafeRawBufferPointer, to content: UInt64) throws(SpoolError) -> Int {
    if let openPiece, openPiece.content == content, let head {
      let pieceOctets = buffer.count - openPiece.start - RecordFormat.headerOctets
      let room = min(
        settings.pieceOctetsMax - pieceOctets, settings.bufferOctets - buffer.count,
        headCapacity - bufferOffset - buffer.count - RecordFormat.alignment)
      if room > 0 {
        let taken = min(room, octets.count)
        buffer.append(contentsOf: UnsafeRawBufferPointer(rebasing: octets[..<taken]))
        extendLastExtent(of: content, by: taken)
        segments.note(head, references: 0, octets: Int64(taken))
        count(taken)
        return taken
      }
    }
    sealPiece()
    let wanted = min(octets.count, settings.pieceOctetsMax)
    // The rest of a head is used for a piece when it is worth a record.
    let least = RecordFormat.recordOctets(payloadOctets: 8 + min(wanted, 4096)) + RecordFormat.alignment
    if headRoom < least { try makeRoom(recordOctets: least, for: .newMail) }
    let overhead = RecordFormat.headerOctets + 8 + RecordFormat.alignment
    if buffer.count + overhead + wanted > settings.bufferOctets { try flush() }
    guard let head else { preconditionFailure("no head after room was made") }
    let taken = min(wanted, headRoom - overhead)
    let start = buffer.count
    sequence += 1
    buffer.beginRecord(.piece, sequence: sequence, durable: durable)
    withUnsafeBytes(of: content.littleEndian) { buffer.append(contentsOf: $0) }
    let extent = ContentExtent(
      segment: head, offset: UInt64(bufferOffset + buffer.count), count: UInt32(truncatingIfNeeded: taken))
    buffer.append(contentsOf: UnsafeRawBufferPointer(rebasing: octets[..<taken]))
    contents[content]?.extents.append(extent)
    contents[content]?.octets += UInt64(taken)
    segments.reference(extent)
    openPiece = OpenPiece(content: content, start: start)
    count(overhead + taken)
    return taken
  }

  private func extendLastExtent(of content: UInt64, by octets: Int) {
    guard let last = contents[content]?.extents.indices.last else { preconditionFailure("an open piece of no content") }
    contents[content]?.extents[last].count += UInt32(truncatingIfNeeded: octets)
    contents[content]?.octets += UInt64(octets)
  }

  /// Ends the piece that could still grow.
  func sealPiece() {
    guard let piece = openPiece, let head, let segment = segments[head] else { return }
    buffer.finishRecord(at: piece.start, seed: segment.header.seed)
    openPiece = nil
  }

  private func count(_ octets: Int) {
    octetsSinceSnapshot += octets
    knownRoomAge = knownRoomAge.addingReportingOverflow(octets).overflow ? Int.max : knownRoomAge + octets
  }

  /// Writes the buffer, with zeros behind it for the end of the log.
  func flush() throws(SpoolError) {
    sealPiece()
    guard !buffer.isEmpty, let head, let segment = segments[head] else { return }
    let octets = buffer.count
    let room = headCapacity - bufferOffset - octets
    buffer.append(contentsOf: repeatElement(0, count: min(RecordFormat.terminatorOctets, room)))
    try io { () throws(SystemError) in
      try files.writeAll(segment.descriptor, buffer, at: UInt64(bufferOffset))
    }
    bufferOffset += octets
    // A record that was larger than the buffer must not keep its memory.
    buffer.removeAll(keepingCapacity: buffer.count <= settings.bufferOctets + RecordFormat.terminatorOctets)
  }

  /// Writes and syncs everything appended.
  func makeDurable() throws(SpoolError) {
    guard sequence > durable, let head, let segment = segments[head] else { return }
    try flush()
    try io { () throws(SystemError) in try files.syncData(segment.descriptor) }
    durable = sequence
  }

  // MARK: Room

  public func octetsAvailable() -> Int64 {
    askRoom()
    return available
  }

  /// What new messages may use: whole segments of the file system above the reserve, what is left of the head, and all
  /// spares but the one for changes.
  private var available: Int64 {
    guard knownRoom >= 0 else { return knownRoom }
    let size = Int64(settings.segmentOctets)
    let usable = max(0, headRoom - 128)
    return knownRoom / size * size + Int64(usable) + Int64(max(0, spares.count - 1)) * size
  }

  func askRoom() {
    guard let room = try? files.room(directory.descriptor) else {
      // A file system that does not answer has no room for anybody.
      knownRoom = -1
      knownRoomAge = Int.max
      return
    }
    let reserve: UInt64 =
      switch settings.reserve {
      case .octets(let octets): octets
      case .percent(let percent): UInt64(Double(room.octets) * min(max(percent, 0), 100) / 100)
      }
    knownRoom = Int64(clamping: room.octetsFree) - Int64(clamping: reserve)
    knownRoomAge = 0
  }

  /// Refuses new messages when they would eat into the reserve.
  func requireRoom(octets: Int) throws(SpoolError) {
    if knownRoomAge > 1 << 20 || available < Int64(octets) { askRoom() }
    if available < Int64(octets) { throw .noSpace }
  }

  /// Sees to it that the head takes a record of this size, with a new head if need be.
  func makeRoom(recordOctets: Int, for purpose: Purpose) throws(SpoolError) {
    if headRoom >= recordOctets { return }
    let needed = RecordFormat.firstRecordOffset + recordOctets + 2 * RecordFormat.headerOctets
    let next = try takeFile(octets: needed, for: purpose)
    try makeDurable()
    try beginSegment(next)
  }

  /// A spare, or a new file when there is none that may be used.
  private func takeFile(octets needed: Int, for purpose: Purpose) throws(SpoolError) -> Spare {
    let sparesKept =
      switch purpose {
      case .newMail: 1
      case .changesAlone: 0
      }
    if needed <= settings.segmentOctets, spares.count > sparesKept { return spares.removeLast() }
    let size = max(needed, settings.segmentOctets)
    switch purpose {
    case .newMail:
      askRoom()
      if knownRoom < Int64(size) { throw .noSpace }
    case .changesAlone: break
    }
    guard let made = try makeFile(octets: size) else { throw .noSpace }
    return try admit(made)
  }

  /// Gives a new blank file its name as a spare, without zeroing it.
  func admit(_ blank: Spare) throws(SpoolError) -> Spare {
    let kinds = (SpoolDirectory.NumberedFile.blank, SpoolDirectory.NumberedFile.spare)
    try io { () throws(SystemError) in
      try files.rename(kinds.0.name(blank.number), to: kinds.1.name(blank.number), in: directory.descriptor)
    }
    return blank
  }

  /// Allocates a new file as a blank; nil when the file system, its inodes, a quota or our descriptors do not suffice.
  func makeFile(octets: Int) throws(SpoolError) -> Spare? {
    let number = nextSpare
    let name = SpoolDirectory.NumberedFile.blank.name(number)
    nextSpare += 1
    let descriptor: Int32
    do throws(SystemError) {
      descriptor = try files.open(name, in: directory.descriptor, .creating)
    } catch {
      if Self.isShortage(error.errno) { return nil }
      throw fail(error)
    }
    do throws(SystemError) {
      try files.allocate(descriptor, count: UInt64(octets))
    } catch {
      files.close(descriptor)
      // A blank that stays behind costs its name only: recovery removes it.
      try? files.unlink(name, in: directory.descriptor)
      if Self.isShortage(error.errno) { return nil }
      throw fail(error)
    }
    return Spare(number: number, descriptor: descriptor, octets: octets)
  }

  static func isShortage(_ code: Int32) -> Bool {
    code == ENOSPC || code == EDQUOT || code == EMFILE || code == ENFILE
  }

  /// Makes a spare the head. The header is durable before the name, the name before the first record (invariant 3).
  private func beginSegment(_ spare: Spare) throws(SpoolError) {
    let id = nextSegment
    let header = SegmentHeader(
      id: id, salt: random.next(), firstSequence: sequence + 1, lastQueueID: lastQueueID.rawValue)
    var octets = header.octets
    octets.append(contentsOf: repeatElement(0, count: RecordFormat.terminatorOctets))
    try io { () throws(SystemError) in
      try files.writeAll(spare.descriptor, octets, at: 0)
      try files.syncData(spare.descriptor)
      try files.rename(
        SpoolDirectory.NumberedFile.spare.name(spare.number), to: SpoolDirectory.NumberedFile.segment.name(id),
        in: directory.descriptor)
      try files.syncDirectory(directory.descriptor)
    }
    nextSegment += 1
    segments[id] = Segment(header: header, descriptor: spare.descriptor, capacity: spare.octets)
    descriptors[id] = spare.descriptor
    head = id
    headCapacity = spare.octets
    bufferOffset = RecordFormat.firstRecordOffset
    buffer.removeAll(keepingCapacity: true)
    knownRoomAge = Int.max
  }
}

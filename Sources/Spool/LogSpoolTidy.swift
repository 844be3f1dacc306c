internal import MailModel
internal import Platform

/// Housekeeping: bounded steps, each of which leaves the log whole.
extension LogSpool {
  /// Segments freed in one call.
  private static let freedMax = 16
  /// Slots of the index looked at in one call for messages of a segment that is being emptied.
  private static let slotsMax = 65_536

  /// A segment that is being emptied by copying its last messages forward.
  struct Forwarding {
    var segment: UInt32
    var slot = 0
  }

  public func tidy() throws(SpoolError) {
    try checkReady()
    try makeDurable()
    try stepSnapshot()
    try freeSegments()
    try stepForwarding()
    try prepareSpares()
    closeRetired()
  }

  // MARK: Freeing

  var isRoomShort: Bool {
    spares.count < settings.sparesMin || (knownRoomAge < Int.max && knownRoom < 2 * Int64(settings.segmentOctets))
  }

  /// Whether nothing but the snapshot keeps this segment.
  func isFreeButForSnapshot(_ segment: Segment) -> Bool {
    segment.references == 0 && segment.id != head && !segment.isDamaged
      && segment.dependsOn.allSatisfy { segments[$0] == nil }
  }

  private func isKeptBySnapshot(_ segment: Segment) -> Bool {
    let first = min(snapshotSegment ?? UInt32.max, snapshotWriter?.start.segment ?? UInt32.max)
    return segment.id >= first
  }

  private func freeSegments() throws(SpoolError) {
    var freed = 0
    while freed < Self.freedMax {
      // Whatever is free now depends on nothing that goes in the same round, so that one sync of the directory serves
      // the round, and those that depended on it come in the next (invariant 7).
      let round = segments.ids.compactMap { segments[$0] }
        .filter { isFreeButForSnapshot($0) && !isKeptBySnapshot($0) }.prefix(Self.freedMax - freed)
      guard !round.isEmpty else { return }
      for segment in round { try free(segment) }
      try io { () throws(SystemError) in try files.syncDirectory(directory.descriptor) }
      for segment in round { segments[segment.id] = nil }
      freed += round.count
    }
  }

  private func free(_ segment: Segment) throws(SpoolError) {
    let name = SpoolDirectory.NumberedFile.segment.name(segment.id)
    descriptors[segment.id] = nil
    if !segment.isMovedFrom, segment.capacity == settings.segmentOctets, spares.count < settings.sparesMax {
      let spare = Spare(number: nextSpare, descriptor: segment.descriptor, octets: segment.capacity)
      nextSpare += 1
      try io { () throws(SystemError) in
        try files.rename(
          name, to: SpoolDirectory.NumberedFile.spare.name(spare.number), in: directory.descriptor)
      }
      spares.append(spare)
    } else {
      try io { () throws(SystemError) in try files.unlink(name, in: directory.descriptor) }
      if segment.isMovedFrom {
        descriptors[segment.id] = segment.descriptor
        retired.append(
          RetiredDescriptor(
            segment: segment.id, descriptor: segment.descriptor, tidiesLeft: settings.descriptorGraceTidies))
      } else {
        files.close(segment.descriptor)
      }
      knownRoomAge = Int.max
    }
  }

  private func closeRetired() {
    for index in retired.indices { retired[index].tidiesLeft -= 1 }
    for retiree in retired where retiree.tidiesLeft <= 0 {
      descriptors[retiree.segment] = nil
      files.close(retiree.descriptor)
    }
    retired.removeAll { $0.tidiesLeft <= 0 }
  }

  // MARK: Spares

  /// Allocates and zeroes spares in advance: a sync over written octets costs half of one that also has to record where
  /// they lie.
  private func prepareSpares() throws(SpoolError) {
    if blank == nil, spares.count < settings.sparesMin {
      if knownRoomAge > 1 << 20 { askRoom() }
      // The first spare is the one that drains a full disk; further ones respect the reserve.
      guard spares.isEmpty || knownRoom >= Int64(settings.segmentOctets) else { return }
      guard let made = try makeFile(octets: settings.segmentOctets) else { return }
      blank = Blank(spare: made, zeroed: 0)
    }
    guard var zeroing = blank else { return }
    let count = min(settings.tidyOctetsMax, zeroing.spare.octets - zeroing.zeroed)
    let zeros = [UInt8](repeating: 0, count: min(count, 1 << 20))
    var done = 0
    while done < count {
      let part = min(zeros.count, count - done)
      do throws(SystemError) {
        try files.writeAll(
          zeroing.spare.descriptor, part == zeros.count ? zeros : Array(zeros[..<part]),
          at: UInt64(zeroing.zeroed + done))
      } catch {
        // A copy-on-write file system may have no room for what was allocated.
        guard Self.isShortage(error.errno) else { throw fail(error) }
        files.close(zeroing.spare.descriptor)
        blank = nil
        try io { () throws(SystemError) in
          try files.unlink(SpoolDirectory.NumberedFile.blank.name(zeroing.spare.number), in: directory.descriptor)
        }
        return
      }
      done += part
    }
    // Synced step by step, so that no commit waits for the disk to take a whole segment.
    try io { () throws(SystemError) in try files.syncData(zeroing.spare.descriptor) }
    zeroing.zeroed += count
    blank = zeroing
    if zeroing.zeroed == zeroing.spare.octets {
      spares.append(try admit(zeroing.spare))
      blank = nil
    }
  }

  // MARK: Copying forward

  private func stepForwarding() throws(SpoolError) {
    if let current = forwarding, segments[current.segment].map({ $0.references == 0 }) ?? true { forwarding = nil }
    if forwarding == nil { forwarding = nextToForward().map { Forwarding(segment: $0) } }
    guard var step = forwarding else { return }
    var octets = 0
    var slots = 0
    defer { if forwarding != nil { forwarding = step } }
    while octets < settings.tidyOctetsMax, slots < Self.slotsMax {
      guard step.slot < index.slotCount else {
        // Contents that are still being written keep the segment; another time.
        forwarding = nil
        return
      }
      if let entry = index.entry(atSlot: step.slot), refers(entry, to: step.segment) {
        do throws(SpoolError) {
          octets += try forward(entry, from: step.segment)
        } catch .noSpace {
          forwarding = nil
          return
        }
      }
      step.slot += 1
      slots += 1
    }
  }

  private func refers(_ entry: LiveMessage, to segment: UInt32) -> Bool {
    if entry.place.segment == segment { return true }
    var refers = false
    entry.extents.forEach { if $0.segment == segment { refers = true } }
    return refers
  }

  /// The oldest segment that holds few live octets, when there are many segments.
  private func nextToForward() -> UInt32? {
    guard segments.all.values.count(where: { $0.references > 0 }) > settings.copyForwardSegmentsMin else { return nil }
    return segments.ids.first { id in
      guard let segment = segments[id], id != head, segment.references > 0, !segment.isDamaged else { return false }
      return segment.liveOctets < Int64(segment.capacity / 100 * settings.copyForwardLivePercent)
    }
  }

  /// Writes a message anew with those of its pieces that lie in `victim`; answers the octets written.
  private func forward(_ entry: LiveMessage, from victim: UInt32) throws(SpoolError) -> Int {
    guard let message = try readMessage(entry) else {
      segments[entry.place.segment]?.isDamaged = true
      return 0
    }
    let carrier = beginContent()
    defer { abandon(carrier) }
    var extents: [ContentExtent] = []
    for extent in entry.extents.array {
      if extent.segment != victim {
        extents.append(extent)
        continue
      }
      guard let octets = try readPiece(extent) else {
        segments[victim]?.isDamaged = true
        try hold(entry, message, "content is damaged in segment \(victim) at \(extent.offset)")
        return 0
      }
      let known = contents[carrier.rawValue]?.extents.count ?? 0
      var failure: SpoolError?
      octets.withUnsafeBytes { buffer in
        do throws(SpoolError) { try append(buffer, to: carrier) } catch { failure = error }
      }
      if let failure { throw failure }
      sealPiece()
      extents += contents[carrier.rawValue]?.extents[known...] ?? []
    }
    let copy = MessageCopy(
      message: message, extents: extents, states: entry.states.array.map { $0.expanded(stages) },
      isDamageNoted: entry.isDamageNoted)
    let place = try write(copy, for: .newMail)
    moved.append(entry.id)
    segments[victim]?.isMovedFrom = true
    return Int(place.octets) + extents.reduce(0) { $0 + Int($1.count) }
  }

  /// Appends a copy and lets it count once it is durable (invariant 10).
  @discardableResult
  func write(_ copy: MessageCopy, for purpose: Purpose) throws(SpoolError) -> RecordPlace {
    var writer = WireWriter(reserving: 1024)
    writer.write(copy)
    let place = try appendRecord(.copy, writer.octets, for: purpose)
    try makeDurable()
    apply(copy, at: place)
    return place
  }

  /// Sets a message aside for an operator because its content is damaged, once.
  func hold(_ entry: LiveMessage, _ message: StoredMessage, _ reason: String) throws(SpoolError) {
    guard !entry.isDamageNoted else { return }
    let states = entry.states.array.map { $0.expanded(stages).heldIfLive(reason: reason) }
    try write(
      MessageCopy(message: message, extents: entry.extents.array, states: states, isDamageNoted: true),
      for: .changesAlone)
  }

  // MARK: Reading back

  /// The messages of the record that was read last: a group's record holds many, and they are read in order.
  struct ReadRecord {
    var place: RecordPlace
    var messages: [StoredMessage]
  }

  /// The message whose envelope lies at an entry's place; nil, and a note, when it is damaged.
  func readMessage(_ entry: LiveMessage) throws(SpoolError) -> StoredMessage? {
    let place = entry.place
    if lastRead?.place != place { lastRead = ReadRecord(place: place, messages: try readMessages(entry)) }
    return lastRead?.messages.first { $0.id == entry.id }
  }

  /// The messages in the record at an entry's place; none, and a note, when it is damaged.
  private func readMessages(_ entry: LiveMessage) throws(SpoolError) -> [StoredMessage] {
    let place = entry.place
    let file = SpoolDirectory.NumberedFile.segment.name(place.segment)
    func damaged(_ text: String) -> [StoredMessage] {
      note(SpoolNote(file: file, offset: place.offset, octets: UInt64(place.octets), text: text, messages: [entry.id]))
      return []
    }
    guard let segment = segments[place.segment] else { return damaged("the segment with the envelope is missing") }
    let octets = try io { () throws(SystemError) in
      try files.readAll(segment.descriptor, count: Int(place.octets), at: place.offset)
    }
    guard let header = octets.withUnsafeBytes({ RecordHeader.valid($0, at: 0, seed: segment.header.seed) }) else {
      return damaged("the record with the envelope does not fit its checksum")
    }
    let payloadEnd = RecordFormat.headerOctets + header.payloadOctets
    let payload = Array(octets[RecordFormat.headerOctets..<payloadEnd])
    var messages: [StoredMessage] = []
    do throws(WireCodingError) {
      switch RecordKind(rawValue: header.kind) {
      case .changes:
        for case .accept(let message, _, _) in try WireReader.changes(payload) { messages.append(message) }
      case .copy: messages = [try WireReader.copy(payload).message]
      case .piece, .snapshotHead, .snapshotMessages, .snapshotEnd, nil: break
      }
    } catch {
      return damaged("the record with the envelope cannot be understood: \(error)")
    }
    return messages.contains { $0.id == entry.id } ? messages : damaged("the record does not hold the envelope")
  }

  /// The octets of one piece, checked; nil, and a note, when they are damaged.
  private func readPiece(_ extent: ContentExtent) throws(SpoolError) -> [UInt8]? {
    let overhead = RecordFormat.headerOctets + 8
    guard let segment = segments[extent.segment], extent.offset >= UInt64(overhead) else { return nil }
    let record = extent.offset - UInt64(overhead)
    let octets = try io { () throws(SystemError) in
      try files.readAll(
        segment.descriptor, count: RecordFormat.recordOctets(payloadOctets: 8 + Int(extent.count)), at: record)
    }
    guard let header = octets.withUnsafeBytes({ RecordHeader.valid($0, at: 0, seed: segment.header.seed) }),
      header.kind == RecordKind.piece.rawValue, header.payloadOctets == 8 + Int(extent.count)
    else {
      note(
        SpoolNote(
          file: SpoolDirectory.NumberedFile.segment.name(extent.segment), offset: record, octets: UInt64(extent.count),
          text: "a piece of content does not fit its checksum"))
      return nil
    }
    return Array(octets[overhead..<overhead + Int(extent.count)])
  }
}

extension RecipientState {
  /// A live state as one that waits for an operator.
  func heldIfLive(reason: String) -> RecipientState {
    switch self {
    case .queued(let stage, let attempts, _): .held(stage: stage, attempts: attempts, reason: reason)
    case .deferred(let stage, _, let attempts, _): .held(stage: stage, attempts: attempts, reason: reason)
    case .held, .settled, .failed, .dead, .moved, .deleted: self
    }
  }
}

public import MailModel
internal import Platform

/// Recovery: what stands in the directory becomes the index again. The table of cases is at the head of ``LogSpool``.
extension LogSpool {
  /// What replaying found wrong, until it is made durable in `holdSuspects`.
  struct Findings {
    /// Damaged ranges by segment.
    var damages: [UInt32: [Range<Int>]] = [:]
    /// Messages that a damaged record was about, with the reason.
    var suspects: [QueueID: String] = [:]
    /// Messages whose accept is damaged but can still be understood.
    var salvaged: [QueueID: StoredMessage] = [:]

    /// A whole record tells of this message anew.
    mutating func clear(_ id: QueueID) {
      suspects[id] = nil
      salvaged[id] = nil
    }
  }

  public func recover(
    _ body: (StoredMessage, [RecipientState], [ContentExtent]) -> Void
  ) throws(SpoolError) {
    guard case .opened = phase else { preconditionFailure("a spool is recovered twice") }
    do throws(SpoolError) {
      var findings = Findings()
      let highestNumber = try openFiles()
      let snapshot = try loadSnapshot()
      try replay(on: snapshot, highestNumber: highestNumber, &findings)
      // What an earlier process renamed or removed without living to sync it.
      try io { () throws(SystemError) in try files.syncDirectory(directory.descriptor) }
      phase = .ready
      if spares.isEmpty, let made = try makeFile(octets: settings.segmentOctets) { spares.append(try admit(made)) }
      findMissingContents(&findings)
      try holdSuspects(&findings)
      try handOver(findings, body)
    } catch {
      phase = .failed(error)
      throw error
    }
  }

  // MARK: Files

  /// Opens segments and spares, removes what was being made; answers the highest segment number seen.
  private func openFiles() throws(SpoolError) -> UInt32 {
    let names = try io { () throws(SystemError) in try files.names(in: directory.descriptor) }.sorted()
    var highest: UInt32 = 0
    for name in names {
      if let number = SpoolDirectory.NumberedFile.segment.number(name) {
        guard number < UInt32.max - 1 else { throw .damaged("\(path)/\(name): no such segment can be") }
        highest = max(highest, number)
        try openSegment(number, name)
      } else if let number = SpoolDirectory.NumberedFile.spare.number(name) {
        nextSpare = max(nextSpare, number &+ 1)
        try openSpare(number, name)
      } else if let number = SpoolDirectory.NumberedFile.blank.number(name) {
        nextSpare = max(nextSpare, number &+ 1)
        try io { () throws(SystemError) in try files.unlink(name, in: directory.descriptor) }
      } else if name == SpoolDirectory.snapshotPartName {
        try io { () throws(SystemError) in try files.unlink(name, in: directory.descriptor) }
      }
    }
    return highest
  }

  private func openChecked(_ name: String) throws(SpoolError) -> (descriptor: Int32, octets: Int) {
    let descriptor: Int32
    do throws(SystemError) {
      descriptor = try files.open(name, in: directory.descriptor, .readingAndWriting)
    } catch {
      throw .unusable("\(path)/\(name): \(SpoolDirectory.text(error.errno))")
    }
    do throws(SpoolError) {
      try SpoolDirectory.check(descriptor, "\(path)/\(name)", files)
      let status = try io { () throws(SystemError) in try files.status(descriptor) }
      return (descriptor, Int(clamping: status.octets))
    } catch {
      files.close(descriptor)
      throw error
    }
  }

  private func openSegment(_ number: UInt32, _ name: String) throws(SpoolError) {
    let (descriptor, octets) = try openChecked(name)
    let page = try io { () throws(SystemError) in
      try files.readAll(descriptor, count: min(octets, RecordFormat.firstRecordOffset), at: 0)
    }
    guard let header = SegmentHeader(page, id: number) else {
      note(SpoolNote(file: name, offset: 0, octets: UInt64(octets), text: "both copies of the header are damaged"))
      files.close(descriptor)
      return
    }
    if !SegmentHeader.isUndamaged(page, id: number) {
      note(SpoolNote(file: name, offset: 0, octets: 0, text: "one copy of the header is damaged"))
    }
    segments[number] = Segment(header: header, descriptor: descriptor, capacity: octets)
    descriptors[number] = descriptor
    lastQueueID = max(lastQueueID, QueueID(rawValue: header.lastQueueID))
  }

  private func openSpare(_ number: UInt32, _ name: String) throws(SpoolError) {
    let (descriptor, octets) = try openChecked(name)
    if octets == settings.segmentOctets, spares.count < settings.sparesMax {
      spares.append(Spare(number: number, descriptor: descriptor, octets: octets))
    } else {
      files.close(descriptor)
      try io { () throws(SystemError) in try files.unlink(name, in: directory.descriptor) }
    }
  }

  // MARK: Snapshot

  private func loadSnapshot() throws(SpoolError) -> Snapshot? {
    let name = SpoolDirectory.snapshotName
    let names = try io { () throws(SystemError) in try files.names(in: directory.descriptor) }
    guard names.contains(name) else { return nil }
    let (descriptor, octets) = try openChecked(name)
    defer { files.close(descriptor) }
    switch try io({ () throws(SystemError) in try Snapshot.read(descriptor, files) }) {
    case .damaged(let damage):
      note(
        SpoolNote(
          file: name, offset: damage.offset, octets: UInt64(octets), text: "\(damage.text); the whole log is read"))
      // Removed, so that it cannot keep segments that the next snapshot would let go.
      try io { () throws(SystemError) in try files.unlink(name, in: directory.descriptor) }
      return nil
    case .whole(let snapshot):
      take(snapshot)
      return snapshot
    }
  }

  private func take(_ snapshot: Snapshot) {
    for stage in snapshot.end.stages { _ = stages.index(of: stage) }
    for facts in snapshot.end.segments {
      segments[facts.id]?.isMovedFrom = facts.isMovedFrom
      segments[facts.id]?.dependsOn.formUnion(facts.dependsOn)
    }
    for message in snapshot.messages where message.liveCount > 0 && index[message.id] == nil {
      index.insert(message)
      segments.reference(message)
    }
    lastQueueID = max(lastQueueID, QueueID(rawValue: snapshot.end.lastQueueID))
    nextSegment = snapshot.end.nextSegment
    snapshotSegment = snapshot.start.segment
    snapshotOctets = snapshot.octets
  }

  // MARK: Replay

  private func replay(
    on snapshot: Snapshot?, highestNumber: UInt32, _ findings: inout Findings
  ) throws(SpoolError) {
    let first = snapshot?.start.segment ?? 0
    let knownDurable = snapshot?.end.durable ?? 0
    if let start = snapshot?.start, start.offset > 0, segments[start.segment] == nil {
      note(
        SpoolNote(
          file: SpoolDirectory.NumberedFile.segment.name(start.segment), offset: 0, octets: 0,
          text: "the segment at which the snapshot begins is missing"))
    }
    sequence = max(knownDurable, snapshot?.start.sequence ?? 0)
    var previous: (id: UInt32, nextSequence: UInt64)?
    for id in segments.ids where id >= first {
      guard let segment = segments[id] else { continue }
      let isFirst = id == first && snapshot != nil
      let start = isFirst ? max(RecordFormat.firstRecordOffset, Int(clamping: snapshot?.start.offset ?? 0)) : nil
      let nextSequence = isFirst ? (snapshot?.start.sequence ?? 0) &+ 1 : segment.header.firstSequence
      if let previous, previous.id &+ 1 == id, previous.nextSequence < segment.header.firstSequence {
        missing(previous.nextSequence, until: segment.header.firstSequence, at: previous.id)
      }
      let end = try replay(
        segment, from: start ?? RecordFormat.firstRecordOffset, nextSequence: nextSequence,
        isSealed: id != highestNumber, durable: max(knownDurable, segment.header.firstSequence &- 1), &findings)
      previous = (id, end.nextSequence)
      sequence = max(sequence, end.nextSequence &- 1)
    }
    durable = sequence
    nextSegment = max(nextSegment, highestNumber + 1)
    octetsSinceSnapshot = 0
  }

  private func missing(_ from: UInt64, until: UInt64, at id: UInt32) {
    note(
      SpoolNote(
        file: SpoolDirectory.NumberedFile.segment.name(id), offset: UInt64(segments[id]?.capacity ?? 0), octets: 0,
        text: "records \(from) to \(until &- 1) are missing"))
  }

  private func replay(
    _ segment: Segment, from start: Int, nextSequence: UInt64, isSealed: Bool, durable: UInt64,
    _ findings: inout Findings
  ) throws(SpoolError) -> SegmentScan.End {
    let name = SpoolDirectory.NumberedFile.segment.name(segment.id)
    let image = try io { () throws(SystemError) in
      try files.readAll(segment.descriptor, count: segment.capacity, at: 0)
    }
    guard start <= image.count else {
      note(SpoolNote(file: name, offset: UInt64(image.count), octets: 0, text: "the file is too short"))
      segments[segment.id]?.isDamaged = true
      return SegmentScan.End(
        offset: image.count, isTorn: false, nextSequence: nextSequence, firstUncertainOffset: image.count,
        durable: durable)
    }
    let scan = SegmentScan(seed: segment.header.seed, isSealed: isSealed)
    let end = image.withUnsafeBytes { octets in
      scan.walk(octets, from: start, nextSequence: nextSequence, durable: durable) { event in
        switch event {
        case .record(let record): replay(record, octets, in: segment.id, &findings)
        case .damage(let range, let expected):
          damaged(range, expected, octets, in: segment.id, &findings)
        }
      }
    }
    if !isSealed {
      if end.isTorn {
        note(
          SpoolNote(
            .tornEnd, file: name, offset: UInt64(end.offset), octets: 0,
            text: "the log's torn end is cut: records that were being written and were never confirmed"))
      }
      try settle(segment, image, end)
    }
    return end
  }

  /// Makes the last segment end where its records do, durably (invariant 5).
  private func settle(_ segment: Segment, _ image: [UInt8], _ end: SegmentScan.End) throws(SpoolError) {
    try io { () throws(SystemError) in
      if end.firstUncertainOffset < end.offset {
        try files.writeAll(
          segment.descriptor, Array(image[end.firstUncertainOffset..<end.offset]),
          at: UInt64(end.firstUncertainOffset))
      }
      if end.offset < image.count { try files.truncate(segment.descriptor, to: UInt64(end.offset)) }
      try files.syncData(segment.descriptor)
    }
    segments[segment.id]?.capacity = end.offset
  }

  private func replay(
    _ record: SegmentScan.Record, _ octets: UnsafeRawBufferPointer, in segment: UInt32, _ findings: inout Findings
  ) {
    let place = RecordPlace(
      segment: segment, offset: UInt64(record.offset), octets: UInt32(truncatingIfNeeded: record.header.recordOctets))
    do throws(WireCodingError) {
      switch RecordKind(rawValue: record.header.kind) {
      case .piece: break
      case .changes:
        for change in try WireReader.changes(Array(octets[record.payload])) {
          apply(change, at: place)
          if case .accept(let message, _, _) = change { findings.clear(message.id) }
        }
      case .copy:
        let copy = try WireReader.copy(Array(octets[record.payload]))
        apply(copy, at: place)
        findings.clear(copy.message.id)
      case .snapshotHead, .snapshotMessages, .snapshotEnd, nil: throw .invalid("kind of record")
      }
    } catch {
      note(
        SpoolNote(
          file: SpoolDirectory.NumberedFile.segment.name(segment), offset: place.offset, octets: UInt64(place.octets),
          text: "the record cannot be understood: \(error)"))
      segments[segment]?.isDamaged = true
    }
  }

  /// Notes a damaged range, and makes what can be made of the record that begins it.
  private func damaged(
    _ range: Range<Int>, _ sequence: UInt64, _ octets: UnsafeRawBufferPointer, in segment: UInt32,
    _ findings: inout Findings
  ) {
    findings.damages[segment, default: []].append(range)
    segments[segment]?.isDamaged = true
    let name = SpoolDirectory.NumberedFile.segment.name(segment)
    var concerned: [QueueID] = []
    let reason = "a record in \(name) at \(range.lowerBound) is damaged"
    for change in understood(range, octets) {
      switch change {
      case .accept(let message, let extents, let stage):
        // A damaged identifier must not carry the spool's identifiers away with it: at most two years ahead.
        guard index[message.id] == nil,
          lastQueueID.rawValue == 0 || message.id.rawValue &- lastQueueID.rawValue < 1 << 58
        else { continue }
        let place = RecordPlace(
          segment: segment, offset: UInt64(range.lowerBound), octets: UInt32(clamping: range.count))
        apply(.accept(message, extents, stage: stage), at: place)
        findings.salvaged[message.id] = message
        findings.suspects[message.id] = reason
        concerned.append(message.id)
      case .recipients(let id, _, _):
        guard index[id] != nil else { continue }
        findings.suspects[id] = reason
        concerned.append(id)
      }
    }
    note(
      SpoolNote(
        file: name, offset: UInt64(range.lowerBound), octets: UInt64(range.count),
        text: range.isEmpty ? "records from \(sequence) on are missing" : "damaged: record \(sequence) was here",
        messages: concerned))
  }

  private func understood(_ range: Range<Int>, _ octets: UnsafeRawBufferPointer) -> [LoggedChange] {
    guard let header = RecordHeader(octets, at: range.lowerBound),
      header.payloadOctets <= range.count - RecordFormat.headerOctets
    else { return [] }
    let start = range.lowerBound + RecordFormat.headerOctets
    let payload = Array(octets[start..<start + header.payloadOctets])
    switch RecordKind(rawValue: header.kind) {
    // What cannot be understood is part of the note on the range; there is nothing to add.
    case .changes: return (try? WireReader.changes(payload)) ?? []
    case .copy:
      guard let copy = try? WireReader.copy(payload) else { return [] }
      return [.recipients(copy.message.id, [], .deleted(reason: ""))]
    case .piece, .snapshotHead, .snapshotMessages, .snapshotEnd, nil: return []
    }
  }

  // MARK: Damaged messages

  /// Looks for live messages whose content lies in a damaged or missing place.
  private func findMissingContents(_ findings: inout Findings) {
    for slot in 0..<index.slotCount {
      guard let entry = index.entry(atSlot: slot), !entry.isDamageNoted else { continue }
      entry.extents.forEach { extent in
        let name = SpoolDirectory.NumberedFile.segment.name(extent.segment)
        guard let segment = segments[extent.segment] else {
          findings.suspects[entry.id] = "content lay in \(name), which is missing"
          return
        }
        let end = extent.offset.addingReportingOverflow(UInt64(extent.count))
        guard !end.overflow, end.partialValue <= UInt64(segment.capacity) else {
          findings.suspects[entry.id] = "content lay in \(name) at \(extent.offset), beyond its end"
          return
        }
        let range = Int(extent.offset)..<Int(end.partialValue)
        if findings.damages[extent.segment]?.contains(where: { $0.overlaps(range) }) == true {
          findings.suspects[entry.id] = "content in \(name) at \(extent.offset) is damaged"
        }
      }
    }
  }

  /// Sets the messages concerned to held, durably where there is room for it.
  private func holdSuspects(_ findings: inout Findings) throws(SpoolError) {
    for (id, reason) in findings.suspects.sorted(by: { $0.key < $1.key }) {
      guard let entry = index[id] else { continue }
      let salvaged = findings.salvaged[id]
      guard let message = if let salvaged { salvaged } else { try readMessage(entry) } else { continue }
      note(SpoolNote(.held, file: "", offset: 0, octets: 0, text: "held: \(reason)", messages: [id]))
      do throws(SpoolError) {
        try hold(entry, message, reason)
        findings.salvaged[id] = nil
        findings.suspects[id] = nil
      } catch .noSpace {
        continue
      }
    }
  }

  private func handOver(
    _ findings: Findings, _ body: (StoredMessage, [RecipientState], [ContentExtent]) -> Void
  ) throws(SpoolError) {
    for id in index.sortedIDs {
      guard let entry = index[id] else { continue }
      let salvaged = findings.salvaged[id]
      guard let message = if let salvaged { salvaged } else { try readMessage(entry) },
        message.envelope.recipients.count == entry.states.count
      else {
        unreadableMessages.append(id)
        continue
      }
      var states = entry.states.array.map { $0.expanded(stages) }
      if let reason = findings.suspects[id] { states = states.map { $0.heldIfLive(reason: reason) } }
      body(message, states, entry.extents.array)
    }
    lastRead = nil
  }
}

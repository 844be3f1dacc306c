internal import MailModel
internal import Platform

/// Writing snapshots: in steps from `tidy`, in one go from `close`.
extension LogSpool {
  private static let blockOctets = 256 << 10

  var isSnapshotDue: Bool {
    octetsSinceSnapshot >= max(settings.snapshotEveryOctets, 2 * snapshotOctets)
      || (octetsSinceSnapshot > 0 && isRoomShort && segments.all.values.contains { isFreeButForSnapshot($0) })
  }

  /// Begins a snapshot or goes on with one. Everything appended must be durable.
  func stepSnapshot() throws(SpoolError) {
    if snapshotWriter == nil {
      guard isSnapshotDue, try beginSnapshot() else { return }
    }
    if try writeMessages(octetsMax: settings.tidyOctetsMax) { try finishSnapshot() }
  }

  /// Writes a snapshot as of now.
  func writeWholeSnapshot() throws(SpoolError) {
    abandonSnapshot()
    guard try beginSnapshot() else { return }
    if try writeMessages(octetsMax: Int.max) { try finishSnapshot() }
  }

  /// False when there is no room for one.
  private func beginSnapshot() throws(SpoolError) -> Bool {
    precondition(sequence == durable, "a snapshot of what is not durable")
    // Before the first segment of this run the log ends with the last segment of an earlier one.
    let start = SnapshotStart(
      salt: random.next(), segment: head ?? nextSegment, offset: UInt64(head == nil ? 0 : bufferOffset),
      sequence: sequence)
    let descriptor: Int32
    do throws(SystemError) {
      descriptor = try files.open(SpoolDirectory.snapshotPartName, in: directory.descriptor, .creating)
    } catch {
      if Self.isShortage(error.errno) { return try giveUpSnapshots() }
      throw fail(error)
    }
    octetsSinceSnapshot = 0
    snapshotWriter = SnapshotWriter(descriptor: descriptor, start: start)
    var writer = WireWriter()
    writer.write(start)
    return try writeRecord(.snapshotHead, writer.octets)
  }

  /// Writes messages until all are written (true), or about so many octets are, or there is no room (false).
  private func writeMessages(octetsMax: Int) throws(SpoolError) -> Bool {
    var written = 0
    while var writer = snapshotWriter {
      if writer.slot >= index.slotCount { return true }
      guard written < octetsMax else { return false }
      var block = WireWriter(reserving: Self.blockOctets + 4096)
      var count: UInt32 = 0
      block.write(count)
      while writer.slot < index.slotCount, block.octets.count < Self.blockOctets {
        if let entry = index.entry(atSlot: writer.slot) {
          block.write(entry)
          count += 1
        }
        writer.slot += 1
      }
      writer.messageCount += UInt64(count)
      snapshotWriter = writer
      var octets = block.octets
      octets.put(count, at: 0)
      written += octets.count
      guard try writeRecord(.snapshotMessages, octets) else { return false }
    }
    return false
  }

  private func finishSnapshot() throws(SpoolError) {
    guard let writer = snapshotWriter else { return }
    var end = WireWriter()
    end.write(
      SnapshotEnd(
        messageCount: writer.messageCount, lastQueueID: lastQueueID.rawValue, nextSegment: nextSegment,
        durable: durable, stages: stages.names,
        segments: segments.ids.compactMap { segments[$0] }.map {
          SnapshotEnd.SegmentFacts(id: $0.id, isMovedFrom: $0.isMovedFrom, dependsOn: $0.dependsOn.sorted())
        }))
    guard try writeRecord(.snapshotEnd, end.octets), let finished = snapshotWriter else { return }
    do throws(SystemError) {
      try files.syncData(finished.descriptor)
    } catch {
      throw fail(error)
    }
    try io { () throws(SystemError) in
      try files.rename(
        SpoolDirectory.snapshotPartName, to: SpoolDirectory.snapshotName, in: directory.descriptor)
      try files.syncDirectory(directory.descriptor)
    }
    files.close(finished.descriptor)
    snapshotWriter = nil
    snapshotSegment = finished.start.segment
    snapshotOctets = Int(finished.offset)
  }

  /// False when there was no room, and then there is no snapshot.
  private func writeRecord(_ kind: RecordKind, _ payload: [UInt8]) throws(SpoolError) -> Bool {
    guard var writer = snapshotWriter else { return false }
    let octets = writer.record(kind, payload)
    do throws(SystemError) {
      try files.writeAll(writer.descriptor, octets, at: writer.offset)
    } catch {
      if Self.isShortage(error.errno) { return try giveUpSnapshots() }
      throw fail(error)
    }
    writer.offset += UInt64(octets.count)
    snapshotWriter = writer
    return true
  }

  private func abandonSnapshot() {
    guard let writer = snapshotWriter else { return }
    files.close(writer.descriptor)
    snapshotWriter = nil
    // What stays behind costs room until the next start, which removes it.
    try? files.unlink(SpoolDirectory.snapshotPartName, in: directory.descriptor)
  }

  /// Without room for a new snapshot the old one goes too: it keeps segments from being freed (invariant 8), and the
  /// whole log tells the same.
  private func giveUpSnapshots() throws(SpoolError) -> Bool {
    abandonSnapshot()
    if snapshotSegment != nil {
      try io { () throws(SystemError) in
        try files.unlink(SpoolDirectory.snapshotName, in: directory.descriptor)
        try files.syncDirectory(directory.descriptor)
      }
      snapshotSegment = nil
    }
    octetsSinceSnapshot = 0
    return false
  }
}

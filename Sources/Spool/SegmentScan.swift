/// Walks the records of one segment image and tells whole records, damage and the end apart.
///
/// At a place where no whole record stands, the rest of the file is searched, in steps of 8 octets, for another one:
///
/// | what follows                                             | in a sealed segment | in the last segment |
/// |----------------------------------------------------------|---------------------|---------------------|
/// | nothing, and zeros stand here                            | end                 | end                 |
/// | nothing, and other octets stand here                     | damage, end         | torn end            |
/// | a whole record, and this place is known to be durable    | damage, go on there | damage, go on there |
/// | a whole record, and this place is not known to be durable| (cannot be)         | torn end            |
///
/// A segment is sealed when a later one exists, because it was synced before that was made. A place is durable when its
/// sequence is at most the `durable` of any later record or of the snapshot.
struct SegmentScan {
  struct Record {
    var header: RecordHeader
    var offset: Int
    var payload: Range<Int>
  }

  enum Event {
    case record(Record)
    /// Octets that belong to records which are not whole.
    case damage(Range<Int>, expectedSequence: UInt64)
  }

  struct End {
    /// Where the next record would stand.
    var offset: Int
    /// Octets other than zero stood there.
    var isTorn: Bool
    var nextSequence: UInt64
    /// The last record that is not known to have been synced begins here; ``offset`` when all are.
    var firstUncertainOffset: Int
    /// The highest sequence that is known to have been synced.
    var durable: UInt64
  }

  let seed: UInt64
  let isSealed: Bool

  func walk(
    _ octets: UnsafeRawBufferPointer, from start: Int, nextSequence: UInt64, durable knownDurable: UInt64,
    _ body: (Event) -> Void
  ) -> End {
    var offset = start
    var expected = nextSequence
    var durable = knownDurable
    var places: [(sequence: UInt64, offset: Int)] = []
    while true {
      if let record = record(octets, at: offset, atLeast: expected) {
        if record.header.sequence > expected {
          body(.damage(offset..<offset, expectedSequence: expected))
        }
        body(.record(record))
        durable = max(durable, record.header.durable)
        if !isSealed { places.append((record.header.sequence, offset)) }
        expected = record.header.sequence &+ 1
        offset += record.header.recordOctets
        continue
      }
      if let next = search(octets, from: offset + RecordFormat.alignment, atLeast: expected),
        let following = record(octets, at: next, atLeast: expected)
      {
        if isSealed || max(durable, highestDurable(octets, from: next)) >= expected {
          body(.damage(offset..<next, expectedSequence: expected))
          offset = next
          expected = following.header.sequence
          continue
        }
        return end(offset, isTorn: true, expected, durable, places)
      }
      let isZero = octets[offset..<min(octets.count, offset + RecordFormat.terminatorOctets)].allSatisfy { $0 == 0 }
      // Fewer octets than a header stay as they were when the segment was made.
      let isEnd = isZero || octets.count - offset < RecordFormat.headerOctets
      if !isEnd && (isSealed || durable >= expected) {
        body(.damage(offset..<octets.count, expectedSequence: expected))
      } else if isEnd && !isSealed && durable >= expected {
        body(.damage(offset..<offset, expectedSequence: expected))
      }
      return end(offset, isTorn: !isEnd, expected, durable, places)
    }
  }

  private func end(
    _ offset: Int, isTorn: Bool, _ next: UInt64, _ durable: UInt64, _ places: [(sequence: UInt64, offset: Int)]
  ) -> End {
    End(
      offset: offset, isTorn: isTorn, nextSequence: next,
      firstUncertainOffset: places.first { $0.sequence > durable }?.offset ?? offset, durable: durable)
  }

  private func record(_ octets: UnsafeRawBufferPointer, at offset: Int, atLeast sequence: UInt64) -> Record? {
    guard let header = RecordHeader.valid(octets, at: offset, seed: seed), header.sequence >= sequence else {
      return nil
    }
    let start = offset + RecordFormat.headerOctets
    return Record(header: header, offset: offset, payload: start..<start + header.payloadOctets)
  }

  private func search(_ octets: UnsafeRawBufferPointer, from start: Int, atLeast sequence: UInt64) -> Int? {
    var offset = start
    while octets.count - offset >= RecordFormat.headerOctets {
      if octets.number(UInt32.self, at: offset + 8) == RecordFormat.magic,
        record(octets, at: offset, atLeast: sequence) != nil
      {
        return offset
      }
      offset += RecordFormat.alignment
    }
    return nil
  }

  /// The highest `durable` of any whole record from `start` on.
  private func highestDurable(_ octets: UnsafeRawBufferPointer, from start: Int) -> UInt64 {
    var highest: UInt64 = 0
    var offset = start
    while let next = search(octets, from: offset, atLeast: 0), let found = record(octets, at: next, atLeast: 0) {
      highest = max(highest, found.header.durable)
      offset = next + found.header.recordOctets
    }
    return highest
  }
}

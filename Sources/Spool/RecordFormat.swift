internal import CXXHash
internal import MailModel

/// The log's records and the segments that hold them. Numbers are little-endian.
///
/// A segment is a file `segment-XXXXXXXX`: its header twice, at octets 0 and 512 (a damaged sector takes one of them
/// at most), then from octet 1024 records without gaps, each padded to a multiple of 8 octets:
///
///     octet  0  u64  checksum: XXH3-64 of octets 8 ..< padded end, seeded with the segment's salt and number
///            8  u32  magic "IXR1"
///           12  u32  octets of the payload
///           16  u64  sequence: one more than the record before, through all segments
///           24  u64  durable: the highest sequence that was synced when this record was made
///           32  u8   kind
///           33  u8   version of the payload, 0
///           34  6 octets of zero
///           40  payload, then zeros up to the padded end
///
/// Behind the last record stand 16 zero octets (or the file ends), which the next record overwrites. A recycled segment
/// holds octets of its former life behind that; they never parse, because each life of a file has a new random salt.
enum RecordFormat {
  static let magic: UInt32 = 0x3152_5849
  static let headerOctets = 40
  static let alignment = 8
  static let terminatorOctets = 16
  static let segmentHeaderOctets = 64
  static let secondSegmentHeaderOffset = 512
  static let firstRecordOffset = 1024

  static func padded(_ octets: Int) -> Int { (octets + alignment - 1) & ~(alignment - 1) }

  /// The octets that a record with this payload takes in the file.
  static func recordOctets(payloadOctets: Int) -> Int { padded(headerOctets + payloadOctets) }

  static func checksum(_ octets: UnsafeRawBufferPointer, seed: UInt64) -> UInt64 {
    // SAFETY: the function reads `count` octets from a base address that the buffer keeps valid.
    XXH3_64bits_withSeed(octets.baseAddress, octets.count, seed)
  }

  static func seed(segment: UInt32, salt: UInt64) -> UInt64 { salt ^ (UInt64(segment) &* 0x9E37_79B9_7F4A_7C15) }
}

enum RecordKind: UInt8 {
  /// A piece of a content: u64 content number, octets.
  case piece = 1
  /// A list of changes that became true together.
  case changes = 2
  /// A message in whole, as it stands; replaces whatever earlier records say of it.
  case copy = 3
  /// The parts of a snapshot file, which uses this record form too.
  case snapshotHead = 16
  case snapshotMessages = 17
  case snapshotEnd = 18
}

struct RecordHeader: Equatable {
  var checksum: UInt64
  var payloadOctets: Int
  var sequence: UInt64
  var durable: UInt64
  var kind: UInt8

  /// Nil when there is no room for a header or the magic is missing. The checksum is not judged here.
  init?(_ octets: UnsafeRawBufferPointer, at offset: Int) {
    guard offset >= 0, octets.count - offset >= RecordFormat.headerOctets,
      octets.number(UInt32.self, at: offset + 8) == RecordFormat.magic
    else { return nil }
    checksum = octets.number(UInt64.self, at: offset)
    payloadOctets = Int(octets.number(UInt32.self, at: offset + 12))
    sequence = octets.number(UInt64.self, at: offset + 16)
    durable = octets.number(UInt64.self, at: offset + 24)
    kind = octets[offset + 32]
  }

  var recordOctets: Int { RecordFormat.recordOctets(payloadOctets: payloadOctets) }

  /// The header of a record that is whole: it lies within the octets and its checksum fits.
  static func valid(_ octets: UnsafeRawBufferPointer, at offset: Int, seed: UInt64) -> RecordHeader? {
    guard let header = RecordHeader(octets, at: offset), header.recordOctets <= octets.count - offset else {
      return nil
    }
    let covered = UnsafeRawBufferPointer(rebasing: octets[offset + 8..<offset + header.recordOctets])
    return RecordFormat.checksum(covered, seed: seed) == header.checksum ? header : nil
  }
}

/// What a segment says of itself. Durable before the file has the name of a segment.
struct SegmentHeader: Equatable {
  static let magic: UInt64 = 0x3147_4553_4C58_5849  // "IXXLSEG1"

  var id: UInt32
  var salt: UInt64
  /// The sequence of the first record. Everything before it was synced when this segment began.
  var firstSequence: UInt64
  /// The highest queue identifier that had been used when this segment began.
  var lastQueueID: UInt64

  var seed: UInt64 { RecordFormat.seed(segment: id, salt: salt) }

  /// The first ``RecordFormat/firstRecordOffset`` octets of the file.
  var octets: [UInt8] {
    var writer = WireWriter(reserving: RecordFormat.firstRecordOffset)
    writer.write(Self.magic)
    writer.write(UInt32(1))  // version of the format
    writer.write(id)
    writer.write(salt)
    writer.write(firstSequence)
    writer.write(lastQueueID)
    writer.write(UInt64(0))
    writer.write(UInt64(0))
    let checksum = writer.octets.withUnsafeBytes { RecordFormat.checksum($0, seed: UInt64(id)) }
    writer.write(checksum)
    var page = writer.octets
    page.append(contentsOf: repeatElement(0, count: RecordFormat.secondSegmentHeaderOffset - page.count))
    page.append(contentsOf: writer.octets)
    page.append(contentsOf: repeatElement(0, count: RecordFormat.firstRecordOffset - page.count))
    return page
  }

  init(id: UInt32, salt: UInt64, firstSequence: UInt64, lastQueueID: UInt64) {
    self.id = id
    self.salt = salt
    self.firstSequence = firstSequence
    self.lastQueueID = lastQueueID
  }

  /// Reads either copy. Nil when neither is whole or they are another segment's.
  init?(_ page: [UInt8], id: UInt32) {
    for offset in [0, RecordFormat.secondSegmentHeaderOffset] {
      let end = offset + RecordFormat.segmentHeaderOctets
      guard page.count >= end else { return nil }
      let header: SegmentHeader? = page.withUnsafeBytes { octets in
        let part = UnsafeRawBufferPointer(rebasing: octets[offset..<end])
        guard part.number(UInt64.self, at: 0) == Self.magic, part.number(UInt32.self, at: 8) == 1,
          part.number(UInt32.self, at: 12) == id,
          RecordFormat.checksum(UnsafeRawBufferPointer(rebasing: part[..<56]), seed: UInt64(id))
            == part.number(UInt64.self, at: 56)
        else { return nil }
        return SegmentHeader(
          id: id, salt: part.number(UInt64.self, at: 16), firstSequence: part.number(UInt64.self, at: 24),
          lastQueueID: part.number(UInt64.self, at: 32))
      }
      if let header {
        self = header
        return
      }
    }
    return nil
  }

  /// Whether both copies are whole.
  static func isUndamaged(_ page: [UInt8], id: UInt32) -> Bool {
    guard page.count >= RecordFormat.firstRecordOffset else { return false }
    let second = RecordFormat.secondSegmentHeaderOffset
    let length = RecordFormat.segmentHeaderOctets
    return SegmentHeader(page, id: id) != nil && page[0..<length] == page[second..<second + length]
  }
}

extension UnsafeRawBufferPointer {
  /// A little-endian number at `offset`; the caller has checked that it lies within.
  func number<Number: FixedWidthInteger>(_: Number.Type, at offset: Int) -> Number {
    Number(littleEndian: loadUnaligned(fromByteOffset: offset, as: Number.self))
  }
}

extension [UInt8] {
  /// Puts a number at `offset`, little-endian.
  mutating func put<Number: FixedWidthInteger>(_ value: Number, at offset: Int) {
    withUnsafeMutableBytes { $0.storeBytes(of: value.littleEndian, toByteOffset: offset, as: Number.self) }
  }

  /// Appends a record's header with its checksum left zero; ``finishRecord(at:seed:)`` completes it.
  mutating func beginRecord(_ kind: RecordKind, sequence: UInt64, durable: UInt64) {
    let start = count
    append(contentsOf: repeatElement(0, count: RecordFormat.headerOctets))
    put(RecordFormat.magic, at: start + 8)
    put(sequence, at: start + 16)
    put(durable, at: start + 24)
    self[start + 32] = kind.rawValue
  }

  /// Pads the record that begins at `start` and ends the array, and fills in its length and checksum.
  mutating func finishRecord(at start: Int, seed: UInt64) {
    put(UInt32(count - start - RecordFormat.headerOctets), at: start + 12)
    append(contentsOf: repeatElement(0, count: RecordFormat.padded(count - start) - (count - start)))
    let checksum = withUnsafeBytes {
      RecordFormat.checksum(UnsafeRawBufferPointer(rebasing: $0[(start + 8)...]), seed: seed)
    }
    put(checksum, at: start)
  }
}

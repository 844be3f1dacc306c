import MailModel
import Testing

@Suite struct WireCodingTests {
  @Test func `numbers are little-endian, whatever their width and sign`() throws {
    var writer = WireWriter()
    writer.write(UInt8(1))
    writer.write(UInt16(0x0203))
    writer.write(Int64(-2))
    #expect(writer.octets == [1, 3, 2, 0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF])
    var reader = WireReader(writer.octets)
    #expect(try reader.read(UInt8.self) == 1)
    #expect(try reader.read(UInt16.self) == 0x0203)
    #expect(try reader.read(Int64.self) == -2)
    try reader.finish()
  }

  @Test func `a count larger than what follows reserves nothing and is refused`() {
    var writer = WireWriter()
    writer.write(UInt32.max)
    var texts = WireReader(writer.octets)
    #expect(throws: WireCodingError.self) { try texts.readString() }
    var lists = WireReader(writer.octets)
    #expect(throws: WireCodingError.self) {
      try lists.readList(max: Int.max) { (reader: inout WireReader) throws(WireCodingError) in
        try reader.read(UInt8.self)
      }
    }
  }

  @Test func `text that is not UTF-8 and booleans that are neither are refused`() {
    var text = WireReader([1, 0, 0, 0, 0xFF])
    #expect(throws: WireCodingError.self) { try text.readString() }
    var boolean = WireReader([2])
    #expect(throws: WireCodingError.self) { try boolean.readBool() }
  }

  @Test func `queue identifiers read what they print, and go on when the clock steps back`() {
    let first = QueueID.next(after: QueueID(rawValue: 0), now: WallTime(millisecondsSinceEpoch: 1_700_000_000_000))
    let second = QueueID.next(after: first, now: WallTime(millisecondsSinceEpoch: 1_600_000_000_000))
    #expect(first < second && first.description < second.description)
    #expect(QueueID(first.description) == first)
    #expect(QueueID(first.description.lowercased()) == first)
    #expect(QueueID("ZZZZZZZZZZZZZ") == nil)
    #expect(QueueID("short") == nil)
  }

  @Test func `enhanced status codes are read strictly`() {
    #expect(EnhancedStatusCode("5.1.10")?.description == "5.1.10")
    for text in ["3.0.0", "5.1", "5.1.1.1", "5.01.1", "5..1", "5.1.1000", "5.1.x", " 5.1.1", ""] {
      #expect(EnhancedStatusCode(text) == nil, "\(text)")
    }
  }
}

/// The octets of numbers, strings and lists in the spool's records and in the frames between host and stages:
/// little-endian, every length a 32-bit count before what it counts, nothing aligned.
///
/// The reader trusts nothing: a spool may be damaged, and a stage may write anything into its ring. Every read is
/// bounded by what is left, and an enumeration's unknown value is an error.
public enum WireCodingError: Error, Equatable {
  /// A value runs past the end.
  case truncated
  /// A value is outside what its type allows; the text names the field.
  case invalid(String)
  /// Octets are left after the last value.
  case trailing(octets: Int)
}

public struct WireWriter: Sendable {
  public private(set) var octets: [UInt8]

  public init(reserving count: Int = 256) {
    octets = []
    octets.reserveCapacity(count)
  }

  public mutating func write<Number: FixedWidthInteger>(_ value: Number) {
    withUnsafeBytes(of: value.littleEndian) { octets.append(contentsOf: $0) }
  }

  public mutating func write(_ value: Bool) { octets.append(value ? 1 : 0) }

  public mutating func write(_ text: String) {
    var text = text
    text.withUTF8 {
      write(UInt32($0.count))
      octets.append(contentsOf: $0)
    }
  }

  public mutating func write(_ value: [UInt8]) {
    write(UInt32(value.count))
    octets.append(contentsOf: value)
  }

  public mutating func write(_ text: String?) {
    write(text != nil)
    if let text { write(text) }
  }

  /// A count, then each element by `body`.
  public mutating func writeList<Elements: Collection>(
    _ elements: Elements, _ body: (inout WireWriter, Elements.Element) -> Void
  ) {
    write(UInt32(elements.count))
    for element in elements { body(&self, element) }
  }
}

public struct WireReader: Sendable {
  private let octets: [UInt8]
  public private(set) var position: Int = 0

  public init(_ octets: [UInt8]) { self.octets = octets }

  public var remaining: Int { octets.count - position }

  public mutating func read<Number: FixedWidthInteger>(_: Number.Type) throws(WireCodingError) -> Number {
    let width = Number.bitWidth / 8
    guard remaining >= width else { throw .truncated }
    var value: Number = 0
    for index in (0..<width).reversed() {
      value = (width == 1 ? 0 : value << 8) | Number(truncatingIfNeeded: octets[position + index])
    }
    position += width
    return value
  }

  public mutating func readBool() throws(WireCodingError) -> Bool {
    switch try read(UInt8.self) {
    case 0: return false
    case 1: return true
    default: throw .invalid("boolean")
    }
  }

  private mutating func readCount(_ field: String, max: Int) throws(WireCodingError) -> Int {
    let count = Int(try read(UInt32.self))
    guard count <= max else { throw .invalid(field) }
    guard count <= remaining else { throw .truncated }
    return count
  }

  public mutating func readOctets(max: Int = Limits.envelopeOctetsMax) throws(WireCodingError) -> [UInt8] {
    let count = try readCount("octet string", max: max)
    defer { position += count }
    return Array(octets[position..<position + count])
  }

  /// UTF-8 text; anything else is an error.
  public mutating func readString(max: Int = Limits.envelopeOctetsMax) throws(WireCodingError) -> String {
    let count = try readCount("text", max: max)
    defer { position += count }
    guard let text = String(validating: octets[position..<position + count], as: UTF8.self) else {
      throw .invalid("text that is not UTF-8")
    }
    return text
  }

  public mutating func readOptionalString() throws(WireCodingError) -> String? {
    try readBool() ? try readString() : nil
  }

  /// A list of at most `max` elements. Memory is reserved as elements arrive, never from the count alone.
  public mutating func readList<Element>(
    max: Int, _ body: (inout WireReader) throws(WireCodingError) -> Element
  ) throws(WireCodingError) -> [Element] {
    let count = try readCount("list", max: max)
    var elements: [Element] = []
    elements.reserveCapacity(min(count, 1024))
    for _ in 0..<count { elements.append(try body(&self)) }
    return elements
  }

  public func finish() throws(WireCodingError) {
    guard remaining == 0 else { throw .trailing(octets: remaining) }
  }
}

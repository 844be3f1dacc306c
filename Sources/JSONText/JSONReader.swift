/// Why a text is not JSON, and where.
public struct JSONError: Error, Hashable, Sendable, CustomStringConvertible {
  /// One line, printable ASCII, whatever the text held.
  public var what: String
  /// Octets before the place.
  public var offset: Int

  public var description: String { "\(what) at octet \(offset + 1)" }
}

/// What a text may cost to read.
public struct JSONLimits: Sendable {
  public var octetsMax: Int
  /// Arrays and objects within each other.
  public var depthMax: Int
  /// Values in all, members' names not counted.
  public var valuesMax: Int

  public init(octetsMax: Int = 64 * 1024, depthMax: Int = 16, valuesMax: Int = 16 * 1024) {
    self.octetsMax = octetsMax
    self.depthMax = depthMax
    self.valuesMax = valuesMax
  }
}

extension JSONValue {
  /// Reads one value and nothing after it, by the letter of RFC 8259. Narrower than that in three things, each of which
  /// is an error: a number that is not a whole one or does not fit 64 bits, the same name twice in an object, and what
  /// passes a limit. Never traps, whatever the octets.
  public init(parsing octets: [UInt8], limits: JSONLimits = JSONLimits()) throws(JSONError) {
    var reader = JSONReader(octets, limits)
    self = try reader.whole()
  }
}

private struct JSONReader {
  private let octets: [UInt8]
  private let limits: JSONLimits
  private var offset = 0
  private var valueCount = 0

  init(_ octets: [UInt8], _ limits: JSONLimits) {
    self.octets = octets
    self.limits = limits
  }

  mutating func whole() throws(JSONError) -> JSONValue {
    guard octets.count <= limits.octetsMax else {
      throw JSONError(what: "more than \(limits.octetsMax) octets", offset: limits.octetsMax)
    }
    skipSpace()
    let value = try value(depth: 0)
    skipSpace()
    guard offset == octets.count else { throw error("something after the value") }
    return value
  }

  private func error(_ what: String) -> JSONError { JSONError(what: what, offset: offset) }

  private var next: UInt8? { offset < octets.count ? octets[offset] : nil }

  private mutating func skipSpace() {
    while let octet = next, octet == 0x20 || octet == 0x09 || octet == 0x0A || octet == 0x0D { offset += 1 }
  }

  private mutating func value(depth: Int) throws(JSONError) -> JSONValue {
    valueCount += 1
    guard valueCount <= limits.valuesMax else { throw error("more than \(limits.valuesMax) values") }
    guard let next else { throw error("the text ends where a value is due") }
    switch next {
    case UInt8(ascii: "{"): return try object(depth: depth)
    case UInt8(ascii: "["): return try array(depth: depth)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .boolean(true))
    case UInt8(ascii: "f"): return try word("false", .boolean(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .integer(try integer())
    default: throw error("no value begins so")
    }
  }

  private mutating func word(_ word: String, _ value: JSONValue) throws(JSONError) -> JSONValue {
    guard octets[offset...].starts(with: word.utf8) else { throw error("no value begins so") }
    offset += word.utf8.count
    return value
  }

  private mutating func integer() throws(JSONError) -> Int {
    let start = offset
    let isNegative = next == UInt8(ascii: "-")
    if isNegative { offset += 1 }
    let firstDigit = next
    var number = 0
    var digitCount = 0
    while let octet = next, (0x30...0x39).contains(octet) {
      let digit = Int(octet - 0x30)
      let (tenfold, overflow) = number.multipliedReportingOverflow(by: 10)
      let (sum, carry) = tenfold.subtractingReportingOverflow(digit)
      guard !overflow, !carry else { throw JSONError(what: "a number beyond 64 bits", offset: start) }
      number = sum
      digitCount += 1
      offset += 1
    }
    guard digitCount > 0, digitCount == 1 || firstDigit != UInt8(ascii: "0") else {
      throw JSONError(what: "no number is written so", offset: start)
    }
    if next == UInt8(ascii: ".") || next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
      throw JSONError(what: "not a whole number", offset: start)
    }
    // Counted downwards, because the smallest has no positive.
    if isNegative { return number }
    guard number != Int.min else { throw JSONError(what: "a number beyond 64 bits", offset: start) }
    return -number
  }

  private mutating func string() throws(JSONError) -> String {
    let start = offset
    offset += 1
    var content: [UInt8] = []
    while let octet = next {
      switch octet {
      case UInt8(ascii: "\""):
        offset += 1
        guard let text = String(validating: content, as: UTF8.self) else {
          throw JSONError(what: "a string that is not UTF-8", offset: start)
        }
        return text
      case UInt8(ascii: "\\"):
        content.append(contentsOf: try escape())
      case ..<0x20: throw error("a control character in a string")
      default:
        content.append(octet)
        offset += 1
      }
    }
    throw JSONError(what: "a string without an end", offset: start)
  }

  /// From the backslash on.
  private mutating func escape() throws(JSONError) -> [UInt8] {
    let start = offset
    offset += 1
    guard let letter = next else { throw error("the text ends in an escape") }
    offset += 1
    switch letter {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [letter]
    case UInt8(ascii: "b"): return [0x08]
    case UInt8(ascii: "f"): return [0x0C]
    case UInt8(ascii: "n"): return [0x0A]
    case UInt8(ascii: "r"): return [0x0D]
    case UInt8(ascii: "t"): return [0x09]
    case UInt8(ascii: "u"):
      var value = try hexadecimal()
      if (0xD800...0xDBFF).contains(value) {
        guard octets[offset...].starts(with: "\\u".utf8) else {
          throw JSONError(what: "half of a surrogate pair", offset: start)
        }
        offset += 2
        let low = try hexadecimal()
        guard (0xDC00...0xDFFF).contains(low) else { throw JSONError(what: "half of a surrogate pair", offset: start) }
        value = 0x10000 + (value - 0xD800) << 10 + (low - 0xDC00)
      }
      guard let scalar = Unicode.Scalar(value) else { throw JSONError(what: "half of a surrogate pair", offset: start) }
      return Array(String(scalar).utf8)
    default: throw JSONError(what: "no such escape", offset: start)
    }
  }

  private mutating func hexadecimal() throws(JSONError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let octet = next, let digit = Character(Unicode.Scalar(octet)).hexDigitValue else {
        throw error("no hexadecimal digit")
      }
      value = value << 4 | UInt32(digit)
      offset += 1
    }
    return value
  }

  private mutating func array(depth: Int) throws(JSONError) -> JSONValue {
    try enter(depth)
    var values: [JSONValue] = []
    if close(UInt8(ascii: "]")) { return .array([]) }
    while true {
      skipSpace()
      values.append(try value(depth: depth + 1))
      if close(UInt8(ascii: "]")) { return .array(values) }
      try comma()
    }
  }

  private mutating func object(depth: Int) throws(JSONError) -> JSONValue {
    try enter(depth)
    var members: [(String, JSONValue)] = []
    var names: Set<String> = []
    if close(UInt8(ascii: "}")) { return .object([]) }
    while true {
      skipSpace()
      guard next == UInt8(ascii: "\"") else { throw error("no name of a member") }
      let place = offset
      let name = try string()
      guard names.insert(name).inserted else { throw JSONError(what: "the same name twice", offset: place) }
      skipSpace()
      guard next == UInt8(ascii: ":") else { throw error("no colon after a name") }
      offset += 1
      skipSpace()
      members.append((name, try value(depth: depth + 1)))
      if close(UInt8(ascii: "}")) { return .object(members) }
      try comma()
    }
  }

  private mutating func enter(_ depth: Int) throws(JSONError) {
    guard depth < limits.depthMax else { throw error("more than \(limits.depthMax) levels") }
    offset += 1
  }

  private mutating func close(_ mark: UInt8) -> Bool {
    skipSpace()
    guard next == mark else { return false }
    offset += 1
    return true
  }

  private mutating func comma() throws(JSONError) {
    guard next == UInt8(ascii: ",") else { throw error("no comma between values") }
    offset += 1
  }
}

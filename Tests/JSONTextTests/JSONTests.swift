import Testing

@testable import JSONText

private func read(_ text: String, limits: JSONLimits = JSONLimits()) throws(JSONError) -> JSONValue {
  try JSONValue(parsing: Array(text.utf8), limits: limits)
}

private func complaint(_ text: String, limits: JSONLimits = JSONLimits()) -> String? {
  do throws(JSONError) {
    _ = try read(text, limits: limits)
    return nil
  } catch { return error.description }
}

@Suite struct JSONTests {
  @Test func `what is written is read back, members in order`() throws {
    let value = JSONValue.object([
      ("text", .string("a\"\\\n\t\u{1}\u{7F}\u{85}\u{202E}\u{1F4E7}é")), ("none", .null), ("yes", .boolean(true)),
      ("list", .array([.integer(Int.min), .integer(Int.max), .integer(0), .array([]), .object([])])),
    ])
    #expect(try read(value.text) == value)
    #expect(
      value.text
        == #"{"text":"a\"\\\n\t\u0001\u007f\u0085\u202e📧é","none":null,"yes":true,"#
        + #""list":[-9223372036854775808,9223372036854775807,0,[],{}]}"#)
  }

  @Test func `escapes of RFC 8259 §7 are understood`() throws {
    #expect(try read(#""\"\\\/\b\f\n\r\t\u0041\ud83d\udce7""#) == .string("\"\\/\u{8}\u{C}\n\r\tA\u{1F4E7}"))
  }

  @Test func `white space stands wherever it may`() throws {
    #expect(try read(" { \"a\" : [ 1 , 2 ] } \r\n") == .object([("a", .array([.integer(1), .integer(2)]))]))
  }

  @Test(arguments: [
    ("", "the text ends where a value is due at octet 1"), ("nul", "no value begins so at octet 1"),
    ("[1,]", "no value begins so at octet 4"), ("[1 2]", "no comma between values at octet 4"),
    ("{\"a\":1,}", "no name of a member at octet 8"), ("{a:1}", "no name of a member at octet 2"),
    ("{\"a\" 1}", "no colon after a name at octet 6"), ("{\"a\":1,\"a\":2}", "the same name twice at octet 8"),
    ("1 1", "something after the value at octet 3"), ("01", "no number is written so at octet 1"),
    ("-", "no number is written so at octet 1"), ("+1", "no value begins so at octet 1"),
    ("1.5", "not a whole number at octet 1"), ("1e3", "not a whole number at octet 1"),
    ("9223372036854775808", "a number beyond 64 bits at octet 1"),
    ("-9223372036854775809", "a number beyond 64 bits at octet 1"), ("\"a", "a string without an end at octet 1"),
    ("\"\n\"", "a control character in a string at octet 2"), ("\"\\x\"", "no such escape at octet 2"),
    ("\"\\u12g4\"", "no hexadecimal digit at octet 6"), ("\"\\ud800\"", "half of a surrogate pair at octet 2"),
    ("\"\\ud800\\u0041\"", "half of a surrogate pair at octet 2"),
    ("\"\\udc00\"", "half of a surrogate pair at octet 2"),
    ("\"\\", "the text ends in an escape at octet 3"),
  ])
  func `what is no JSON is refused with its place`(_ text: String, _ expected: String) {
    #expect(complaint(text) == expected)
  }

  @Test func `a string that is not UTF-8 is refused`() {
    #expect(throws: JSONError(what: "a string that is not UTF-8", offset: 0)) {
      try JSONValue(parsing: [0x22, 0xC0, 0x80, 0x22])
    }
  }

  @Test func `every limit holds`() {
    let limits = JSONLimits(octetsMax: 20, depthMax: 3, valuesMax: 5)
    #expect(complaint("[[[1]]]", limits: limits) == nil)
    #expect(complaint("[[[[1]]]]", limits: limits) == "more than 3 levels at octet 4")
    #expect(complaint("[1,1,1,1]", limits: limits) == nil)
    #expect(complaint("[1,1,1,1,1]", limits: limits) == "more than 5 values at octet 10")
    #expect(complaint(String(repeating: " ", count: 20) + "1", limits: limits) == "more than 20 octets at octet 21")
  }

  @Test func `random octets and damaged texts never trap`() {
    var random = SeededGenerator(seed: 1)
    let whole = Array(#"{"a":[1,-2,"\u0041\ud83d\udce7\n",true,null],"b":{"c":"d"}}"#.utf8)
    for _ in 0..<20_000 {
      var octets = whole
      for _ in 0..<Int.random(in: 1...4, using: &random) where !octets.isEmpty {
        let place = Int.random(in: 0..<octets.count, using: &random)
        switch Int.random(in: 0..<3, using: &random) {
        case 0: octets[place] = UInt8.random(in: 0...255, using: &random)
        case 1: octets.remove(at: place)
        default: octets = Array(octets[..<max(1, place)])
        }
      }
      _ = try? JSONValue(parsing: octets)
    }
  }
}

struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  /// SplitMix64.
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
    return value ^ (value >> 31)
  }
}

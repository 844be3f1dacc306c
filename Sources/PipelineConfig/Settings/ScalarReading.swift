/// How the text of a single value becomes what its type says. Each returns the value or one line that says what is
/// wanted; the caller adds the place.
struct ScalarComplaint: Error, Equatable {
  var text: String
  var hint: String?
}

private let sizeUnits: [(name: String, octets: Int64)] = [
  ("B", 1), ("KB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000),
  ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40),
]

private let durationUnits: [(name: String, nanoseconds: Int64)] = [
  ("w", 604_800_000_000_000), ("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000),
  ("s", 1_000_000_000), ("ms", 1_000_000),
]

/// Decimal digits only; nil when there are none, something else, or too many for 64 bits.
private func number(_ digits: Substring) -> Int64? {
  guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
  return Int64(digits)
}

private func splitDigits(_ text: Substring) -> (digits: Substring, rest: Substring) {
  let digits = text.prefix { $0.isASCII && $0.isNumber }
  return (digits, text[digits.endIndex...])
}

func readInteger(_ text: String) throws(ScalarComplaint) -> Int64 {
  let digits = text.hasPrefix("-") ? text.dropFirst() : text[...]
  guard let value = number(digits), digits.count == 1 || digits.first != "0" else {
    throw ScalarComplaint(text: "is not a whole number")
  }
  return text.hasPrefix("-") ? -value : value
}

func readBoolean(_ text: String) throws(ScalarComplaint) -> Bool {
  switch text {
  case "true": return true
  case "false": return false
  default:
    var hint: String?
    switch text.lowercased() {
    case "yes", "on", "y", "true", "1", "enabled": hint = "write true"
    case "no", "off", "n", "false", "0", "disabled": hint = "write false"
    default: break
    }
    throw ScalarComplaint(text: "is neither true nor false", hint: hint)
  }
}

/// Octets.
func readSize(_ text: String) throws(ScalarComplaint) -> Int64 {
  let (digits, unit) = splitDigits(text[...])
  guard let count = number(digits) else {
    throw ScalarComplaint(text: "is not a size", hint: "write a whole number and a unit, such as 50MiB or 10KB")
  }
  guard !unit.isEmpty else {
    throw ScalarComplaint(
      text: "is a size without a unit", hint: "write \(digits)B, \(digits)KiB, \(digits)MiB or \(digits)GiB")
  }
  guard let known = sizeUnits.first(where: { $0.name == unit }) else {
    let names = sizeUnits.map(\.name)
    throw ScalarComplaint(
      text: "has an unknown unit \(quoted(String(unit)))", hint: suggestionHint(for: String(unit), among: names))
  }
  let (octets, overflow) = count.multipliedReportingOverflow(by: known.octets)
  guard !overflow else { throw ScalarComplaint(text: "is too large") }
  return octets
}

/// Nanoseconds.
func readDuration(_ text: String) throws(ScalarComplaint) -> Int64 {
  let example = "write numbers and units, such as 2m, 1h30m or 500ms"
  var rest = text[...]
  var total: Int64 = 0
  var unitsLeft = durationUnits[...]
  guard !rest.isEmpty else { throw ScalarComplaint(text: "is not a duration", hint: example) }
  while !rest.isEmpty {
    let (digits, afterDigits) = splitDigits(rest)
    guard let count = number(digits) else { throw ScalarComplaint(text: "is not a duration", hint: example) }
    let unit = afterDigits.prefix { $0.isLetter }
    guard !unit.isEmpty else {
      let isBare = digits.endIndex == text.endIndex && digits.startIndex == text.startIndex
      throw ScalarComplaint(
        text: isBare ? "is a duration without a unit" : "is not a duration",
        hint: isBare ? "write \(digits)s, \(digits)m or \(digits)h" : example)
    }
    guard durationUnits.contains(where: { $0.name == unit }) else {
      throw ScalarComplaint(
        text: "has an unknown unit \(quoted(String(unit)))",
        hint: "one of: " + durationUnits.map(\.name).joined(separator: ", "))
    }
    guard let index = unitsLeft.firstIndex(where: { $0.name == unit }) else {
      throw ScalarComplaint(text: "does not name its units from the largest to the smallest, each once", hint: example)
    }
    let (part, partOverflow) = count.multipliedReportingOverflow(by: durationUnits[index].nanoseconds)
    let (sum, sumOverflow) = total.addingReportingOverflow(part)
    guard !partOverflow, !sumOverflow else { throw ScalarComplaint(text: "is too long") }
    total = sum
    unitsLeft = unitsLeft[(index + 1)...]
    rest = afterDigits[unit.endIndex...]
  }
  return total
}

/// 0…100.
func readPercent(_ text: String) throws(ScalarComplaint) -> Double {
  guard text.hasSuffix("%") else {
    let isNumber = Double(text) != nil && text.utf8.allSatisfy { (0x30...0x39).contains($0) || $0 == 0x2E }
    throw ScalarComplaint(
      text: "is not a percentage", hint: isNumber ? "write \(text)%" : "write a number and %, such as 5%")
  }
  let parts = text.dropLast().split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
  guard parts.allSatisfy({ number($0) != nil }), let value = Double(text.dropLast()) else {
    throw ScalarComplaint(text: "is not a percentage", hint: "write a number and %, such as 5%")
  }
  guard value <= 100 else { throw ScalarComplaint(text: "is more than 100%") }
  return value
}

func readEndpoint(_ text: String) throws(ScalarComplaint) -> Endpoint {
  let example = "write host:port, such as 127.0.0.1:25 or [::1]:25"
  guard let colon = text.lastIndex(of: ":") else { throw ScalarComplaint(text: "has no port", hint: example) }
  var host = text[..<colon]
  let isBracketed = host.hasPrefix("[") && host.hasSuffix("]") && host.count > 2
  if isBracketed {
    host = host.dropFirst().dropLast()
    guard host.contains(":"), host.utf8.allSatisfy({ isHexDigit($0) || $0 == 0x3A || $0 == 0x2E }) else {
      throw ScalarComplaint(text: "has no IPv6 address between its brackets", hint: example)
    }
  } else {
    guard !host.contains(":") else {
      throw ScalarComplaint(text: "has an IPv6 address without brackets", hint: example)
    }
    guard !host.isEmpty, host.utf8.count <= 255, host.utf8.allSatisfy(isHostOctet) else {
      throw ScalarComplaint(text: "has no host before its port", hint: example)
    }
  }
  guard let port = number(text[text.index(after: colon)...]), let port = UInt16(exactly: port) else {
    throw ScalarComplaint(text: "has a port that is not a number from 0 to 65535", hint: example)
  }
  return Endpoint(host: String(host), port: port)
}

func readIdentifier(_ text: String) throws(ScalarComplaint) -> String {
  guard isIdentifier(text) else {
    throw ScalarComplaint(text: "is not a name", hint: "use letters, digits, _ and -, at most 64")
  }
  return text
}

/// Letters and digits of ASCII, `_` and `-`, at most 64.
func isIdentifier(_ text: String) -> Bool {
  (1...64).contains(text.utf8.count) && text.utf8.allSatisfy { isLetterOrDigit($0) || $0 == 0x5F || $0 == 0x2D }
}

func isLetterOrDigit(_ octet: UInt8) -> Bool {
  (0x30...0x39).contains(octet) || (0x41...0x5A).contains(octet) || (0x61...0x7A).contains(octet)
}

private func isHexDigit(_ octet: UInt8) -> Bool {
  (0x30...0x39).contains(octet) || (0x41...0x46).contains(octet) || (0x61...0x66).contains(octet)
}

/// Letters, digits, `-`, `.` and `_`, as in host names.
func isHostOctet(_ octet: UInt8) -> Bool {
  isLetterOrDigit(octet) || octet == 0x2D || octet == 0x2E || octet == 0x5F
}

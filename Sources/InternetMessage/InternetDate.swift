public import MailModel

/// Dates of header fields. RFC 5322 §3.3, and §4.3 when reading.
public enum InternetDate {
  /// `Fri, 20 Nov 2026 21:30:58 +0000`. Milliseconds are dropped; a year outside 1900…9999 is clamped, since the grammar
  /// has four digits and no years before 1900.
  /// - Parameter offsetMinutes: Of the zone east of Greenwich; clamped to ±5,999.
  public static func format(_ time: WallTime, offsetMinutes: Int = 0) -> String {
    let offset = min(max(offsetMinutes, -5_999), 5_999)
    let utc = floorDivide(time.millisecondsSinceEpoch, 1_000)
    let local = min(max(utc, secondsMin), secondsMax) + Int64(offset) * 60
    let clamped = min(max(local, secondsMin), secondsMax)
    let days = floorDivide(clamped, 86_400)
    let second = Int(clamped - days * 86_400)
    let (year, month, day) = civil(fromDays: days)
    let weekday = Int((days + 4) - floorDivide(days + 4, 7) * 7)  // 1 January 1970 was a Thursday
    let sign = offset < 0 ? "-" : "+"
    let zone = abs(offset)
    return "\(dayNames[weekday]), \(day) \(monthNames[month - 1]) \(year) "
      + "\(two(second / 3_600)):\(two(second / 60 % 60)):\(two(second % 60)) \(sign)\(two(zone / 60))\(two(zone % 60))"
  }

  /// Reads a date as the grammar and its obsolete part have it: comments anywhere, no seconds, years of two and three
  /// digits, zone names; a missing zone is taken for `-0000`. The day's name is not checked against the date. A second
  /// of 60 is read as 59.
  /// - Returns: The moment, and the zone as written in minutes east of Greenwich; nil when it is no date.
  public static func parse(_ text: String) -> (time: WallTime, offsetMinutes: Int)? {
    guard text.utf8.count <= 1_024 else { return nil }
    var tokens = DateTokens(text)
    var token = tokens.next()
    if case .word(let name) = token {
      guard dayNames.contains(where: { $0.lowercased() == name }) else { return nil }
      token = tokens.next()
      if token == .mark(UInt8(ascii: ",")) { token = tokens.next() }
    }
    guard case .number(let day, let dayDigits) = token, dayDigits <= 2,
      case .word(let monthName) = tokens.next(),
      let month = monthNames.firstIndex(where: { $0.lowercased() == monthName }),
      case .number(let writtenYear, let yearDigits) = tokens.next(), (2...4).contains(yearDigits),
      case .number(let hour, 1...2) = tokens.next(), tokens.next() == .mark(UInt8(ascii: ":")),
      case .number(let minute, 1...2) = tokens.next()
    else { return nil }
    var second = 0
    token = tokens.next()
    if token == .mark(UInt8(ascii: ":")) {
      guard case .number(let value, 1...2) = tokens.next() else { return nil }
      second = value
      token = tokens.next()
    }
    guard let offset = zone(token, &tokens) else { return nil }
    let year = yearDigits == 4 ? writtenYear : writtenYear + (yearDigits == 2 && writtenYear < 50 ? 2_000 : 1_900)
    guard hour < 24, minute < 60, second <= 60, day >= 1, day <= dayCount(year: year, month: month + 1) else {
      return nil
    }
    let days = days(year: year, month: month + 1, day: day)
    let seconds = days * 86_400 + Int64(hour * 3_600 + minute * 60 + min(second, 59)) - Int64(offset) * 60
    return (WallTime(millisecondsSinceEpoch: seconds * 1_000), offset)
  }

  private static let dayNames = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
  private static let monthNames = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]
  /// Minutes; RFC 5322 §4.3. Any other name, the military ones among them, is `-0000`.
  private static let zoneNames = [
    "ut": 0, "utc": 0, "gmt": 0, "est": -300, "edt": -240, "cst": -360, "cdt": -300, "mst": -420, "mdt": -360,
    "pst": -480, "pdt": -420,
  ]
  private static let secondsMin = days(year: 1900, month: 1, day: 1) * 86_400
  private static let secondsMax = days(year: 10_000, month: 1, day: 1) * 86_400 - 1

  private static func zone(_ token: DateTokens.Token?, _ tokens: inout DateTokens) -> Int? {
    switch token {
    case nil: return 0
    case .word(let name): return zoneNames[name] ?? 0
    case .mark(let mark):
      guard mark == UInt8(ascii: "+") || mark == UInt8(ascii: "-"), case .number(let value, 4) = tokens.next(),
        value % 100 < 60
      else { return nil }
      let minutes = value / 100 * 60 + value % 100
      return mark == UInt8(ascii: "-") ? -minutes : minutes
    case .number: return nil
    }
  }

  private static func two(_ number: Int) -> String { number < 10 ? "0\(number)" : String(number) }

  private static func floorDivide(_ number: Int64, _ divisor: Int64) -> Int64 {
    let quotient = number / divisor
    return number % divisor < 0 ? quotient - 1 : quotient
  }

  private static func dayCount(year: Int, month: Int) -> Int {
    let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    return month == 2 ? (isLeap ? 29 : 28) : [4, 6, 9, 11].contains(month) ? 30 : 31
  }

  /// Days since 1 January 1970 in the proleptic Gregorian calendar; years begin in March so that leap days come last.
  private static func days(year: Int, month: Int, day: Int) -> Int64 {
    let shifted = Int64(month <= 2 ? year - 1 : year)
    let era = floorDivide(shifted, 400)
    let yearOfEra = shifted - era * 400
    let dayOfYear = Int64((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1)
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  private static func civil(fromDays days: Int64) -> (year: Int, month: Int, day: Int) {
    let shifted = days + 719_468
    let era = floorDivide(shifted, 146_097)
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let day = Int(dayOfYear - (153 * shiftedMonth + 2) / 5) + 1
    let month = Int(shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9)
    return (Int(yearOfEra + era * 400) + (month <= 2 ? 1 : 0), month, day)
  }
}

/// Numbers, words and marks of a date; white space and comments, nested ones too, are passed over without recursion.
private struct DateTokens {
  enum Token: Equatable {
    case number(Int, digits: Int)
    /// In lower case.
    case word(String)
    case mark(UInt8)
  }

  private let octets: [UInt8]
  private var position = 0

  init(_ text: String) { octets = Array(text.utf8) }

  mutating func next() -> Token? {
    skip()
    guard position < octets.count else { return nil }
    let start = position
    switch octets[start] {
    case 0x30...0x39:
      var number = 0
      while position < octets.count, (0x30...0x39).contains(octets[position]) {
        if position - start < 9 { number = number * 10 + Int(octets[position] - 0x30) }
        position += 1
      }
      return .number(number, digits: position - start)
    case 0x41...0x5A, 0x61...0x7A:
      var word: [UInt8] = []
      while position < octets.count, (0x61...0x7A).contains(octets[position] | 0x20), octets[position] < 0x80 {
        word.append(octets[position] | 0x20)
        position += 1
      }
      return .word(String(decoding: word, as: UTF8.self))
    default:
      position += 1
      return .mark(octets[start])
    }
  }

  private mutating func skip() {
    var depth = 0
    while position < octets.count {
      switch octets[position] {
      case UInt8(ascii: "("): depth += 1
      case UInt8(ascii: ")") where depth > 0: depth -= 1
      case UInt8(ascii: "\\") where depth > 0: position += 1
      case 0x20, 0x09, 0x0D, 0x0A: break
      default: if depth == 0 { return }
      }
      position += 1
    }
  }
}

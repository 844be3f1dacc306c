import MailModel
import Testing

@testable import InternetMessage

@Suite struct InternetDateTests {
  /// RFC 5322 appendix A.1.1, A.3, A.5, A.6.2 and A.6.3, then `date -u -R -d @N` of GNU coreutils.
  @Test(
    arguments: [
      ("Fri, 21 Nov 1997 09:55:06 -0600", 880_127_706, -360),
      ("Sat, 24 Nov 1973 10:32:31 +0000", 122_985_151, 0),
      ("21 Nov 97 09:55:06 GMT", 880_106_106, 0),
      ("Thu, 13\r\n  Feb\r\n    1969\r\n  23:32\r\n           -0330 (Newfoundland Time)", -27_723_480, -210),
      ("Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", 880_127_706, -360),
      ("Thu, 01 Jan 1970 00:00:00 +0000", 0, 0),
      ("Thu, 29 Feb 2024 12:00:00 +0000", 1_709_208_000, 0),
      ("Tue, 19 Jan 2038 03:14:08 +0000", 2_147_483_648, 0),
      ("Mon, 01 Jan 1900 00:00:00 +0000", -2_208_988_800, 0),
      ("Fri, 31 Dec 9999 23:59:59 +0000", 253_402_300_799, 0),
      ("1 Jan 2000 00:00 EST", 946_702_800, -300),
      ("1 Jan 100 00:00 Z", 946_684_800, 0),
      ("1 Jul 2015 00:59:60 +0100", 1_435_708_799, 60),
      ("Fri, 20 Nov 2026 21:30:58", 1_795_210_258, 0),
      ("((a\\)(b))) Fri, 20 Nov 2026 21:30:58 -0000", 1_795_210_258, 0),
    ])
  func `dates of the standard are read`(text: String, seconds: Int64, offset: Int) {
    let read = InternetDate.parse(text)
    #expect(read?.time == WallTime(millisecondsSinceEpoch: seconds * 1_000))
    #expect(read?.offsetMinutes == offset)
  }

  @Test(
    arguments: [
      "", "yesterday", "Fri", "Fri,", "Xyz, 1 Jan 2000 00:00:00 +0000", "32 Jan 2000 00:00:00 +0000",
      "0 Jan 2000 00:00:00 +0000", "29 Feb 1900 00:00:00 +0000", "1 Foo 2000 00:00:00 +0000",
      "1 Jan 2000 24:00:00 +0000",
      "1 Jan 2000 00:60:00 +0000", "1 Jan 2000 00:00:61 +0000", "1 Jan 2000 00:00:00 +9999", "1 Jan 2000 00:00:00 +00",
      "1 Jan 20000 00:00:00 +0000", "99999999999999999999 Jan 2000 00:00:00 +0000", "1 Jan 2000 00:00:00 5",
      "((((", "(\\", "1 Jan 2000 00:00:00 +\u{0}",
    ])
  func `what is no date is nil`(text: String) { #expect(InternetDate.parse(text) == nil) }

  @Test func `a date is written as RFC 5322 has it`() {
    #expect(
      InternetDate.format(WallTime(millisecondsSinceEpoch: 880_127_706_999), offsetMinutes: -360)
        == "Fri, 21 Nov 1997 09:55:06 -0600")
    #expect(InternetDate.format(WallTime(millisecondsSinceEpoch: 0)) == "Thu, 1 Jan 1970 00:00:00 +0000")
    #expect(InternetDate.format(WallTime(millisecondsSinceEpoch: -1)) == "Wed, 31 Dec 1969 23:59:59 +0000")
    #expect(InternetDate.format(WallTime(millisecondsSinceEpoch: .max)) == "Fri, 31 Dec 9999 23:59:59 +0000")
    #expect(
      InternetDate.format(WallTime(millisecondsSinceEpoch: .min), offsetMinutes: .min)
        == "Mon, 1 Jan 1900 00:00:00 -9959")
  }

  @Test func `every day of four hundred years is written and read back`() {
    var weekday = 0
    for day in stride(from: Int64(0), to: 146_097, by: 1) {
      let time = WallTime(millisecondsSinceEpoch: day * 86_400_000)
      let text = InternetDate.format(time)
      if InternetDate.parse(text)?.time != time { Issue.record("\(text)") }
      if day % 7 == 0 { weekday += text.hasPrefix("Thu") ? 1 : 0 }
    }
    #expect(weekday == 146_097 / 7)
  }
}

import Glibc
import MailModel
import Spool
import SpoolTesting
import Testing

struct HistoryTests {
  private func disk() -> SimulatedDisk {
    let disk = SimulatedDisk()
    disk.addDirectory("spool")
    return disk
  }

  private func search(_ number: Int, _ disk: SimulatedDisk) throws -> [String] {
    var lines: [String] = []
    try History.search(id(number), spoolPath: "/spool", files: disk) { lines.append($0) }
    return lines
  }

  @Test func `the events of a message come back in order and no others`() throws {
    let disk = disk()
    let history = try History(spoolPath: "/spool", files: disk)
    let time = WallTime(millisecondsSinceEpoch: 1_700_000_000_000)
    history.record(HistoryLine(time: time, id: id(1), event: "accepted", stage: "imc_in"))
    history.record(HistoryLine(time: time, id: id(2), event: "accepted", text: "\"id\":\"\(id(1))\""))
    history.record(
      HistoryLine(
        time: time, id: id(1), event: "deferred", stage: "imc_out", recipients: ["a@example.net"],
        code: .noAnswer, text: "no answer"))
    history.flush()
    #expect(
      try search(1, disk) == [
        #"{"time":1700000000000,"id":"0000000000001","event":"accepted","stage":"imc_in"}"#,
        #"{"time":1700000000000,"id":"0000000000001","event":"deferred","stage":"imc_out","recipients":["a@example.net"]"#
          + #","code":"4.4.1","text":"no answer"}"#,
      ])
    #expect(try search(3, disk).isEmpty)
  }

  @Test func `whatever a peer said stays one line of JSON`() throws {
    let disk = disk()
    let history = try History(spoolPath: "/spool", files: disk)
    let text = "a\"b\\c\n\r\t\u{0}\u{1B}[2J\u{7F}\u{9B}\u{2028}\u{202E}é"
    history.record(HistoryLine(time: WallTime(millisecondsSinceEpoch: 0), id: id(1), event: "failed", text: text))
    history.close()
    let expected =
      #""text":"a\"b\\c\u000a\u000d\u0009\u0000\u001b[2J\u007f\u009b\u2028\u202eé"}"#
    #expect(try search(1, disk).map { $0.hasSuffix(expected) } == [true])
  }

  @Test func `long texts and long lists are cut`() throws {
    let disk = disk()
    let history = try History(spoolPath: "/spool", files: disk)
    history.record(
      HistoryLine(
        time: WallTime(millisecondsSinceEpoch: 0), id: id(1), event: "failed",
        recipients: Array(repeating: String(repeating: "x", count: 70_000), count: 5000),
        text: String(repeating: "é", count: 70_000)))
    history.close()
    let line = try #require(try search(1, disk).first)
    #expect(line.utf8.count < 100 * 1100 + 5000)
    #expect(line.contains(",\"more\":4900") && line.hasSuffix("é…\"}"))
  }

  @Test func `files are rotated, the oldest go, and a restart goes on`() throws {
    let disk = disk()
    for run in 0..<4 {
      let history = try History(spoolPath: "/spool", fileOctetsMax: 10_000, totalOctetsMax: 50_000, files: disk)
      for number in 1...500 {
        history.record(
          HistoryLine(time: WallTime(millisecondsSinceEpoch: Int64(run * 1000 + number)), id: id(1), event: "retried"))
        if number % 20 == 0 { history.flush() }
      }
      history.close()
    }
    let names = disk.names(inDirectory: "spool/history")
    #expect((3...6).contains(disk.historyFiles.count), "\(names)")
    let times = try search(1, disk).compactMap { $0.split(separator: ",").first?.split(separator: ":").last }
      .compactMap { Int($0) }
    #expect(times == times.sorted() && times.last == 3500)
    #expect(disk.openCount == 0)
  }

  @Test func `a history that cannot be written costs lines and nothing else`() throws {
    let disk = disk()
    let history = try History(spoolPath: "/spool", files: disk)
    let event = HistoryLine(time: WallTime(millisecondsSinceEpoch: 0), id: id(1), event: "retried")
    history.record(event)
    history.flush()
    disk.fault = (disk.callCount + 1, .once(errno: ENOSPC))
    history.record(event)
    history.flush()
    #expect(history.linesDropped == 1)
    history.record(event)
    history.close()
    #expect(try search(1, disk).count == 2)
  }
}

extension SimulatedDisk {
  fileprivate var historyFiles: [String] {
    guard let directory = try? openDirectory("/spool/history") else { return [] }
    defer { close(directory) }
    return (try? names(in: directory)) ?? []
  }
}

import Glibc
import JSONText
import MailModel
import Platform
import Synchronization
import Testing

@testable import Admin

/// Answers with rows that say what was asked.
private struct Echo: AdminResponder {
  var rowCount = 2
  /// Rows of the answer to `trace`: long ones, more than any socket holds.
  static let longRowCount = 5000
  var failure: AdminFailure?

  func answer(
    _ verb: AdminVerb, _ request: JSONValue, body: (envelope: [UInt8], content: [UInt8])?,
    _ emit: (JSONValue) -> Bool
  ) throws(AdminFailure) {
    if let failure { throw failure }
    if verb == .trace {
      let long = JSONValue.object([("text", .string(String(repeating: "x", count: 1000)))])
      for _ in 0..<Self.longRowCount { guard emit(long) else { return } }
      return
    }
    for number in 0..<rowCount {
      let row = JSONValue.object([
        ("verb", .string(verb.rawValue)), ("row", .integer(number)), ("asked", .string(request["stage"]?.string ?? "")),
        ("body", .integer((body?.envelope.count ?? 0) * 1000 + (body?.content.count ?? 0))),
      ])
      guard emit(row) else { return }
    }
  }
}

/// A server in a directory of its own, and what it noted.
private final class Fixture: Sendable {
  let directory: String
  let path: String
  let server: AdminServer

  init(_ responder: any AdminResponder = Echo(), patience: AdminServer.Patience = AdminServer.Patience()) throws {
    var template = Array("/tmp/admin-XXXXXX".utf8CString)
    directory = String(cString: try #require(mkdtemp(&template)))
    path = "\(directory)/deep/er/socket"
    let notes = Notes()
    server = try AdminServer(path: path, responder, patience: patience) { notes.add($0) }
    try server.start()
    self.noted = notes
  }

  let noted: Notes

  final class Notes: Sendable {
    private let lines = Mutex<[String]>([])
    func add(_ line: String) { lines.withLock { $0.append(line) } }
    var all: [String] { lines.withLock { $0 } }
  }

  deinit {
    server.stop()
    rmdir("\(directory)/deep/er")
    rmdir("\(directory)/deep")
    rmdir(directory)
  }

  /// What the server says to raw octets, up to its end of the connection or `lines` lines.
  func say(_ octets: [UInt8], lines: Int = Int.max, closes: Bool = false) throws -> [String] {
    let stream = try UnixStream.connect(to: path)
    let channel = LineChannel(stream)
    try? channel.write(octets, seconds: 5)
    if closes { stream.shutDown() }
    var answer: [String] = []
    while answer.count < lines {
      guard let line = try? channel.readLine(octetsMax: 1 << 20, idleSeconds: 5, lineSeconds: 5) else { break }
      answer.append(String(decoding: line, as: UTF8.self))
    }
    return answer
  }

  /// Whether a request is served once earlier connections have ended.
  func isServedSoon() -> Bool {
    for _ in 0..<2000 {
      if (try? rows(.status)) != nil { return true }
      sched_yield()
    }
    return false
  }

  func rows(_ verb: AdminVerb, _ members: [(String, JSONValue)] = []) throws -> [JSONValue] {
    var rows: [JSONValue] = []
    try AdminClient(path: path).ask(verb, members) { rows.append($0) }
    return rows
  }
}

@Suite struct AdminSocketTests {
  @Test func `a request gets its rows and an end`() throws {
    let fixture = try Fixture()
    #expect(
      try fixture.say(Array(#"{"verb":"queue list","stage":"out"}"#.utf8) + [10], lines: 3) == [
        #"{"verb":"queue list","row":0,"asked":"out","body":0}"#,
        #"{"verb":"queue list","row":1,"asked":"out","body":0}"#, #"{"end":true}"#,
      ])
  }

  @Test func `one connection takes one request after another, pieces of lines put together`() throws {
    let fixture = try Fixture(Echo(rowCount: 1))
    let channel = LineChannel(try UnixStream.connect(to: fixture.path))
    let both = Array("{\"verb\":\"status\"}\n{\"verb\":\"ledger\"}\n".utf8)
    for octet in both { try channel.write([octet], seconds: 5) }
    var answer: [String] = []
    for _ in 0..<4 {
      let line = try channel.readLine(octetsMax: 1000, idleSeconds: 5, lineSeconds: 5)
      answer.append(String(decoding: line, as: UTF8.self))
    }
    #expect(answer.map { $0.contains("end") } == [false, true, false, true])
    #expect(answer[2].contains("ledger"))
  }

  @Test func `an error comes with its exit code`() throws {
    let fixture = try Fixture(Echo(failure: AdminFailure("the gateway is busy", .temporary)))
    #expect(throws: AdminFailure("the gateway is busy", .temporary)) { try fixture.rows(.status) }
  }

  @Test(arguments: [
    ("nonsense", "a request that is no JSON: no value begins so at octet 1"),
    ("{}", "a request without a verb that this host knows"),
    (#"{"verb":"queue dance"}"#, "a request without a verb that this host knows"),
    (#"{"verb":5}"#, "a request without a verb that this host knows"),
    (#"{"verb":"inject","envelope":-1,"content":0}"#, "an inject of more than 67108864 octets"),
    (#"{"verb":"inject","envelope":9223372036854775807,"content":9}"#, "an inject of more than 67108864 octets"),
    (#"{"verb":"inject","envelope":1,"content":67108864}"#, "an inject of more than 67108864 octets"),
  ])
  func `what makes no sense is answered with a reason, and the connection ends`(_ line: String, _ text: String) throws {
    let fixture = try Fixture()
    let answer = try fixture.say(Array(line.utf8) + [10])
    #expect(answer == [AdminFailure(text, .usage).json.text])
  }

  @Test func `a request beyond 64 KiB is refused before it has an end`() throws {
    let fixture = try Fixture()
    let answer = try fixture.say([UInt8](repeating: 0x20, count: 200_000))
    #expect(answer == [AdminFailure("a request of more than 65536 octets", .usage).json.text])
  }

  @Test func `an inject brings its envelope and content behind the line`() throws {
    let fixture = try Fixture(Echo(rowCount: 1))
    var rows: [JSONValue] = []
    try AdminClient(path: fixture.path).ask(
      .inject, [("at", .string("route"))], envelope: [1, 2, 3], content: [UInt8](repeating: 10, count: 200)
    ) { rows.append($0) }
    #expect(rows.first?["body"]?.integer == 3200)
    #expect(fixture.noted.all.count == 1)
    #expect(fixture.noted.all.first?.hasPrefix("inject asked for by user \(getuid()), process \(getpid()): ") == true)
  }

  @Test func `only changes are noted, and a dry run is none`() throws {
    let fixture = try Fixture()
    _ = try fixture.rows(.queueList)
    _ = try fixture.rows(.queueDelete, [("dry_run", .boolean(true))])
    #expect(fixture.noted.all.isEmpty)
    _ = try fixture.rows(.queueDelete)
    #expect(fixture.noted.all.count == 1)
  }

  @Test func `random octets harm nobody`() throws {
    let fixture = try Fixture()
    var random = SeededGenerator(seed: 7)
    for _ in 0..<200 {
      var octets = (0..<Int.random(in: 0...300, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      if Bool.random(using: &random) {
        octets = Array(#"{"verb":"inject","envelope":5,"content":5}"#.utf8) + [10] + octets
      }
      _ = try fixture.say(octets + [10], lines: 1, closes: true)
    }
    #expect(fixture.isServedSoon())
  }

  @Test func `a client that says nothing, or half a line, is sent away in time`() throws {
    var patience = AdminServer.Patience()
    patience.idleSeconds = 0.02
    patience.lineSeconds = 0.02
    let fixture = try Fixture(patience: patience)
    let expected = [AdminFailure("the request took too long", .temporary).json.text]
    #expect(try fixture.say([]) == expected)
    #expect(try fixture.say(Array("{\"verb\"".utf8)) == expected)
  }

  @Test func `a client that does not read loses its connection, and others are served`() throws {
    var patience = AdminServer.Patience()
    patience.rowSeconds = 0.05
    let fixture = try Fixture(patience: patience)
    let channel = LineChannel(try UnixStream.connect(to: fixture.path))
    try channel.write(Array("{\"verb\":\"trace\"}\n".utf8), seconds: 5)
    #expect(try fixture.rows(.status).count == 2)
    // It has ended when its place is free, whatever is still in the socket.
    fixture.server.waitUntilIdle()
    var lines = 0
    while (try? channel.readLine(octetsMax: 2000, idleSeconds: 5, lineSeconds: 5)) != nil { lines += 1 }
    #expect(lines < Echo.longRowCount)
  }

  @Test func `a seventeenth connection is told so, and finds room when one has ended`() throws {
    let fixture = try Fixture(Echo(rowCount: 1))
    var channels: [LineChannel] = []
    for _ in 0..<AdminLimits.connectionsMax {
      let channel = LineChannel(try UnixStream.connect(to: fixture.path))
      try channel.write(Array("{\"verb\":\"status\"}\n".utf8), seconds: 5)
      _ = try channel.readLine(octetsMax: 1000, idleSeconds: 5, lineSeconds: 5)
      channels.append(channel)
    }
    #expect(throws: AdminFailure("too many connections to the host", .temporary)) { try fixture.rows(.status) }
    channels[0].stream.shutDown()
    #expect(fixture.isServedSoon())
    _ = channels
  }

  @Test func `the socket is for the user and the group, in directories that were made`() throws {
    let fixture = try Fixture()
    var status = stat()
    #expect(lstat(fixture.path, &status) == 0)
    #expect(status.st_mode == S_IFSOCK | 0o660)
  }

  @Test func `a socket that somebody serves is not taken over, one that nobody serves is`() throws {
    let fixture = try Fixture()
    #expect(throws: AdminFailure("another host answers at \(fixture.path)")) {
      try AdminServer(path: fixture.path, Echo()) { _ in }
    }
    // A socket as a killed host leaves it: closed, and its name still there.
    let left = "\(fixture.directory)/left"
    do { _ = try UnixListener(path: left, mode: 0o600) }
    #expect(access(left, F_OK) == 0)
    let server = try AdminServer(path: left, Echo()) { _ in }
    try server.start()
    var rows = 0
    try AdminClient(path: left).ask(.status) { _ in rows += 1 }
    #expect(rows == 2)
    server.stop()
  }

  @Test func `a file that is no socket is left alone`() throws {
    let fixture = try Fixture()
    let path = "\(fixture.directory)/file"
    let file = try #require(fopen(path, "w"))
    fclose(file)
    #expect(throws: AdminFailure("\(path) is not a socket")) { try AdminServer(path: path, Echo()) { _ in } }
    #expect(access(path, F_OK) == 0)
    unlink(path)
  }

  @Test func `a path that is too long is said to be so`() throws {
    let path = "/tmp/" + String(repeating: "x", count: 120)
    #expect(throws: AdminFailure("\(path): a socket's path has at most 107 octets")) {
      try AdminServer(path: path, Echo()) { _ in }
    }
  }

  @Test func `where nobody answers, the host does not run`() {
    #expect(throws: AdminFailure("the host does not run: nobody answers at /tmp/none/at-all", .hostNotRunning)) {
      try AdminClient(path: "/tmp/none/at-all").ask(.status) { _ in }
    }
  }

  @Test func `stopping ends open connections and takes the socket away`() throws {
    let fixture = try Fixture()
    let channel = LineChannel(try UnixStream.connect(to: fixture.path))
    try channel.write(Array("{\"verb\":\"status\"}\n".utf8), seconds: 5)
    for _ in 0..<3 { _ = try channel.readLine(octetsMax: 1000, idleSeconds: 5, lineSeconds: 5) }
    fixture.server.stop()
    #expect(throws: LineChannel.Trouble.ended) {
      try channel.readLine(octetsMax: 1000, idleSeconds: 5, lineSeconds: 5)
    }
    #expect(access(fixture.path, F_OK) != 0)
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

import CPlatform
import CSQLite
import Glibc
import MailModel
import Spool

private struct Failure: Error { var text: String }

private func makeContent() -> [UInt8] {
  var random = SystemRandomNumberGenerator()
  return (0..<contentOctets).map { _ in UInt8.random(in: 32...126, using: &random) }
}

private func message(_ number: Int) -> StoredMessage {
  StoredMessage(
    id: QueueID(rawValue: UInt64(number)), acceptedAt: WallTime(millisecondsSinceEpoch: 1_700_000_000_000),
    origin: "imc_in",
    envelope: Envelope(
      reversePath: .smtp("sender@example.com"), recipients: [Recipient(.smtp("recipient@example.net"))],
      attributes: [Attribute("client.address", "192.0.2.1")]),
    contentOctets: UInt64(contentOctets))
}

// MARK: The embedded spool

func acceptIntoSpool(_ path: String, _ messages: Int, _ meter: Meter) throws {
  try run(path, messages, meter, settles: false)
}

func acceptAndSettle(_ path: String, _ messages: Int, _ meter: Meter) throws {
  try run(path, messages, meter, settles: true)
}

private func run(_ path: String, _ messages: Int, _ meter: Meter, settles: Bool) throws {
  var settings = SpoolSettings()
  settings.reserve = .octets(0)
  let spool = try LogSpool(path: path, settings: settings)
  try spool.recover { _, _, _ in }
  for _ in 0..<64 { try spool.tidy() }
  let content = makeContent()
  let settled = RecipientState.settled(.relayed, DeliveryStatus(.success, "250 2.0.0 ok"))
  var number = 0
  meter.start()
  while number < messages {
    let first = number + 1
    for _ in 0..<producers {
      number += 1
      let identifier = spool.beginContent()
      try content.withUnsafeBytes { try spool.append($0, to: identifier) }
      try spool.append([.accept(message(number), content: identifier, stage: "route")])
    }
    // The batch before has been transferred meanwhile.
    if settles, first > producers {
      for old in first - producers..<first {
        try spool.append([.recipients(QueueID(rawValue: UInt64(old)), [0], settled)])
      }
    }
    try spool.commit()
    if number / producers % 16 == 0 { try spool.tidy() }
  }
  try spool.close()
}

// MARK: SQLite

func acceptIntoSQLite(_ path: String, _ messages: Int, _ meter: Meter) throws {
  var database: OpaquePointer?
  guard sqlite3_open("\(path)/spool.db", &database) == SQLITE_OK else { throw Failure(text: "open") }
  defer { sqlite3_close(database) }
  func execute(_ text: String) throws {
    guard sqlite3_exec(database, text, nil, nil, nil) == SQLITE_OK else { throw Failure(text: text) }
  }
  try execute("PRAGMA journal_mode=WAL")
  try execute("PRAGMA synchronous=FULL")
  try execute("CREATE TABLE message (id INTEGER PRIMARY KEY, envelope BLOB, state TEXT, content BLOB)")
  var statement: OpaquePointer?
  guard
    sqlite3_prepare_v2(database, "INSERT INTO message VALUES (?, ?, 'queued', ?)", -1, &statement, nil) == SQLITE_OK
  else { throw Failure(text: "prepare") }
  defer { sqlite3_finalize(statement) }
  let content = makeContent()
  var number = 0
  meter.start()
  while number < messages {
    try execute("BEGIN")
    for _ in 0..<producers {
      number += 1
      var writer = WireWriter()
      writer.write(message(number).envelope)
      sqlite3_bind_int64(statement, 1, Int64(number))
      // A null destructor is SQLITE_STATIC: the arrays outlive the step.
      let code = writer.octets.withUnsafeBytes { envelope in
        content.withUnsafeBytes { content in
          sqlite3_bind_blob(statement, 2, envelope.baseAddress, Int32(envelope.count), nil)
          sqlite3_bind_blob(statement, 3, content.baseAddress, Int32(content.count), nil)
          return sqlite3_step(statement)
        }
      }
      guard code == SQLITE_DONE else { throw Failure(text: "insert") }
      sqlite3_reset(statement)
    }
    try execute("COMMIT")
  }
}

// MARK: One file a message

private final class Producer {
  let path: String
  let numbers: Range<Int>
  let content: [UInt8]
  var failed = false

  init(path: String, numbers: Range<Int>, content: [UInt8]) {
    self.path = path
    self.numbers = numbers
    self.content = content
  }

  /// Writes a file under another name, syncs it, renames it and syncs the directory, as a maildir is filled.
  func run() {
    let directory = cplatform_open(path, O_RDONLY | O_DIRECTORY, 0)
    defer { close(directory) }
    for number in numbers {
      var writer = WireWriter()
      writer.write(message(number).envelope)
      let octets = writer.octets + content
      let file = cplatform_openat(directory, "tmp-\(number)", O_WRONLY | O_CREAT | O_EXCL, 0o600)
      defer { close(file) }
      guard write(file, octets, octets.count) == octets.count, fsync(file) == 0,
        renameat(directory, "tmp-\(number)", directory, "message-\(number)") == 0, fsync(directory) == 0
      else {
        failed = true
        return
      }
    }
  }
}

private func runProducer(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  if let argument { Unmanaged<Producer>.fromOpaque(argument).takeUnretainedValue().run() }
  return nil
}

func acceptIntoFiles(_ path: String, _ messages: Int, _ meter: Meter) throws {
  let content = makeContent()
  let each = messages / producers
  let all = (0..<producers).map { Producer(path: path, numbers: $0 * each..<($0 + 1) * each, content: content) }
  var threads: [pthread_t] = []
  meter.start()
  for producer in all {
    var thread = pthread_t()
    guard pthread_create(&thread, nil, runProducer, Unmanaged.passUnretained(producer).toOpaque()) == 0 else {
      throw Failure(text: "pthread_create")
    }
    threads.append(thread)
  }
  for thread in threads { pthread_join(thread, nil) }
  if all.contains(where: \.failed) { throw Failure(text: "a file could not be written") }
}

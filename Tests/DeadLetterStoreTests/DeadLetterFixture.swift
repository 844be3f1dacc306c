import Foundation
import MailModel
import Platform

@testable import DeadLetterStore

/// A directory of its own, gone when the test ends.
final class TemporaryDirectory {
  let path: String

  init() throws {
    path = FileManager.default.temporaryDirectory.appendingPathComponent("dead-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  var names: [String] { ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted() }

  func octets(_ name: String) -> [UInt8]? { FileManager.default.contents(atPath: "\(path)/\(name)").map { Array($0) } }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

let sampleContent = Array("Subject: \r\n\0\u{FF}binary".utf8)

func letter(
  _ queueID: UInt64 = 1 << 40, to recipients: [String] = ["bob@example.net"], storedAt: Int64 = 1_795_210_220_000,
  octets: Int = sampleContent.count
) -> DeadLetter {
  DeadLetter(
    queueID: QueueID(rawValue: queueID), acceptedAt: WallTime(millisecondsSinceEpoch: 1_795_210_000_000),
    storedAt: WallTime(millisecondsSinceEpoch: storedAt), stage: "imc_out",
    envelope: Envelope(reversePath: .smtp("alice@example.org"), recipients: []),
    entries: recipients.map {
      DeadLetter.Entry(Recipient(.smtp($0)), DeliveryStatus(.badDestinationMailbox, "no such mailbox"))
    },
    history: [DeadLetter.Event(at: WallTime(millisecondsSinceEpoch: 1_795_210_000_000), "accepted by imc_in")],
    contentOctets: UInt64(octets))
}

extension DeadLetterStore {
  /// Stores the content in pieces of three octets.
  func store(_ letter: DeadLetter, octets: [UInt8] = sampleContent) throws(DeadLetterError) -> LetterID {
    try store(letter) { write throws(DeadLetterError) in
      var rest = octets[...]
      while !rest.isEmpty {
        let piece = Array(rest.prefix(3))
        rest = rest.dropFirst(3)
        var failure: DeadLetterError?
        piece.withUnsafeBytes { buffer in
          do throws(DeadLetterError) { try write(buffer) } catch { failure = error }
        }
        if let failure { throw failure }
      }
    }
  }

  func content(of id: LetterID) throws -> [UInt8] {
    var octets: [UInt8] = []
    try forEachPiece(of: id) { piece throws(DeadLetterError) in
      octets.append(contentsOf: piece)
      return true
    }
    return octets
  }
}

/// The kernel until call number `failing`; that one and, after a crash, every later one fails.
final class FaultingFileCalls: FileCalls {
  private let real = SystemFileCalls()
  private let failing: Int
  private let crashes: Bool
  /// The calls made so far, in order.
  private(set) var made: [String] = []
  var count: Int { made.count }
  private let errno: Int32

  init(failing: Int, crashes: Bool, errno: Int32 = 28) {
    self.failing = failing
    self.crashes = crashes
    self.errno = errno
  }

  private func step(_ name: String) throws(SystemError) {
    made.append(name)
    if count == failing || (crashes && count > failing) { throw SystemError(name, errno: errno) }
  }

  var user: UInt32 { real.user }
  func openDirectory(_ path: String) throws(SystemError) -> Int32 { try real.openDirectory(path) }
  func openDirectory(_ name: String, in directory: Int32) throws(SystemError) -> Int32 {
    try step("openat")
    return try real.openDirectory(name, in: directory)
  }
  func open(_ name: String, in directory: Int32, _ purpose: FilePurpose) throws(SystemError) -> Int32 {
    try step("openat")
    return try real.open(name, in: directory, purpose)
  }
  func close(_ descriptor: Int32) { real.close(descriptor) }
  func read(_ descriptor: Int32, into: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(SystemError) -> Int {
    try step("pread")
    return try real.read(descriptor, into: into, at: offset)
  }
  func write(_ descriptor: Int32, _ octets: UnsafeRawBufferPointer, at offset: UInt64) throws(SystemError) -> Int {
    try step("pwrite")
    return try real.write(descriptor, octets, at: offset)
  }
  func syncData(_ descriptor: Int32) throws(SystemError) {
    try step("fdatasync")
    try real.syncData(descriptor)
  }
  func syncDirectory(_ descriptor: Int32) throws(SystemError) {
    try step("fsync")
    try real.syncDirectory(descriptor)
  }
  func allocate(_ descriptor: Int32, count: UInt64) throws(SystemError) { try real.allocate(descriptor, count: count) }
  func truncate(_ descriptor: Int32, to count: UInt64) throws(SystemError) { try real.truncate(descriptor, to: count) }
  func rename(_ name: String, to newName: String, in directory: Int32) throws(SystemError) {
    try step("renameat")
    try real.rename(name, to: newName, in: directory)
  }
  func unlink(_ name: String, in directory: Int32) throws(SystemError) {
    try step("unlinkat")
    try real.unlink(name, in: directory)
  }
  func makeDirectory(_ name: String, in directory: Int32) throws(SystemError) {
    try step("mkdirat")
    try real.makeDirectory(name, in: directory)
  }
  func names(in directory: Int32) throws(SystemError) -> [String] {
    try step("readdir")
    return try real.names(in: directory)
  }
  func status(_ descriptor: Int32) throws(SystemError) -> FileStatus {
    try step("fstat")
    return try real.status(descriptor)
  }
  func room(_ descriptor: Int32) throws(SystemError) -> FileSystemRoom { try real.room(descriptor) }
  func lock(_ descriptor: Int32) throws(SystemError) -> Bool {
    try step("flock")
    return try real.lock(descriptor)
  }
}

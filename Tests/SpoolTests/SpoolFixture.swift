import MailModel
import Platform
import Spool
import SpoolTesting
import Testing

/// What a test needs around a spool: small segments, messages by number, and what a recovery hands over.

/// A message as recovery gave it.
struct Recovered: Equatable {
  var message: StoredMessage
  var states: [RecipientState]
  var extents: [ContentExtent]
}

/// An engine with the ground it stands on, so that the same suite runs over each engine.
protocol SpoolFixture: AnyObject {
  /// A new engine on what the last one left, not yet recovered.
  func open() throws -> any SpoolEngine
  /// Ends the engine's process without a close.
  func kill(_ engine: any SpoolEngine)
  /// The octets in extents, as a reader with ``SpoolEngine/descriptor(ofSegment:)`` sees them.
  func octets(_ extents: [ContentExtent], of engine: any SpoolEngine) throws -> [UInt8]
}

final class LogFixture: SpoolFixture {
  let disk: SimulatedDisk
  var settings: SpoolSettings
  var random = SeededRandom(seed: 77)

  init(capacity: UInt64 = 64 << 20, settings: SpoolSettings = .small) {
    disk = SimulatedDisk(capacity: capacity)
    disk.addDirectory("spool")
    self.settings = settings
  }

  init(_ disk: SimulatedDisk, settings: SpoolSettings = .small) {
    self.disk = disk
    self.settings = settings
  }

  func openLog() throws -> LogSpool {
    try LogSpool(path: "/spool", settings: settings, files: disk, random: SeededRandom(seed: random.next()))
  }

  func open() throws -> any SpoolEngine { try openLog() }

  func kill(_ engine: any SpoolEngine) { disk.endProcess() }

  func octets(_ extents: [ContentExtent], of engine: any SpoolEngine) throws -> [UInt8] {
    var octets: [UInt8] = []
    for extent in extents {
      let descriptor = try #require(engine.descriptor(ofSegment: extent.segment))
      octets += try disk.readAll(descriptor, count: Int(extent.count), at: extent.offset)
    }
    return octets
  }
}

extension SpoolSettings {
  /// Segments of 32 KiB, so that a short test rolls, frees and copies.
  static var small: SpoolSettings {
    var settings = SpoolSettings()
    settings.segmentOctets = 32 << 10
    settings.bufferOctets = 8 << 10
    settings.pieceOctetsMax = 4 << 10
    settings.reserve = .octets(0)
    settings.snapshotEveryOctets = 64 << 10
    settings.tidyOctetsMax = 16 << 10
    return settings
  }

  /// Segments of 20 KiB that are copied forward and snapshots that are written at the first opportunity.
  static var smallest: SpoolSettings {
    var settings = SpoolSettings.small
    settings.segmentOctets = 20 << 10
    settings.snapshotEveryOctets = 24 << 10
    settings.tidyOctetsMax = 6 << 10
    settings.copyForwardSegmentsMin = 1
    settings.copyForwardLivePercent = 50
    return settings
  }
}

func id(_ number: Int) -> QueueID { QueueID(rawValue: UInt64(number)) }

func stored(_ number: Int, recipients: Int = 1, contentOctets: Int) -> StoredMessage {
  StoredMessage(
    id: id(number), acceptedAt: WallTime(millisecondsSinceEpoch: Int64(number)), origin: "in",
    envelope: Envelope(
      reversePath: .smtp("from@example.com"),
      recipients: (0..<recipients).map { Recipient(.smtp("to\($0)@example.net")) }),
    contentOctets: UInt64(contentOctets))
}

/// Content that can be told from any other message's.
func content(_ number: Int, octets: Int) -> [UInt8] {
  var random = SeededRandom(seed: UInt64(number))
  var content: [UInt8] = []
  content.reserveCapacity(octets + 8)
  while content.count < octets {
    withUnsafeBytes(of: random.next()) { content.append(contentsOf: $0) }
  }
  content.removeLast(content.count - octets)
  return content
}

let done = RecipientState.settled(.delivered, DeliveryStatus(.success, "ok"))

extension SpoolEngine {
  func write(_ octets: [UInt8], to content: ContentID, piece: Int = 1000) throws {
    var start = 0
    while start < octets.count {
      let end = min(start + piece, octets.count)
      try Array(octets[start..<end]).withUnsafeBytes { try append($0, to: content) }
      start = end
    }
  }

  func accept(_ number: Int, recipients: Int = 1, octets: Int = 100, stage: String = "route") throws {
    let identifier = beginContent()
    do {
      try write(madeContent(number, octets), to: identifier)
      try append([
        .accept(stored(number, recipients: recipients, contentOctets: octets), content: identifier, stage: stage)
      ])
    } catch {
      abandon(identifier)
      throw error
    }
  }

  func end(_ number: Int, _ recipients: [Int] = [0]) throws { try append([.recipients(id(number), recipients, done)]) }

  func recovered() throws -> [Recovered] {
    var all: [Recovered] = []
    try recover { all.append(Recovered(message: $0, states: $1, extents: $2)) }
    return all
  }
}

private func madeContent(_ number: Int, _ octets: Int) -> [UInt8] { content(number, octets: octets) }

internal import MailModel
internal import Synchronization

/// A segment of the log that is on disk.
struct Segment {
  var header: SegmentHeader
  var descriptor: Int32
  /// Size of the file, in which records may be written.
  var capacity: Int
  /// Messages and unsealed contents that need octets of this segment, counted once for each accept record and extent.
  var references: Int = 0
  /// Octets of those records and extents.
  var liveOctets: Int64 = 0
  /// Segments that must be gone, durably, before this one may go: it holds a change about a message whose accept or
  /// copy record lies there.
  var dependsOn: Set<UInt32> = []
  /// Messages were copied away from here while they lived: readers may still have their old extents, so that the file
  /// is unlinked when it is free and never written again.
  var isMovedFrom = false
  /// Its header or its records are damaged: kept for the operator, never freed.
  var isDamaged = false

  var id: UInt32 { header.id }
}

/// The segments by number.
struct SegmentTable {
  private(set) var all: [UInt32: Segment] = [:]

  var ids: [UInt32] { all.keys.sorted() }
  var count: Int { all.count }

  subscript(id: UInt32) -> Segment? {
    get { all[id] }
    set { all[id] = newValue }
  }

  mutating func note(_ id: UInt32, references: Int, octets: Int64) {
    // A message may name a segment that is lost; there is nothing to count then.
    all[id]?.references += references
    all[id]?.liveOctets += octets
  }

  mutating func reference(_ extent: ContentExtent) {
    note(extent.segment, references: 1, octets: Int64(extent.count))
  }

  mutating func release(_ extent: ContentExtent) {
    note(extent.segment, references: -1, octets: -Int64(extent.count))
  }

  mutating func reference(_ message: LiveMessage) {
    note(message.place.segment, references: 1, octets: Int64(message.place.octets))
    message.extents.forEach { reference($0) }
  }

  mutating func release(_ message: LiveMessage) {
    note(message.place.segment, references: -1, octets: -Int64(message.place.octets))
    message.extents.forEach { release($0) }
  }

  /// Records that `segment` holds something about a message whose accept or copy record lies in `target`.
  mutating func depend(_ segment: UInt32, on target: UInt32) {
    if segment != target { all[segment]?.dependsOn.insert(target) }
  }
}

/// The open descriptors by segment, which any thread may ask for.
final class SegmentDescriptors: Sendable {
  private let descriptors = Mutex<[UInt32: Int32]>([:])

  subscript(segment: UInt32) -> Int32? {
    get { descriptors.withLock { $0[segment] } }
    set { descriptors.withLock { $0[segment] = newValue } }
  }

  func takeAll() -> [Int32] {
    descriptors.withLock { all in
      defer { all = [:] }
      return Array(all.values)
    }
  }
}

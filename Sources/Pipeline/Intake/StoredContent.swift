import Glibc
public import MailModel
public import Spool

/// Reads a content of the spool piece by piece, for the host's own purposes: a report's copy of the head, a child
/// message with its parent's content, an export. Stages read it mapped.
public struct StoredContent: Sendable {
  let extents: [ContentExtent]
  /// The open descriptor of a segment (``SpoolEngine/descriptor(ofSegment:)``).
  let descriptor: @Sendable (UInt32) -> Int32?

  public init(extents: [ContentExtent], descriptor: @escaping @Sendable (UInt32) -> Int32?) {
    self.extents = extents
    self.descriptor = descriptor
  }

  private static let pieceOctets = 256 * 1024

  /// Lends the content in order, in pieces of at most 256 KiB.
  ///
  /// - Throws: ``SpoolError/damaged`` when a segment is not there or shorter than it should be, or what `body` throws.
  public func forEachPiece(
    _ body: (UnsafeRawBufferPointer) throws(SpoolError) -> Void
  ) throws(SpoolError) {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.pieceOctets, alignment: 16)
    defer { buffer.deallocate() }
    for extent in extents {
      guard let file = descriptor(extent.segment) else { throw .damaged("segment \(extent.segment) is not there") }
      var done = 0
      while done < Int(extent.count) {
        let wanted = min(Int(extent.count) - done, Self.pieceOctets)
        let got = pread(file, buffer.baseAddress, wanted, off_t(extent.offset) + off_t(done))
        if got < 0 && errno == EINTR { continue }
        guard got >= 0 else { throw .io(operation: "pread", errno: errno) }
        guard got > 0 else { throw .damaged("segment \(extent.segment) ends before offset \(extent.offset)") }
        try body(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<got]))
        done += got
      }
    }
  }

  /// The first octets, at most `count` of them.
  public func head(_ count: Int) throws(SpoolError) -> [UInt8] {
    var left = UInt32(clamping: count)
    var taken: [ContentExtent] = []
    for extent in extents where left > 0 {
      var part = extent
      part.count = min(part.count, left)
      left -= part.count
      taken.append(part)
    }
    var octets: [UInt8] = []
    try StoredContent(extents: taken, descriptor: descriptor).forEachPiece { (piece) throws(SpoolError) in
      octets.append(contentsOf: piece)
    }
    return octets
  }
}

/// The one thing about a spool engine that any thread may ask.
struct SegmentDescriptorSource: @unchecked Sendable {
  // SAFETY: `SpoolEngine.descriptor(ofSegment:)` is for any thread, and nothing else is called.
  private let engine: any SpoolEngine

  init(_ engine: any SpoolEngine) { self.engine = engine }

  subscript(segment: UInt32) -> Int32? { engine.descriptor(ofSegment: segment) }
}

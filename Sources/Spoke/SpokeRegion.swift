public import Platform
import Ring

/// The memory that host and stage share, and where in it things are:
///
///     ring down (host → stage) │ ring up (stage → host) │ arena: chunks in which the stage writes content
///
/// The numbers are constants of the build: both sides come from the same executable, or from one that refuses another's
/// level, and neither believes numbers that it finds in the memory.
public final class SpokeRegion: @unchecked Sendable {
  // SAFETY: Sendable, because the mapping does not move and who may touch what is the business of the rings' cursors and
  // of the chunks' owners (``ChunkPool``).
  let region: SharedRegion
  public let chunkCount: Int

  public static let ringCapacity = 4096
  public static let chunkOctets = 16 * 1024
  /// Chunks of a stage that writes content: 16 MiB.
  public static let chunksForWriters = 1024
  /// Chunks of a sink, which hardly ever does.
  public static let chunksForSinks = 16

  private static let ringOctets = (RingMemory.octets(capacity: ringCapacity) + 4095) / 4096 * 4096

  /// Makes the region with empty rings. Host side.
  ///
  /// - Throws: ``SystemError`` when the memory is not to be had.
  public init(creatingWithChunks chunkCount: Int, name: String) throws(SystemError) {
    self.chunkCount = chunkCount
    region = try SharedRegion(creating: 2 * Self.ringOctets + chunkCount * Self.chunkOctets, name: name)
    RingMemory.initialize(ring(0), capacity: Self.ringCapacity)
    RingMemory.initialize(ring(1), capacity: Self.ringCapacity)
  }

  /// Maps a region that the host made. Stage side.
  public init(attaching file: consuming FileDescriptor, chunkCount: Int) throws(SystemError) {
    self.chunkCount = chunkCount
    region = try SharedRegion(attaching: file, octetsMin: 2 * Self.ringOctets + chunkCount * Self.chunkOctets)
  }

  /// For handing to the worker.
  public func duplicateFile() throws(SystemError) -> FileDescriptor { try region.file.duplicate() }

  private func ring(_ index: Int) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: region.base + index * Self.ringOctets, count: Self.ringOctets)
  }

  var down: UnsafeMutableRawBufferPointer { ring(0) }
  var up: UnsafeMutableRawBufferPointer { ring(1) }

  /// The octets of a chunk; nil when there is no such chunk. Valid as long as this object.
  public func chunk(_ index: UInt32) -> UnsafeMutableRawBufferPointer? {
    guard Int(index) < chunkCount else { return nil }
    return UnsafeMutableRawBufferPointer(
      start: region.base + 2 * Self.ringOctets + Int(index) * Self.chunkOctets, count: Self.chunkOctets)
  }
}

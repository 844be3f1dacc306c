internal import Glibc
internal import MailModel
public import Platform
internal import Synchronization

/// The spool's segments as one stage instance sees them: mapped read-only and whole when a job first reads from them.
///
/// A mapping lives as long as a job holds it, or as it is among the ``RunnerLimits/segmentsMapped`` last used, or until
/// the host says that the segment is gone. Thread: any.
public final class SegmentMap: Sendable {
  /// Asked for a descriptor of a segment, for the asker to keep. Nil when there is no such segment.
  public typealias Source = @Sendable (UInt32) -> FileDescriptor?

  private let source: Source
  private let state = Mutex(State())

  private struct State {
    var mapped: [UInt32: (mapping: Mapping, lastUse: UInt64)] = [:]
    var uses: UInt64 = 0
  }

  public init(source: @escaping Source) { self.source = source }

  /// One segment in memory.
  final class Mapping: @unchecked Sendable {
    // SAFETY: the memory is only read, and unmapped when nobody holds the object.
    let octets: UnsafeRawBufferPointer

    /// Nil when the file is empty or cannot be mapped.
    fileprivate init?(_ descriptor: Int32) {
      var status = stat()
      guard fstat(descriptor, &status) == 0, status.st_size > 0 else { return nil }
      let base = mmap(nil, Int(status.st_size), PROT_READ, MAP_SHARED, descriptor, 0)
      guard let base, base != MAP_FAILED else { return nil }
      octets = UnsafeRawBufferPointer(start: base, count: Int(status.st_size))
    }

    /// Takes pages well behind `offset` out of this process's memory. Whoever looks at them again gets them from the
    /// page cache: what was lent stays valid.
    func leave(before offset: Int) {
      let piece = Int(RunnerLimits.pieceOctets)
      let end = (offset - piece) / piece * piece
      guard end > 0, end <= octets.count, let base = octets.baseAddress else { return }
      let start = max(0, end - 2 * piece)
      madvise(UnsafeMutableRawPointer(mutating: base + start), end - start, MADV_DONTNEED)
    }

    deinit { munmap(UnsafeMutableRawPointer(mutating: octets.baseAddress), octets.count) }
  }

  /// A segment of at least `octets` octets. Nil when the host does not give it, or it is shorter.
  func mapping(of segment: UInt32, octets: UInt64) -> Mapping? {
    let known = state.withLock { state -> Mapping? in
      state.uses += 1
      guard let known = state.mapped[segment], UInt64(known.mapping.octets.count) >= octets else { return nil }
      state.mapped[segment]?.lastUse = state.uses
      return known.mapping
    }
    if let known { return known }
    // Outside the lock: the source may have to wait for the host.
    guard let file = source(segment), let mapping = Mapping(file.rawValue),
      UInt64(mapping.octets.count) >= octets
    else { return nil }
    state.withLock { state in
      state.mapped[segment] = (mapping, state.uses)
      if state.mapped.count > RunnerLimits.segmentsMapped,
        let oldest = state.mapped.min(by: { $0.value.lastUse < $1.value.lastUse })
      {
        state.mapped[oldest.key] = nil
      }
    }
    return mapping
  }

  /// The host has freed the segment.
  public func forget(_ segment: UInt32) { state.withLock { $0.mapped[segment] = nil } }

  var mappedCount: Int { state.withLock { $0.mapped.count } }
}

/// Where the octets of one content lie, for finding them by their offset.
struct ContentMap: Sendable {
  private struct Run: Sendable {
    /// Offset in the content.
    let start: UInt64
    let segment: UInt32
    /// Offset in the segment.
    var offset: UInt64
    var count: UInt64
  }

  private var runs: [Run] = []
  let octets: UInt64

  /// Neighbours in one segment become one run. Nil when the extents are not `octets` long together.
  init?(_ extents: [ContentExtent], octets: UInt64) {
    var total: UInt64 = 0
    for extent in extents where extent.count > 0 {
      let (end, isPast) = extent.offset.addingReportingOverflow(UInt64(extent.count))
      guard !isPast, end <= UInt64(Int64.max) else { return nil }
      if let last = runs.last, last.segment == extent.segment, last.offset + last.count == extent.offset {
        runs[runs.count - 1].count += UInt64(extent.count)
      } else {
        runs.append(Run(start: total, segment: extent.segment, offset: extent.offset, count: UInt64(extent.count)))
      }
      let (sum, isOver) = total.addingReportingOverflow(UInt64(extent.count))
      guard !isOver else { return nil }
      total = sum
    }
    guard total == octets else { return nil }
    self.octets = octets
  }

  /// The run that holds the octet at `position`: its segment, where in the segment that octet is, and how many follow
  /// with it. Nil at the end and beyond.
  func run(at position: UInt64) -> (segment: UInt32, offset: UInt64, count: UInt64)? {
    guard position < octets else { return nil }
    var low = 0
    var high = runs.count
    while high - low > 1 {
      let middle = (low + high) / 2
      if runs[middle].start <= position { low = middle } else { high = middle }
    }
    let run = runs[low]
    let skipped = position - run.start
    return (run.segment, run.offset + skipped, run.count - skipped)
  }
}

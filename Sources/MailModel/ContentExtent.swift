/// Where a run of content octets lies: in which segment of the spool, from which octet, how many.
/// A content is a list of these in order; readers map the segments and copy nothing.
public struct ContentExtent: Hashable, Sendable {
  public var segment: UInt32
  public var offset: UInt64
  public var count: UInt32

  public init(segment: UInt32, offset: UInt64, count: UInt32) {
    self.segment = segment
    self.offset = offset
    self.count = count
  }
}

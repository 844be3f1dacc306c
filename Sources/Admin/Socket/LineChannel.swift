internal import JSONText
internal import MailModel
internal import Platform

/// Lines and counted octets over a stream, each with a deadline. Thread: one at a time.
final class LineChannel {
  enum Trouble: Error, Equatable {
    case ended
    case timedOut
    case tooLong
  }

  let stream: UnixStream
  private var buffer: [UInt8] = []
  private var start = 0
  private var piece = [UInt8](repeating: 0, count: 64 * 1024)

  init(_ stream: UnixStream) { self.stream = stream }

  /// The next line without its end.
  ///
  /// - Parameters:
  ///   - idleSeconds: How long the first octet may take.
  ///   - lineSeconds: How long the rest may take after it.
  func readLine(octetsMax: Int, idleSeconds: Double, lineSeconds: Double) throws(Trouble) -> [UInt8] {
    var searched = start
    var deadline = MonotonicTime.now().advanced(bySeconds: start < buffer.count ? lineSeconds : idleSeconds)
    while true {
      if let end = buffer[searched...].firstIndex(of: 0x0A) {
        guard end - start <= octetsMax else { throw .tooLong }
        defer { start = end + 1 }
        return Array(buffer[start..<end])
      }
      guard buffer.count - start <= octetsMax else { throw .tooLong }
      searched = buffer.count
      let wasEmpty = start == buffer.count
      searched -= try fill(until: deadline)
      if wasEmpty { deadline = MonotonicTime.now().advanced(bySeconds: lineSeconds) }
    }
  }

  /// Exactly so many octets. Memory grows with what arrives, not with what was announced.
  func readOctets(_ count: Int, seconds: Double) throws(Trouble) -> [UInt8] {
    let deadline = MonotonicTime.now().advanced(bySeconds: seconds)
    while buffer.count - start < count { _ = try fill(until: deadline) }
    defer { start += count }
    return Array(buffer[start..<(start + count)])
  }

  /// Reads some more; returns by how much what was there has moved to the front.
  private func fill(until deadline: MonotonicTime) throws(Trouble) -> Int {
    let moved = start
    buffer.removeFirst(start)
    start = 0
    let transfer = piece.withUnsafeMutableBytes { stream.read(into: $0, until: deadline) }
    switch transfer {
    case .octets(let count): buffer += piece[..<count]
    case .end: throw .ended
    case .timedOut: throw .timedOut
    }
    return moved
  }

  func write(_ value: JSONValue, seconds: Double) throws(Trouble) {
    var text = value.text
    text += "\n"
    try write(Array(text.utf8), seconds: seconds)
  }

  func write(_ octets: [UInt8], seconds: Double) throws(Trouble) {
    let deadline = MonotonicTime.now().advanced(bySeconds: seconds)
    switch octets.withUnsafeBytes({ stream.write($0, until: deadline) }) {
    case .octets: return
    case .end: throw .ended
    case .timedOut: throw .timedOut
    }
  }
}

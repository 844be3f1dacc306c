/// The header of a message, cut into fields. RFC 5322 §2.2.
///
/// Lenient, since content comes from anyone: a line may end in LF alone; white space may stand before the colon (§4.5);
/// the first line that is neither field nor continuation ends the header and begins the body, as most readers have it.
/// One pass, no recursion; memory is one range a field, at most `fieldsMax`.
public struct HeaderSection: Sendable {
  public struct Field: Sendable {
    /// As written.
    public let name: String
    /// What follows the colon, line ends and folds included, without the last line end.
    public let rawValue: ArraySlice<UInt8>

    /// Without regard to case.
    public func isNamed(_ name: String) -> Bool {
      self.name.utf8.count == name.utf8.count
        && self.name.utf8.elementsEqual(name.utf8) { Self.lower($0) == Self.lower($1) }
    }

    /// Unfolded, neutralised, without white space around it; octets that are not UTF-8 are shown as U+FFFD.
    public var text: String {
      var octets = rawValue.filter { $0 != 0x0D && $0 != 0x0A }[...]
      octets = octets.drop { $0 == 0x20 || $0 == 0x09 }
      while let last = octets.last, last == 0x20 || last == 0x09 { octets.removeLast() }
      return HeaderText.neutralised(String(decoding: octets, as: UTF8.self), allowUTF8: true, octetsMax: 65_536)
    }

    private static func lower(_ octet: UInt8) -> UInt8 { (0x41...0x5A).contains(octet) ? octet | 0x20 : octet }
  }

  public private(set) var fields: [Field] = []
  /// Where the body begins, after the empty line; nil when the octets end before it.
  public private(set) var bodyIndex: Int?
  /// Fields beyond `fieldsMax` were passed over.
  public private(set) var isTruncated = false

  /// - Parameter content: The beginning of a content, with as much of the header as is wanted.
  public init(_ content: ArraySlice<UInt8>, fieldsMax: Int = 10_000) {
    var lineStart = content.startIndex
    var openName: String?
    var valueStart = content.startIndex
    var valueEnd = content.startIndex

    func close(_ section: inout HeaderSection) {
      guard let name = openName else { return }
      if section.fields.count < fieldsMax {
        section.fields.append(Field(name: name, rawValue: content[valueStart..<valueEnd]))
      } else {
        section.isTruncated = true
      }
      openName = nil
    }

    while lineStart < content.endIndex {
      let feed = content[lineStart...].firstIndex(of: 0x0A)
      var lineEnd = feed ?? content.endIndex
      if feed != nil, lineEnd > lineStart, content[lineEnd - 1] == 0x0D { lineEnd -= 1 }
      let next = feed.map { $0 + 1 } ?? content.endIndex
      if lineEnd == lineStart, feed != nil {
        close(&self)
        bodyIndex = next
        return
      }
      if lineEnd > lineStart, content[lineStart] == 0x20 || content[lineStart] == 0x09, openName != nil {
        valueEnd = lineEnd
      } else if let (name, value) = Self.field(content[lineStart..<lineEnd]) {
        close(&self)
        openName = name
        valueStart = value
        valueEnd = lineEnd
      } else {
        close(&self)
        bodyIndex = lineStart
        return
      }
      lineStart = next
    }
    close(&self)
  }

  public func first(_ name: String) -> Field? { fields.first { $0.isNamed(name) } }

  /// The name, and where the value begins.
  private static func field(_ line: ArraySlice<UInt8>) -> (String, Int)? {
    guard let colon = line.firstIndex(of: 0x3A) else { return nil }
    var name = line[line.startIndex..<colon]
    while let last = name.last, last == 0x20 || last == 0x09 { name.removeLast() }
    guard !name.isEmpty, name.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { return nil }
    return (String(decoding: name, as: UTF8.self), colon + 1)
  }
}

/// Gathers the header section from content that comes in pieces, up to a bound.
public struct HeaderCollector: Sendable {
  public private(set) var octets: [UInt8] = []
  /// The header's empty line was seen, or the bound was reached: no more is needed.
  public private(set) var isDone = false
  /// It was the bound.
  public private(set) var isTruncated = false
  private let octetsMax: Int
  private var lineOctets = 0

  public init(octetsMax: Int = 102_400) { self.octetsMax = octetsMax }

  public mutating func take(_ piece: ArraySlice<UInt8>) {
    guard !isDone else { return }
    for (count, octet) in piece.enumerated() {
      if octets.count + count >= octetsMax {
        isTruncated = true
        finish(piece.prefix(count))
        return
      }
      if octet == 0x0A {
        if lineOctets == 0 {
          finish(piece.prefix(count + 1))
          return
        }
        lineOctets = 0
      } else if octet != 0x0D {
        lineOctets += 1
      }
    }
    octets.append(contentsOf: piece)
  }

  private mutating func finish(_ piece: ArraySlice<UInt8>) {
    octets.append(contentsOf: piece)
    isDone = true
  }
}

public import MailModel

/// How settings travel from the host to a worker process, with the place of every node, so that a complaint of the
/// stage can name file, line and column. The worker trusts what it reads no more than the host does: depth and sizes
/// are bounded.
///
/// A value is its kind, its flags (1 secret, 2 default), its mark and its content. The file name is written once, at
/// the head of a subtree; a mark is then line and column, and `FFFFFFFF` a place in no file.
extension ConfigValue {
  /// The subtree as octets.
  public func encoded() -> [UInt8] {
    var writer = WireWriter()
    var files = FileTable()
    var body = WireWriter()
    body.write(self, &files)
    writer.writeList(files.names) { $0.write($1) }
    writer.write(body.octets)
    return writer.octets
  }

  /// Reads what ``encoded()`` wrote; anything left over is an error.
  public init(encoded octets: [UInt8]) throws(WireCodingError) {
    guard octets.count <= ConfigLimits.shippedOctetsMax else { throw .invalid("configuration size") }
    var reader = WireReader(octets)
    let files = try reader.readList(max: FileTable.filesMax) { reader throws(WireCodingError) in
      try reader.readString(max: 4096)
    }
    var body = WireReader(try reader.readOctets(max: ConfigLimits.shippedOctetsMax))
    try reader.finish()
    self = try body.readConfigValue(files, depth: 0)
    try body.finish()
  }
}

/// The files that marks of one subtree name, by number.
struct FileTable {
  static let filesMax = 16
  private(set) var names: [String] = []

  mutating func index(of name: String) -> UInt8 {
    if let index = names.firstIndex(of: name) { return UInt8(truncatingIfNeeded: index) }
    guard names.count < Self.filesMax else { return UInt8.max }
    names.append(name)
    return UInt8(truncatingIfNeeded: names.count - 1)
  }
}

private let depthMax = ConfigLimits.depthMax + 8

extension WireWriter {
  fileprivate mutating func write(_ mark: ConfigMark, _ files: inout FileTable) {
    write(files.index(of: mark.file))
    write(UInt32(clamping: mark.line))
    write(UInt32(clamping: mark.column))
  }

  fileprivate mutating func write(_ value: ConfigValue, _ files: inout FileTable) {
    write(UInt8((value.isSecret ? 1 : 0) | (value.isDefault ? 2 : 0)))
    write(value.mark, &files)
    switch value.content {
    case .string(let text): writeText(1, text)
    case .integer(let number): writeNumber(2, number)
    case .boolean(let flag):
      write(UInt8(3))
      write(flag)
    case .size(let octets): writeNumber(4, octets)
    case .duration(let nanoseconds): writeNumber(5, nanoseconds)
    case .percent(let percent):
      write(UInt8(6))
      write(percent.bitPattern)
    case .choice(let text): writeText(7, text)
    case .endpoint(let endpoint):
      writeText(8, endpoint.host)
      write(endpoint.port)
    case .path(let text): writeText(9, text)
    case .list(let elements):
      write(UInt8(10))
      write(UInt32(clamping: elements.count))
      for element in elements { write(element, &files) }
    case .mapping(let entries):
      write(UInt8(11))
      write(UInt32(clamping: entries.count))
      for entry in entries {
        write(entry.key)
        write(entry.keyMark, &files)
        write(entry.value, &files)
      }
    case .node(let node):
      write(UInt8(12))
      write(node, &files)
    }
  }

  private mutating func writeText(_ kind: UInt8, _ text: String) {
    write(kind)
    write(text)
  }

  private mutating func writeNumber(_ kind: UInt8, _ number: Int64) {
    write(kind)
    write(number)
  }

  private mutating func write(_ node: ConfigNode, _ files: inout FileTable) {
    write(node.mark, &files)
    switch node.content {
    case .scalar(let scalar):
      write(UInt8(1))
      write(UInt8(scalar.style.rawValue | (scalar.isSubstituted ? 2 : 0) | (scalar.isSecret ? 4 : 0)))
      write(scalar.text)
    case .sequence(let nodes):
      write(UInt8(2))
      write(UInt32(clamping: nodes.count))
      for node in nodes { write(node, &files) }
    case .mapping(let entries):
      write(UInt8(3))
      write(UInt32(clamping: entries.count))
      for entry in entries {
        write(entry.key)
        write(entry.keyMark, &files)
        write(entry.value, &files)
      }
    }
  }
}

extension WireReader {
  fileprivate mutating func readMark(_ files: [String]) throws(WireCodingError) -> ConfigMark {
    let index = Int(try read(UInt8.self))
    guard index < files.count || index == 0xFF else { throw .invalid("file number") }
    let file = index < files.count ? files[index] : ""
    return ConfigMark(file: file, line: Int(try read(UInt32.self)), column: Int(try read(UInt32.self)))
  }

  fileprivate mutating func readConfigValue(_ files: [String], depth: Int) throws(WireCodingError) -> ConfigValue {
    guard depth < depthMax else { throw .invalid("depth") }
    let flags = try read(UInt8.self)
    guard flags <= 3 else { throw .invalid("value flags") }
    let mark = try readMark(files)
    let content = try readValueContent(files, depth: depth)
    return ConfigValue(content, at: mark, isSecret: flags & 1 != 0, isDefault: flags & 2 != 0)
  }

  private mutating func readValueContent(
    _ files: [String], depth: Int
  ) throws(WireCodingError) -> ConfigValue.Content {
    switch try read(UInt8.self) {
    case 1: return .string(try readString())
    case 2: return .integer(try read(Int64.self))
    case 3: return .boolean(try readBool())
    case 4: return .size(octets: try read(Int64.self))
    case 5: return .duration(nanoseconds: try read(Int64.self))
    case 6: return .percent(Double(bitPattern: try read(UInt64.self)))
    case 7: return .choice(try readString())
    case 8: return .endpoint(Endpoint(host: try readString(), port: try read(UInt16.self)))
    case 9: return .path(try readString())
    case 10:
      return .list(
        try readList(max: ConfigLimits.nodesMax) { reader throws(WireCodingError) in
          try reader.readConfigValue(files, depth: depth + 1)
        })
    case 11:
      return .mapping(
        try readList(max: ConfigLimits.nodesMax) { reader throws(WireCodingError) in
          ConfigValue.Entry(
            key: try reader.readString(), keyMark: try reader.readMark(files),
            value: try reader.readConfigValue(files, depth: depth + 1))
        })
    case 12: return .node(try readConfigNode(files, depth: depth + 1))
    default: throw .invalid("value kind")
    }
  }

  private mutating func readConfigNode(_ files: [String], depth: Int) throws(WireCodingError) -> ConfigNode {
    guard depth < 2 * depthMax else { throw .invalid("depth") }
    let mark = try readMark(files)
    switch try read(UInt8.self) {
    case 1:
      let flags = try read(UInt8.self)
      guard flags <= 7, let style = ConfigScalar.Style(rawValue: flags & 1) else { throw .invalid("scalar flags") }
      let scalar = ConfigScalar(
        try readString(), style: style, isSubstituted: flags & 2 != 0, isSecret: flags & 4 != 0)
      return ConfigNode(.scalar(scalar), at: mark)
    case 2:
      let nodes = try readList(max: ConfigLimits.nodesMax) { reader throws(WireCodingError) in
        try reader.readConfigNode(files, depth: depth + 1)
      }
      return ConfigNode(.sequence(nodes), at: mark)
    case 3:
      let entries = try readList(max: ConfigLimits.nodesMax) { reader throws(WireCodingError) in
        ConfigEntry(
          key: try reader.readString(), keyMark: try reader.readMark(files),
          value: try reader.readConfigNode(files, depth: depth + 1))
      }
      return ConfigNode(.mapping(entries), at: mark)
    default: throw .invalid("node kind")
    }
  }
}

internal import Glibc
internal import Platform

/// The fixed part of an ELF file (System V gABI, chapters 4 and 5), read with pread(2) from an open file.
///
/// Nothing is believed: every offset and length is checked against the size of the file before it is used.
struct ELFHeader {
  let octets: UInt64
  private let programHeaders: Table
  private let sectionHeaders: Table

  /// `count` entries of `stride` octets from `offset` on.
  private struct Table {
    var offset: UInt64
    var stride: UInt64
    var count: UInt64

    var end: UInt64 { offset &+ stride * count }
  }

  #if arch(x86_64)
    static let hostMachine: UInt16 = 62
  #elseif arch(arm64)
    static let hostMachine: UInt16 = 183
  #else
    #error("add the e_machine of this architecture")
  #endif

  /// e_machine values of the gABI that an operator may meet.
  static func machineName(_ machine: UInt16) -> String {
    switch machine {
    case 3: "i386"
    case 8: "MIPS"
    case 20: "PowerPC"
    case 21: "PowerPC64"
    case 22: "S/390"
    case 40: "ARM"
    case 62: "x86-64"
    case 183: "AArch64"
    case 243: "RISC-V"
    default: "machine \(machine)"
    }
  }

  static func typeName(_ type: UInt16) -> String {
    switch type {
    case 1: "an object file (link it with -shared)"
    case 2: "an executable"
    case 4: "a core dump"
    default: "an ELF file of type \(type)"
    }
  }

  /// Reads and checks the header of a 64-bit little-endian shared object for this machine, all of whose tables, segments
  /// and sections lie within the file.
  init(_ file: Int32, octets: UInt64) throws(ModuleRefusal) {
    self.octets = octets
    guard octets > 0 else { throw .empty }
    let header = try ELFOctets(file, offset: 0, count: min(octets, 64))
    guard header.count >= 4, header.u32(0) == 0x464C_457F else { throw .notELF }
    guard header.count >= 20 else { throw .truncated(octets: octets, wanted: 64) }
    guard header.u8(4) == 2 else { throw .wrongClass }
    guard header.u8(5) == 1 else { throw .wrongByteOrder }
    guard header.u16(18) == Self.hostMachine else { throw .wrongMachine(header.u16(18)) }
    guard header.u16(16) == 3 else { throw .notSharedObject(type: header.u16(16)) }
    guard header.count == 64 else { throw .truncated(octets: octets, wanted: 64) }
    let programs = Table(offset: header.u64(32), stride: UInt64(header.u16(54)), count: UInt64(header.u16(56)))
    let sections = Table(offset: header.u64(40), stride: UInt64(header.u16(58)), count: UInt64(header.u16(60)))
    programHeaders = programs
    sectionHeaders = sections
    guard programs.count > 0, programs.stride >= 56, sections.count == 0 || sections.stride >= 64 else {
      throw .malformed(.layout, "its ELF header has no usable program headers")
    }
    for table in [programs, sections] where table.count > 0 {
      try Self.require(table.offset, table.stride * table.count, within: octets)
    }
    let segments = try ELFOctets(file, offset: programs.offset, count: programs.stride * programs.count)
    for index in 0..<Int(programs.count) {
      let base = index * Int(programs.stride)
      try Self.require(segments.u64(base + 8), segments.u64(base + 32), within: octets)
    }
  }

  private static func require(_ offset: UInt64, _ count: UInt64, within octets: UInt64) throws(ModuleRefusal) {
    let (end, overflow) = offset.addingReportingOverflow(count)
    guard !overflow, end <= octets else { throw .truncated(octets: octets, wanted: overflow ? .max : end) }
  }

  /// The names of the symbols that the library exports: defined, global or weak, default or protected visibility. Nil
  /// when the file has no section headers to find them by.
  ///
  /// - Throws: ``ModuleRefusal/malformed(_:)`` when the tables contradict each other or are larger than 64 MiB.
  func exportedSymbols(_ file: Int32) throws(ModuleRefusal) -> [String]? {
    guard sectionHeaders.count > 0 else { return nil }
    let sections = try ELFOctets(
      file, offset: sectionHeaders.offset, count: sectionHeaders.stride * sectionHeaders.count)
    let stride = Int(sectionHeaders.stride)
    let dynamicSymbols: UInt32 = 11  // SHT_DYNSYM
    guard let index = (0..<Int(sectionHeaders.count)).first(where: { sections.u32($0 * stride + 4) == dynamicSymbols })
    else { return [] }
    let symbols = try contents(file, sections, at: index * stride)
    let link = Int(sections.u32(index * stride + 40))
    guard link < Int(sectionHeaders.count) else { throw .malformed(.layout, "its symbol table has no names") }
    let names = try contents(file, sections, at: link * stride)
    var exported: [String] = []
    for entry in 0..<symbols.count / 24 {
      let base = entry * 24
      let binding = symbols.u8(base + 4) >> 4
      let visibility = symbols.u8(base + 5) & 3
      let section = symbols.u16(base + 6)
      guard section != 0, binding == 1 || binding == 2 || binding == 10, visibility == 0 || visibility == 3 else {
        continue
      }
      exported.append(names.text(Int(symbols.u32(base))))
    }
    return exported
  }

  private func contents(_ file: Int32, _ sections: ELFOctets, at base: Int) throws(ModuleRefusal) -> ELFOctets {
    let offset = sections.u64(base + 24)
    let count = sections.u64(base + 32)
    try Self.require(offset, count, within: octets)
    return try ELFOctets(file, offset: offset, count: count)
  }
}

/// Some octets of a file, read as little-endian numbers.
private struct ELFOctets {
  private let octets: [UInt8]

  init(_ file: Int32, offset: UInt64, count: UInt64) throws(ModuleRefusal) {
    guard count <= 64 << 20, let start = off_t(exactly: offset) else {
      throw .malformed(.layout, "a table of its ELF file is too large")
    }
    var octets = [UInt8](repeating: 0, count: Int(count))
    var filled = 0
    while filled < octets.count {
      let got = octets.withUnsafeMutableBytes { buffer in
        pread(file, buffer.baseAddress.map { $0 + filled }, buffer.count - filled, start + off_t(filled))
      }
      if got < 0 {
        if errno == EINTR { continue }
        throw .system(.last("pread"))
      }
      guard got > 0 else { throw .truncated(octets: offset + UInt64(filled), wanted: offset + count) }
      filled += got
    }
    self.octets = octets
  }

  var count: Int { octets.count }
  func u8(_ offset: Int) -> UInt8 { octets[offset] }
  func u16(_ offset: Int) -> UInt16 { UInt16(octets[offset]) | UInt16(octets[offset + 1]) << 8 }
  func u32(_ offset: Int) -> UInt32 { UInt32(u16(offset)) | UInt32(u16(offset + 2)) << 16 }
  func u64(_ offset: Int) -> UInt64 { UInt64(u32(offset)) | UInt64(u32(offset + 4)) << 32 }

  /// The zero-terminated text at `offset`; empty when that is outside.
  func text(_ offset: Int) -> String {
    guard octets.indices.contains(offset) else { return "" }
    return String(decoding: octets[offset...].prefix { $0 != 0 }, as: UTF8.self)
  }
}

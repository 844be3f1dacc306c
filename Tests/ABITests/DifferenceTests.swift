import Foundation
import Testing

private let isInstalled: Bool = {
  #if arch(x86_64)
    FileManager.default.isExecutableFile(atPath: "/usr/bin/abidiff")
  #else
    false
  #endif
}()

/// abidiff(1) sees what a list of offsets does not: that a field changed its type and kept its size.
@Suite(
  "What abidiff sees", .enabled(if: isInstalled, "abigail-tools is not installed, or another architecture"))
struct DifferenceTests {
  static let snapshot = "\(Workshop.golden)/level0-x86_64.abi"
  let shop: Workshop
  init() throws { shop = try Workshop() }

  func probe(_ header: String) throws -> String {
    let source = try shop.write("probe.c", HeaderSurvey(header).probe)
    try FileManager.default.createDirectory(atPath: "\(shop.directory)/interchange", withIntermediateDirectories: true)
    _ = try shop.write("interchange/interchange.h", header)
    let library = "\(shop.directory)/probe.so"
    _ = try shop.require(
      "cc",
      [
        "-std=c11", "-g", "-gdwarf-4", "-ffile-prefix-map=\(shop.directory)=.", "-shared", "-fPIC", "-I",
        shop.directory, "-o", library, source,
      ])
    return library
  }

  /// To take a change over, see ``Workshop/updatesSnapshots``.
  @Test func `nothing that a module was built with has changed`() throws {
    let library = try probe(try String(contentsOfFile: Workshop.header, encoding: .utf8))
    if Workshop.updatesSnapshots {
      _ = try shop.require(
        "abidw",
        ["--no-corpus-path", "--no-comp-dir-path", "--no-show-locs", "--out-file", Self.snapshot, library])
    }
    let run = try shop.run("abidiff", [Self.snapshot, library])
    #expect(run.status == 0, "\(run.output)")
  }

  @Test(arguments: [
    ("uint32_t level; /* IX_LEVEL */", "int32_t level;"), ("IX_FORWARD = 1,", "IX_FORWARD = 11,"),
    (
      "bool (*cancel_timer)(const ix_host *host, uint64_t timer);",
      "bool (*cancel_timer)(const ix_host *host, int64_t timer);"
    ),
    ("ix_text version;\n", "ix_span version;\n"),
  ])
  func `a change of the same size is seen`(_ old: String, _ new: String) throws {
    let header = try String(contentsOfFile: Workshop.header, encoding: .utf8)
    try #require(header.contains(old))
    let run = try shop.run(
      "abidiff", [Self.snapshot, try probe(header.replacing(old, with: new))])
    #expect(run.status & 4 != 0, "\(run.output)")  // ABIDIFF_ABI_CHANGE
  }
}

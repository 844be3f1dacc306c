import Foundation
import Testing

@testable import StageHost

/// P-1…P-12: files that are no module, or that take their process along.
@Suite struct `Probing a module` {
  let fixture: ModuleFixture
  init() throws { fixture = try ModuleFixture() }

  func refusal(_ path: String, deadlineSeconds: Double = 10) -> ModuleRefusal? {
    switch ModuleProbe.describe(path, executable: ModuleFixture.host, deadlineSeconds: deadlineSeconds) {
    case .success: nil
    case .failure(let error):
      "\(error)".hasPrefix(path) ? error.reason : .malformed(.text, "the error does not name the file: \(error)")
    }
  }

  func refusal(defining definition: String, deadlineSeconds: Double = 10) throws -> ModuleRefusal? {
    refusal(try fixture.build("bad.so", defining: [definition]), deadlineSeconds: deadlineSeconds)
  }

  @Test func `a child tells the same as this process would read`() throws {
    let path = try fixture.build("good.so", defining: ["REQUIRED"])
    let told = try ModuleProbe.describe(path, executable: ModuleFixture.host, deadlineSeconds: 10).get()
    #expect(told == (try ModuleLoader.load(path).description))
  }

  @Test func `not a library`() throws {
    #expect(refusal(try fixture.write("text.so", Array("#!/bin/sh\n".utf8))) == .notELF)
    #expect(refusal(try fixture.write("empty.so", [])) == .empty)
  }

  @Test func `missing, a directory, a FIFO, a symbolic link`() throws {
    #expect("\(try #require(refusal(fixture.path("nothing.so"))))" == "open: No such file or directory")
    #expect("\(try #require(refusal(fixture.path("no/thing.so"))))" == "realpath: No such file or directory")
    #expect(refusal(fixture.directory) == .notRegularFile("a directory"))
    mkfifo(fixture.path("fifo.so"), 0o600)
    #expect(refusal(fixture.path("fifo.so")) == .notRegularFile("a FIFO"))
    symlink(try fixture.build("good.so"), fixture.path("link.so"))
    #expect(refusal(fixture.path("link.so")) == .symbolicLink)
  }

  @Test func `writable by others, itself or its directory`() throws {
    let path = try fixture.build("good.so")
    chmod(path, 0o666)
    #expect(refusal(path) == .writableByOthers(mode: 0o100666))
    chmod(path, 0o755)
    chmod(fixture.directory, 0o777)
    #expect(refusal(path) == .directoryWritableByOthers(fixture.directory, mode: 0o40777))
    chmod(fixture.directory, 0o700)
    #expect(refusal(path) == nil)
  }

  @Test(.enabled(if: geteuid() == 0)) func `owned by somebody else, itself or its directory`() throws {
    let path = try fixture.build("good.so")
    chown(path, 12_345, 0)
    #expect(refusal(path) == .foreignOwner(userID: 12_345))
    chown(path, 0, 0)
    chown(fixture.directory, 12_345, 0)
    #expect(refusal(path) == .foreignDirectory(fixture.directory, userID: 12_345))
    chown(fixture.directory, 0, 0)
  }

  @Test(.enabled(if: geteuid() != 0)) func `without permission to read`() throws {
    let path = try fixture.build("good.so")
    chmod(path, 0)
    #expect("\(try #require(refusal(path)))" == "open: Permission denied")
  }

  @Test(arguments: [1, 3, 4, 19, 63, 64, 300, 2_000, 3_000, 8_000, 12_000]) func `cut off`(_ octets: Int) throws {
    let path = try fixture.build("good.so")
    let whole = try fixture.read("good.so")
    try fixture.write("good.so", Array(whole.prefix(octets)))
    let refusal = try #require(self.refusal(path))
    if octets < 4 { return #expect(refusal == .notELF) }
    guard case .truncated(let found, let wanted) = refusal else { return #expect(refusal == .empty) }
    #expect(found == UInt64(octets) && wanted > found && wanted <= UInt64(whole.count))
  }

  /// Patches of the ELF header: EI_CLASS, EI_DATA, e_type, e_machine.
  @Test(
    arguments: [
      (4, [1], ModuleRefusal.wrongClass), (5, [2], .wrongByteOrder), (16, [1, 0], .notSharedObject(type: 1)),
      (16, [2, 0], .notSharedObject(type: 2)), (18, [40, 0], .wrongMachine(40)), (18, [243, 0], .wrongMachine(243)),
      (32, [255, 255, 255, 255, 255, 255, 255, 255], .truncated(octets: 0, wanted: 0)),
      (40, [0, 0, 0, 0, 0, 0, 0, 127], .truncated(octets: 0, wanted: 0)),
    ] as [(Int, [UInt8], ModuleRefusal)])
  func `for another machine`(_ offset: Int, _ patch: [UInt8], _ wanted: ModuleRefusal) throws {
    let path = try fixture.build("good.so")
    var octets = try fixture.read("good.so")
    octets.replaceSubrange(offset..<offset + patch.count, with: patch)
    try fixture.write("good.so", octets)
    let found = refusal(path)
    if case .truncated = wanted, case .truncated = found { return }
    #expect(found == wanted)
  }

  @Test func `octets within it damaged`() throws {
    // Headers that fit, and zeros where the dynamic section was: whatever the loader makes of it, it is told.
    let path = try fixture.build("good.so")
    var octets = try fixture.read("good.so")
    let start = 0x200
    octets.replaceSubrange(
      start..<octets.count - 0x1000, with: [UInt8](repeating: 0, count: octets.count - 0x1000 - start))
    try fixture.write("good.so", octets)
    #expect(refusal(path) != nil)
  }

  @Test func `symbols that are missing on either side`() throws {
    #expect(try refusal(defining: "NO_SYMBOL") == .missingSymbol("ix_module_v1"))
    #expect(try refusal(defining: "UNDEFINED") == .loader("undefined symbol: nobody_defines_this"))
  }

  @Test func `another level`() throws {
    #expect(try refusal(defining: "LEVEL=3") == .wrongLevel(module: 3, host: 0))
  }

  @Test func `crashes are told with their place`() throws {
    #expect(try refusal(defining: "CRASH_CONSTRUCTOR") == .crashed(signal: SIGSEGV, during: .loading))
    #expect(try refusal(defining: "CRASH_ENTRY") == .crashed(signal: SIGABRT, during: .entering))
    #expect(try refusal(defining: "WILD_STAGES") == .crashed(signal: SIGSEGV, during: .describing))
    #expect(try refusal(defining: "EXIT_CONSTRUCTOR") == .exited(status: 0, during: .loading))
  }

  @Test func `a constructor that hangs is given up at the deadline`() throws {
    #expect(
      try refusal(defining: "HANG_CONSTRUCTOR", deadlineSeconds: 0.4) == .hung(seconds: 0.4, during: .loading))
  }

  @Test func `a child that cannot be started is the host's trouble`() throws {
    let path = try fixture.build("good.so")
    let answer = ModuleProbe.describe(path, executable: "/nonexistent")
    #expect(throws: (any Error).self) { try answer.get() }
    #expect("\(answer)".contains("posix_spawn"))
  }
}

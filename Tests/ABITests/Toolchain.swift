import Foundation
import StageHost
import Testing

/// Compilers, binutils and abigail-tools, run in a directory that is gone afterwards.
final class Workshop {
  let directory: String

  init() throws {
    let template = "/tmp/interchange-abi-XXXXXX"
    directory = try #require(template.withCString { strdup($0).flatMap { mkdtemp($0) }.map { String(cString: $0) } })
  }

  deinit { try? FileManager.default.removeItem(atPath: directory) }

  func write(_ name: String, _ text: String) throws -> String {
    try text.write(toFile: "\(directory)/\(name)", atomically: false, encoding: .utf8)
    return "\(directory)/\(name)"
  }

  struct Run {
    var status: Int32
    var output: String
  }

  func run(_ command: String, _ arguments: [String]) throws -> Run {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [command] + arguments
    process.currentDirectoryURL = URL(fileURLWithPath: directory)
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return Run(status: process.terminationStatus, output: String(decoding: output, as: UTF8.self))
  }

  func require(_ command: String, _ arguments: [String]) throws -> String {
    let run = try run(command, arguments)
    try #require(run.status == 0, "\(command) \(arguments.joined(separator: " "))\n\(run.output)")
    return run.output
  }

  /// The root of the package, from where this file was compiled.
  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().path
  static let include = "\(root)/include"
  static let header = "\(include)/interchange/interchange.h"
  static let golden = "\(root)/Tests/ABITests"
  /// Set to take the present header over into the snapshots: `UPDATE_SNAPSHOTS=1 swift test --filter ABITests`.
  static let updatesSnapshots = ProcessInfo.processInfo.environment["UPDATE_SNAPSHOTS"] != nil
  /// Where `swift build` leaves libraries and executables.
  static let products = ModuleSearch.executableDirectory()
}

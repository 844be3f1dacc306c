import Foundation
import Testing

/// The built `interchange`, run on a pipeline of the test's own, in a directory of the test's own.
///
/// Its listeners have port 0 and say in the log which they got. What it has when it goes away: nothing; processes and
/// directory are gone, also when the test failed.
final class GatewayProcess {
  let directory: String
  private(set) var program: Program
  private let arguments: [String]

  /// Beside the test bundle.
  static let executable: String = {
    let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    return (own as NSString).deletingLastPathComponent + "/interchange"
  }()
  static var builtDirectory: String { (executable as NSString).deletingLastPathComponent }

  /// - Parameters:
  ///   - stages: Lines under `stages:`.
  ///   - modules: Lines under `modules:`, besides imc and dead.
  init(
    modules: [String] = [], stages: [String], spool: String = "max_message: 150MiB", directory given: String? = nil
  ) throws {
    directory = try given ?? Self.makeDirectory()
    var text = "version: 1\nnode: gw.example.com\nmodules:\n"
    text += "  imc: { file: libimc.so }\n  dead: { file: libdead-letter.so }\n"
    for line in modules { text += "  \(line)\n" }
    text += "spool: { engine: embedded, path: spool, \(spool) }\nstages:\n"
    for line in stages { text += "  \(line)\n" }
    text += "admin: { socket: interchange.sock }\n"
    try text.write(toFile: directory + "/pipeline.yaml", atomically: true, encoding: .utf8)
    arguments = [Self.executable, "run", "-c", "pipeline.yaml"]
    program = try Program(arguments, directory: directory)
  }

  deinit {
    program.kill(SIGKILL)
    _ = try? program.end(seconds: 10)
    try? FileManager.default.removeItem(atPath: directory)
  }

  static func makeDirectory() throws -> String {
    var template = Array((NSTemporaryDirectory() + "/interchange-test.XXXXXX").utf8CString)
    guard mkdtemp(&template) != nil else { throw Overdue(what: "a directory", lastLines: []) }
    // Others pass through it: an own Postfix, whose parts run as other users.
    chmod(template, 0o755)
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// The port that a stage listens on, once it does.
  func port(of stage: String = "imc_in") throws -> Int {
    let line = try program.wait(forLine: "\(stage): listening on ")
    return try #require(line.split(separator: ":").last.flatMap { Int($0) })
  }

  /// The process of each stage that has one, by the stage's name.
  var workers: [String: Int32] {
    var result: [String: Int32] = [:]
    for child in Processes.children(of: program.processID) {
      let words = Processes.commandLine(child)
      if words.count > 2, words[1] == "worker" { result[words[2]] = child }
    }
    return result
  }

  /// Another run on the same spool.
  func restart() throws {
    #expect(program.hasEnded)
    program = try Program(arguments, directory: directory)
  }

  /// As an operator stops it: within five seconds, with status 0.
  func stop(_ location: SourceLocation = #_sourceLocation) throws {
    let start = ContinuousClock.now
    program.kill(SIGTERM)
    let code = try program.end(seconds: 20)
    let took = ContinuousClock.now - start
    #expect(code == 0, "\(program.output.suffix(10).joined(separator: "\n"))", sourceLocation: location)
    #expect(took < .seconds(6), "stopping took \(took)", sourceLocation: location)
  }

  func crash() throws {
    program.kill(SIGKILL)
    #expect(try program.end() == -SIGKILL)
  }

  /// Runs another verb on the same pipeline.
  func ask(_ verb: [String], expecting code: Int32? = 0, _ location: SourceLocation = #_sourceLocation) throws -> String {
    try Program.run(
      [Self.executable] + verb + ["-c", "pipeline.yaml"], directory: directory, expecting: code, location)
  }
}

extension GatewayProcess {
  /// The one letter in the dead-letter store, once it is there whole, as anyone with ordinary tools reads it.
  func deadLetter() throws -> (text: String, content: String, history: String) {
    let store = directory + "/dead"
    // A letter appears by rename, which the log does not tell; the directory is asked until it has one.
    let found = try Program.run(["sh", "-c", "until ls -d '\(store)'/*/letter.txt 2>/dev/null; do sleep 0.05; done"])
    let path = try #require(found.split(separator: "\n").first).replacing("/letter.txt", with: "")
    func read(_ name: String) throws -> String {
      String(decoding: try Data(contentsOf: URL(fileURLWithPath: "\(path)/\(name)")), as: UTF8.self)
    }
    return (try read("letter.txt"), try read("content.eml"), try read("history.txt"))
  }
}

/// What the kernel knows of processes.
enum Processes {
  static func children(of processID: Int32) -> [Int32] {
    var result: [Int32] = []
    let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(processID)/task")) ?? []
    for task in tasks {
      let text = (try? String(contentsOfFile: "/proc/\(processID)/task/\(task)/children", encoding: .utf8)) ?? ""
      result += text.split(separator: " ").compactMap { Int32($0) }
    }
    return result
  }

  static func commandLine(_ processID: Int32) -> [String] {
    let data = FileManager.default.contents(atPath: "/proc/\(processID)/cmdline") ?? Data()
    return data.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
  }

  /// The most it has had in memory, in octets.
  static func peakOctets(_ processID: Int32) -> Int? {
    guard let text = try? String(contentsOfFile: "/proc/\(processID)/status", encoding: .utf8) else { return nil }
    for line in text.split(separator: "\n") where line.hasPrefix("VmHWM:") {
      return line.split(separator: " ").dropFirst().first.flatMap { Int($0) }.map { $0 * 1024 }
    }
    return nil
  }
}

internal import Glibc
internal import Platform

/// Graphviz's `dot` as a child: its input in a memory file, its output from a pipe.
enum Graphviz {
  enum Result: Equatable {
    case drawn(String)
    case failed(String)
  }

  static let pictureOctetsMax = 64 << 20

  private static let programs: [String] = ["/usr/bin/dot", "/usr/local/bin/dot"]

  static func svg(_ dot: String) -> Result {
    guard let program = programs.first(where: { access($0, X_OK) == 0 }) else {
      return .failed("svg is drawn by Graphviz, which is not installed; --format dot or mermaid need nothing")
    }
    guard let input = tmpfile() else { return .failed("\(SystemError.last("tmpfile"))") }
    defer { fclose(input) }
    guard let output = tmpfile() else { return .failed("\(SystemError.last("tmpfile"))") }
    defer { fclose(output) }
    let written = dot.utf8.withContiguousStorageIfAvailable { fwrite($0.baseAddress, 1, $0.count, input) } ?? 0
    guard written == dot.utf8.count, fflush(input) == 0 else { return .failed("\(SystemError.last("fwrite"))") }
    rewind(input)
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, fileno(input), STDIN_FILENO)
    posix_spawn_file_actions_adddup2(&actions, fileno(output), STDOUT_FILENO)
    let words: [UnsafeMutablePointer<CChar>?] = [strdup(program), strdup("-Tsvg")]
    defer { for word in words { free(word) } }
    var process: pid_t = 0
    let result = posix_spawn(&process, program, &actions, nil, words + [nil], environ)
    guard result == 0 else { return .failed("\(SystemError("posix_spawn", errno: result))") }
    var status: Int32 = 0
    while waitpid(process, &status, 0) < 0 && errno == EINTR {}
    guard status == 0 else { return .failed("\(program) failed") }
    return read(output)
  }

  private static func read(_ file: UnsafeMutablePointer<FILE>) -> Result {
    rewind(file)
    var octets: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 64 * 1024)
    while octets.count < pictureOctetsMax {
      let count = fread(&piece, 1, piece.count, file)
      guard count > 0 else { break }
      octets += piece[..<count]
    }
    return .drawn(String(decoding: octets, as: UTF8.self))
  }
}

import Foundation
import Testing

/// The scripts beside the tests, and what they write down.
enum Peers {
  static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("Peers").path
  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().path

  static func decode<Note: Decodable>(_ type: Note.Type, _ line: String) throws -> Note {
    try JSONDecoder().decode(type, from: Data(line.utf8))
  }
}

/// A message as `Peers/sink.py` got it.
struct Arrival: Decodable {
  var from: String
  var fromParameters: String
  var recipients: [String]
  var recipientParameters: [String]
  /// With its line ends, without the empty line.
  var header: String
  var bodyOctets: Int
  var bodyDigest: String
  /// With `--keep`.
  var body: String?
  var tls: Bool
  var helo: String
}

/// A recording next hop.
final class RecordingSink {
  let program: Program
  let port: Int

  private struct Listening: Decodable { var listening: Int }

  init(_ options: [String] = []) throws {
    program = try Program(["python3", Peers.directory + "/sink.py"] + options, merged: false)
    port = try Peers.decode(Listening.self, program.wait("its port") { $0.first }).listening
  }

  var arrivals: [Arrival] {
    get throws { try program.output.dropFirst().map { try Peers.decode(Arrival.self, $0) } }
  }

  /// Waits until so many messages have come, and gives them.
  func wait(forMessages count: Int, seconds: Double = Program.patience) throws -> [Arrival] {
    let lines = try program.wait("\(count) messages", seconds: seconds) { lines in
      lines.count > count ? Array(lines.dropFirst()) : nil
    }
    return try lines.map { try Peers.decode(Arrival.self, $0) }
  }

  /// Waits until so many recipients have had a message.
  func wait(forRecipients count: Int, seconds: Double = Program.patience) throws -> [Arrival] {
    var arrivals: [Arrival] = []
    var recipients = 0
    return try program.wait("\(count) recipients", seconds: seconds) { lines in
      for line in lines.dropFirst(1 + arrivals.count) {
        let arrival = try Peers.decode(Arrival.self, line)
        recipients += arrival.recipients.count
        arrivals.append(arrival)
      }
      return recipients >= count ? arrivals : nil
    }
  }

  /// Waits until each of `recipients` has had a message.
  func wait(forRecipientsIn recipients: Set<String>, seconds: Double = Program.patience) throws -> [Arrival] {
    var arrivals: [Arrival] = []
    var missing = recipients
    do {
      return try program.wait("\(recipients.count) named recipients", seconds: seconds) { lines in
        for line in lines.dropFirst(1 + arrivals.count) {
          let arrival = try Peers.decode(Arrival.self, line)
          missing.subtract(arrival.recipients)
          arrivals.append(arrival)
        }
        return missing.isEmpty ? arrivals : nil
      }
    } catch let overdue as Overdue {
      throw Overdue(what: "\(missing.count) recipients: \(missing.sorted().prefix(5))", lastLines: overdue.lastLines.suffix(3))
    }
  }
}

/// What `Peers/client.py` was told of one message; code 0 when it was told nothing.
struct Told: Decodable {
  var id: String
  var code: Int
  var text: String
  var bodyOctets: Int
  var bodyDigest: String
}

/// A client that sends and writes down.
final class Client {
  let program: Program

  init(port: Int, _ options: [String] = []) throws {
    program = try Program(["python3", Peers.directory + "/client.py", "\(port)"] + options, merged: false)
  }

  var told: [Told] {
    get throws { try program.output.map { try Peers.decode(Told.self, $0) } }
  }

  /// Waits for its end; one that sends for ever is told to.
  func finish(seconds: Double = Program.patience) throws -> [Told] {
    program.closeInput()
    #expect(try program.end(seconds: seconds) == 0)
    return try told
  }

  static func send(
    to port: Int, _ options: [String] = [], seconds: Double = Program.patience
  ) throws -> [Told] {
    try Client(port: port, options).finish(seconds: seconds)
  }
}

/// `Peers/raw.py`: says exactly what it is told to.
enum Raw {
  static let hello = "EHLO client.example.org\\r\\n"

  /// The lines that the server said, the greeting first.
  static func talk(to port: Int, _ said: [(count: Int, text: String)]) throws -> [String] {
    let words = said.flatMap { ["\($0.count)", $0.text] }
    return try Program.run(["python3", Peers.directory + "/raw.py", "\(port)"] + words).split(separator: "\n")
      .map(String.init)
  }

  /// One message, in one dialogue; the last reply.
  static func mail(
    to port: Int, from: String, recipients: [String], content: String = "Subject: test\\r\\n\\r\\ntext\\r\\n"
  ) throws -> [String] {
    var said = [(count: 1, text: hello), (count: 1, text: "MAIL FROM:\(from)\\r\\n")]
    for recipient in recipients { said.append((1, "RCPT TO:\(recipient)\\r\\n")) }
    said.append((1, "DATA\\r\\n"))
    said.append((1, content + ".\\r\\n"))
    said.append((1, "QUIT\\r\\n"))
    return try talk(to: port, said)
  }
}

/// Stages in C, built by the line that plugins/examples/c/README.md prints.
enum Modules {
  /// - Parameter word: When given, the example is built with one thing more: it ends the process at that word.
  static func keyword(in directory: String, crashesAt word: String? = nil) throws -> String {
    var source = try String(contentsOfFile: Peers.root + "/plugins/examples/c/keyword.c", encoding: .utf8)
    if let word {
      let bomb = """
          bool found;
          ix_instance bomb = *self;
          bomb.word_count = 1;
          bomb.words[0] = TEXT("\(word)");
          bomb.word_octets_max = \(word.utf8.count);
          if (search(&bomb, job, &found) == IX_OK && found) abort();
        """
      let place = try #require(source.range(of: "  bool found;\n"))
      source.replaceSubrange(place, with: bomb + "\n")
    }
    let file = directory + "/keyword.c"
    try source.write(toFile: file, atomically: true, encoding: .utf8)
    let readme = try String(contentsOfFile: Peers.root + "/plugins/examples/c/README.md", encoding: .utf8)
    let line = try #require(readme.split(separator: "\n").first { $0.hasPrefix("cc ") })
    let library = directory + "/libkeyword.so"
    let command = line.replacing("plugins/examples/c/keyword.c", with: file).replacing("libkeyword.so", with: library)
    try Program.run(["sh", "-ec", "umask 022; " + command], directory: Peers.root)
    return library
  }
}

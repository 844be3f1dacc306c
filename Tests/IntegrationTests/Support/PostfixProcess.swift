import Foundation
import Testing

/// A real Postfix with its own configuration, queue and log in the test's directory. Needs root, as Postfix does.
final class PostfixProcess {
  let directory: String
  let port: Int

  static let isPossible = geteuid() == 0

  init(_ settings: [String: String]) throws {
    directory = try GatewayProcess.makeDirectory()
    port = try Ports.free()
    var all = settings
    all["maillog_file"] = directory + "/maillog"
    all["maillog_file_prefixes"] = directory
    try Program.run(
      ["python3", Peers.directory + "/postfix.py", "make", directory, "\(port)"] + all.map { "\($0.key)=\($0.value)" })
    try Program.run(["postfix", "-c", directory, "start"])
  }

  deinit {
    _ = try? Program.run(["postfix", "-c", directory, "stop"], expecting: nil)
    try? FileManager.default.removeItem(atPath: directory)
  }

  var log: String { (try? String(contentsOfFile: directory + "/maillog", encoding: .utf8)) ?? "" }
}

enum Ports {
  /// A loopback port that nobody has at the moment, for a program that cannot say which one it got.
  static func free() throws -> Int {
    let text = try Program.run([
      "python3", "-c", "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])",
    ])
    return try #require(Int(text))
  }
}

/// An authority and a server certificate of it, for 127.0.0.1 and localhost.
struct Certificates {
  let authority: String
  let certificate: String
  let key: String

  init(in directory: String) throws {
    authority = directory + "/ca.pem"
    certificate = directory + "/server.pem"
    key = directory + "/server.key"
    let script = """
      cd '\(directory)' && umask 022
      openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test-ca -keyout ca.key -out ca.pem
      openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout server.key -out server.csr
      printf 'subjectAltName=DNS:localhost,DNS:gw.example.com,IP:127.0.0.1\\n' > ext
      openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out server.pem
      """
    try Program.run(["sh", "-ec", script])
  }
}

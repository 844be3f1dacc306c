import Foundation
import Platform

/// Certificates made for one test run by openssl(1), in a directory of their own: an authority, a chain for mx.example,
/// 127.0.0.1 and gw.example under it, and an authority that has nothing to do with either.
enum TestCertificates {
  static let directory: String = {
    let path = NSTemporaryDirectory() + "imc-tests-\(UUID().uuidString)"
    try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    let ec = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256"
    let script = """
      cd '\(path)' && exec 2>/dev/null
      openssl req -x509 \(ec) -days 2 -subj '/CN=Test Authority' -keyout ca.key -out ca.pem
      openssl req -x509 \(ec) -days 2 -subj '/CN=Other Authority' -keyout other.key -out other.pem
      openssl req -new \(ec) -subj '/CN=mx.example' -keyout server.key -out server.csr
      printf 'subjectAltName=DNS:mx.example,DNS:gw.example,IP:127.0.0.1' > san
      openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -days 2 -extfile san -out server.pem
      """
    _ = try? ChildProcess(executable: "/bin/sh", arguments: ["sh", "-c", script]).wait()
    return path
  }()

  static var server: String { directory + "/server.pem" }
  static var key: String { directory + "/server.key" }
  static var authority: String { directory + "/ca.pem" }
  static var otherAuthority: String { directory + "/other.pem" }
}

import Foundation
import Testing

/// A message as Python's `email` package reads it: an implementation that is not ours.
struct PythonMail: Decodable {
  struct Part: Decodable {
    var type: String
    var header: [[String]]
    var defects: [String]
    /// Decoded from its transfer encoding, as ISO 8859-1; empty for a part that has parts.
    var payload: String
    /// Fields of each block of a delivery-status part.
    var blocks: [[[String]]]
  }

  var parts: [Part]

  private static let script = #"""
    import email, email.policy, json, sys
    m = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.SMTP)
    out = []
    def unfold(v): return str(v).replace("\r\n", "").replace("\n", "")
    def defects(p):
        return [repr(d) for d in p.defects] + [n + ": " + repr(d) for n, v in p.items() for d in getattr(v, "defects", [])]
    def walk(p, top):
        kind = p.get_content_type()
        blocks = []
        payload = b""
        if kind == "message/delivery-status":
            blocks = [[[n, unfold(v)] for n, v in b.raw_items()] for b in p.get_payload()]
        elif kind == "message/global-delivery-status":
            raw = p.get_payload(0).as_bytes(policy=email.policy.SMTPUTF8) if p.is_multipart() else p.get_payload(decode=True)
            payload = raw
        elif kind in ("message/rfc822", "message/global"):
            payload = p.get_payload(0).as_bytes()
        elif not p.is_multipart():
            payload = p.get_payload(decode=True)
        out.append(dict(type=kind, header=[[n, unfold(v)] for n, v in p.raw_items()], defects=defects(p),
                        payload=payload.decode("latin-1"), blocks=blocks))
        if top:
            for c in p.iter_parts(): walk(c, False)
    walk(m, True)
    json.dump(dict(parts=out), sys.stdout)
    """#

  init(_ octets: [UInt8]) throws {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    let input = directory.appendingPathComponent("report.eml")
    try Data(octets).write(to: input)
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["python3", "-c", Self.script]
    process.standardInput = try FileHandle(forReadingFrom: input)
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let json = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0)
    self = try JSONDecoder().decode(PythonMail.self, from: json)
  }

  subscript(_ part: Int, _ name: String) -> String? {
    parts[part].header.first { $0[0].lowercased() == name.lowercased() }?[1]
  }
}

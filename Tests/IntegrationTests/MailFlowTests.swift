import Foundation
import Testing

/// Everything that runs the built host; one after the other, because each takes the machine for itself.
@Suite(.serialized)
struct IntegrationTests {}

extension IntegrationTests {
  @Suite(.serialized)
  struct MailFlow {
    @Test func `five thousand messages over twenty sessions arrive once each, unchanged`() throws {
      let sink = try RecordingSink()
      let gateway = try GatewayProcess(stages: Pipelines.relay(to: sink.port))
      let port = try gateway.port()
      let content = gateway.directory + "/content"
      let lines = (0..<60).map { "\(String(repeating: ".", count: $0 % 3))line \($0) " + String(repeating: "x", count: 55) }
      try ("From: a@example.org\nSubject: many\n\n" + lines.joined(separator: "\n")).write(
        toFile: content, atomically: true, encoding: .utf8)
      func send(_ count: Int, to port: Int) throws {
        try Program.run([
          "smtp-source", "-N", "-s", "20", "-m", "\(count)", "-F", content, "-f", "a@example.org", "-t",
          "b@example.com", "127.0.0.1:\(port)",
        ])
      }
      let straight = try RecordingSink()
      try send(1, to: straight.port)
      let reference = try #require(try straight.wait(forMessages: 1).first)
      try send(5000, to: port)
      let arrivals = try sink.wait(forMessages: 5000)
      #expect(arrivals.count == 5000)
      #expect(Set(arrivals.flatMap(\.recipients)).count == 5000)
      #expect(arrivals.allSatisfy { $0.recipients.count == 1 })
      #expect(Set(arrivals.map(\.bodyDigest)) == [reference.bodyDigest])
      #expect(arrivals.allSatisfy { $0.header.hasSuffix(reference.header) && $0.header.hasPrefix("Received: from ") })
      #expect(arrivals.allSatisfy { $0.from == "<a@example.org>" })
      try gateway.expectBalance(accepted: 5000)
      try gateway.stop()
    }

    @Test(arguments: [20, 100])
    func `a message of many MiB passes with flat memory`(mebibytes: Int) throws {
      let sink = try RecordingSink()
      let gateway = try GatewayProcess(stages: Pipelines.relay(to: sink.port))
      let port = try gateway.port()
      #expect(try Client.send(to: port).map(\.code) == [250])
      _ = try sink.wait(forMessages: 1)
      let processes = Array(gateway.workers) + [("host", gateway.program.processID)]
      #expect(processes.count >= 3)
      let before = try processes.map { try #require(Processes.peakOctets($0.1)) }
      let told = try Client.send(to: port, ["--octets", "\(mebibytes << 20)", "--prefix", "big"])
      #expect(told.map(\.code) == [250])
      let arrival = try #require(try sink.wait(forMessages: 2).last)
      #expect(arrival.bodyDigest == told.first?.bodyDigest)
      #expect(arrival.bodyOctets == told.first?.bodyOctets)
      for (process, octets) in zip(processes, before) {
        let grown = try #require(Processes.peakOctets(process.1)) - octets
        #expect(grown < 24 << 20, "\(process.0) grew by \(grown >> 20) MiB")
      }
      try gateway.expectBalance()
      try gateway.stop()
    }

    @Test func `ten thousand recipients of one message are all served`() throws {
      let sink = try RecordingSink()
      let gateway = try GatewayProcess(stages: Pipelines.relay(to: sink.port, source: "recipients_max: 10000"))
      let told = try Client.send(to: try gateway.port(), ["--recipients", "10000"])
      #expect(told.map(\.code) == [250])
      let arrivals = try sink.wait(forRecipients: 10000)
      let recipients = arrivals.flatMap(\.recipients)
      #expect(recipients.count == 10000)
      #expect(Set(recipients) == Set((0..<10000).map { "t-1-\($0)@example.com" }))
      #expect(Set(arrivals.map(\.bodyDigest)) == Set(told.map(\.bodyDigest)))
      try gateway.expectBalance(accepted: 10000)
      try gateway.stop()
    }
  }
}

/// Stages that tests share.
enum Pipelines {
  /// source → (first →) router → sink.
  ///
  /// - Parameters:
  ///   - listenPort: 0 lets the kernel choose; a gateway that is restarted under a client keeps one.
  ///   - first: The stage between source and router, wired by the caller.
  static func relay(
    to port: Int, listenPort: Int = 0, source: String = "", sink: String = "", isolation: String = "worker",
    first: String = "route", retry: String = "retry: { schedule: [1s], expire: 1h }"
  ) -> [String] {
    let source = source.isEmpty ? "" : ", \(source)"
    let sink = sink.isEmpty ? "" : ", \(sink)"
    let listen = "listen: [\"127.0.0.1:\(listenPort)\"]"
    return [
      "imc_in: { use: imc.source, isolation: \(isolation), config: { \(listen)\(source) }, to: \(first) }",
      "route: { use: router, config: { rules: [{ when: always, to: imc_out }] } }",
      "imc_out: { use: imc.sink, isolation: \(isolation), config: { next_hop: \"127.0.0.1:\(port)\"\(sink) }, \(retry) }",
    ] + ends
  }

  static let ends = [
    "reports: { use: reports, to: route }",
    "dead: { use: dead.letter, config: { path: dead } }",
  ]
}

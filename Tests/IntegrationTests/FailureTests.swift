import Foundation
import Testing

extension IntegrationTests {
  @Suite(.serialized)
  struct Failures {
    @Test func `a host that is killed again and again loses nothing it has said yes to`() throws {
      let sink = try RecordingSink()
      let gateway = try GatewayProcess(
        stages: Pipelines.relay(to: sink.port, listenPort: try Ports.free()))
      let port = try gateway.port()
      let client = try Client(port: port, ["--for-ever", "--sessions", "8"])
      let rounds = 4
      for round in 1...rounds {
        let seen = try client.told.count { $0.code == 250 }
        _ = try client.program.wait("more mail accepted in round \(round)") { lines in
          lines.count { $0.contains("\"code\": 250") } >= seen + 300 ? true : nil
        }
        try gateway.crash()
        try gateway.restart()
        #expect(try gateway.port() == port)
      }
      let told = try client.finish()
      let accepted = Set(told.filter { $0.code == 250 }.map { "\($0.id)@example.com" })
      #expect(accepted.count >= rounds * 300)
      let arrivals = try sink.wait(forRecipientsIn: accepted)
      // Twice at most what was in flight when the host died: taken by the next hop, its answer not yet on the disk.
      let duplicates = arrivals.flatMap(\.recipients).count - Set(arrivals.flatMap(\.recipients)).count
      #expect(duplicates <= rounds * 20 * 4, "\(duplicates) duplicates")
      let digests = Dictionary(told.map { ("\($0.id)@example.com", $0.bodyDigest) }) { first, _ in first }
      for arrival in arrivals where accepted.contains(arrival.recipients[0]) {
        #expect(arrival.bodyDigest == digests[arrival.recipients[0]])
      }
      try gateway.expectBalance()
      try gateway.stop()
    }

    @Test func `a sink that is killed is started again, and what it held is tried again`() throws {
      let sink = try RecordingSink()
      let gateway = try GatewayProcess(stages: Pipelines.relay(to: sink.port))
      let client = try Client(port: try gateway.port(), ["--messages", "600", "--sessions", "8"])
      for count in [100, 300] {
        _ = try sink.wait(forMessages: count)
        let worker = try #require(gateway.workers["imc_out"])
        #expect(kill(worker, SIGKILL) == 0)
        _ = try gateway.program.wait("the worker's end in the log") { lines in
          lines.count { $0.contains("imc_out") && ($0.contains("killed") || $0.contains("signal")) } > 0 ? true : nil
        }
      }
      let told = try client.finish()
      #expect(told.allSatisfy { $0.code == 250 })
      let arrivals = try sink.wait(forRecipientsIn: Set(told.map { "\($0.id)@example.com" }))
      #expect(arrivals.count <= 600 + 2 * 200)
      try gateway.expectBalance(accepted: 600)
      try gateway.stop()
    }

    @Test func `a message that crashes a stage is set aside, and the others go on`() throws {
      let sink = try RecordingSink()
      let place = try GatewayProcess.makeDirectory()
      let module = try Modules.keyword(in: place, crashesAt: "DETONATE")
      var stages = Pipelines.relay(to: sink.port, first: "check")
      stages.append("check: { use: keyword.filter, config: { words: [lottery] }, to: route }")
      let gateway = try GatewayProcess(
        modules: ["keyword: { file: \"\(module)\" }"], stages: stages, directory: place)
      let port = try gateway.port()
      let good = try Client(port: port, ["--messages", "200", "--sessions", "4", "--prefix", "good"])
      let bad = try Client.send(to: port, ["--prefix", "bad", "--word", "DETONATE"])
      #expect(bad.map(\.code) == [250])
      let told = try good.finish()
      let arrivals = try sink.wait(forRecipientsIn: Set(told.map { "\($0.id)@example.com" }))
      #expect(!arrivals.contains { $0.recipients == ["bad-1@example.com"] })
      _ = try gateway.program.wait(forLine: "set aside")
      let letter = try gateway.deadLetter()
      #expect(letter.text.contains("bad-1@example.com"))
      #expect(letter.text.contains("check died 3 times"), "\(letter.text)")
      #expect(letter.content.contains("DETONATE"))
      try gateway.expectBalance()
      try gateway.stop()
    }

    @Test func `a full spool says so before DATA, drains what is queued, and then takes mail again`() throws {
      try #require(geteuid() == 0, "mounting needs root")
      let place = try GatewayProcess.makeDirectory()
      let spool = place + "/spool"
      try Program.run(["mkdir", spool])
      try Program.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=0700", "interchange-test", spool])
      defer {
        _ = try? Program.run(["umount", "-l", spool], expecting: nil)
        try? FileManager.default.removeItem(atPath: place)
      }
      let nextHop = try Ports.free()
      let gateway = try GatewayProcess(
        stages: Pipelines.relay(to: nextHop, retry: "retry: { schedule: [1s], expire: 1h }"),
        spool: "segment_size: 4MiB, min_free: 16MiB, max_message: 8MiB", directory: place)
      let port = try gateway.port()
      let large = try Client.send(to: port, ["--messages", "40", "--octets", "2000000"])
      // Smaller ones may still find room; in the end nobody gets as far as DATA.
      let filling = try Client(port: port, ["--for-ever", "--octets", "65536", "--prefix", "small"])
      _ = try filling.program.wait("a refusal before DATA") { lines in
        try lines.last.map { try Peers.decode(Told.self, $0) }.flatMap { $0.code == 452 && $0.bodyOctets == 0 ? $0 : nil }
      }
      let told = try large + filling.finish()
      let accepted = told.filter { $0.code == 250 }
      let refused = told.filter { $0.code != 250 }
      #expect(large.count { $0.code == 250 } >= 5)
      #expect(refused.allSatisfy { $0.code == 452 && $0.text.hasPrefix("4.3.1") }, "\(refused.prefix(3))")
      let sink = try RecordingSink(["--port", "\(nextHop)"])
      let arrivals = try sink.wait(forRecipientsIn: Set(accepted.map { "\($0.id)@example.com" }))
      #expect(Set(arrivals.map(\.bodyDigest)) == Set(accepted.map(\.bodyDigest)))
      let again = try Client(port: port, ["--for-ever", "--prefix", "after"])
      _ = try again.program.wait(forLine: "\"code\": 250")
      let afterwards = try again.finish().filter { $0.code == 250 }
      _ = try sink.wait(forRecipientsIn: Set(afterwards.map { "\($0.id)@example.com" }))
      try gateway.expectBalance()
      try gateway.stop()
    }

    @Test func `stopping under load takes five seconds at most, and nothing is lost`() throws {
      let sink = try RecordingSink(["--delay", "0.01"])
      let gateway = try GatewayProcess(stages: Pipelines.relay(to: sink.port, listenPort: try Ports.free()))
      let client = try Client(port: try gateway.port(), ["--for-ever", "--sessions", "16"])
      _ = try sink.wait(forMessages: 200)
      try gateway.stop()
      try gateway.restart()
      _ = try gateway.port()
      let told = try client.finish()
      let accepted = Set(told.filter { $0.code == 250 }.map { "\($0.id)@example.com" })
      _ = try sink.wait(forRecipientsIn: accepted)
      try gateway.expectBalance()
      try gateway.stop()
    }

    @Test func `a module that cannot be loaded is named with its reason, and nothing starts`() throws {
      let place = try GatewayProcess.makeDirectory()
      try "this is no library".write(toFile: place + "/broken.so", atomically: true, encoding: .utf8)
      var stages = Pipelines.relay(to: 25, first: "check")
      stages.append("check: { use: broken.filter, to: route }")
      let gateway = try GatewayProcess(
        modules: ["broken: { file: \"\(place)/broken.so\" }"], stages: stages, directory: place)
      #expect(try gateway.program.end() == 78)
      let output = gateway.program.output.joined(separator: "\n")
      #expect(output.contains("module broken cannot be loaded"))
      #expect(output.contains("ELF"))
      #expect(!FileManager.default.fileExists(atPath: place + "/spool"))
    }

    @Test func `the shipped pipeline is sound`() throws {
      try Program.run([GatewayProcess.executable, "check", "-c", Peers.root + "/pipeline.yaml"])
    }

    @Test func `the schema for editors takes the shipped pipeline and no misspelt key, says another validator`() throws {
      let shipped = Peers.root + "/pipeline.yaml"
      let place = try GatewayProcess.makeDirectory()
      let misspelt = place + "/misspelt.yaml"
      let text = try String(contentsOfFile: shipped, encoding: .utf8)
      try text.replacingOccurrences(of: "min_free:", with: "min_fre:").write(
        toFile: misspelt, atomically: true, encoding: .utf8)
      let judge = "'\(GatewayProcess.executable)' schema -c '\(shipped)' | /usr/bin/python3 '\(Peers.directory)/schema.py' "
      #expect(try Program.run(["sh", "-c", judge + "'\(shipped)'"]) == "sound")
      let complaints = try Program.run(["sh", "-c", judge + "'\(misspelt)'"])
      #expect(complaints.contains("min_fre") && complaints.hasSuffix("wrong"))
    }
  }
}

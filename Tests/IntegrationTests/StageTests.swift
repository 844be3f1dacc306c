import Foundation
import Testing

extension IntegrationTests {
  @Suite(.serialized)
  struct Stages {
    @Test(arguments: ["worker", "inline"])
    func `stages in C and in Swift do the same in a process of their own and in the host`(isolation: String) throws {
      let sink = try RecordingSink(["--keep"])
      let place = try GatewayProcess.makeDirectory()
      let keyword = try Modules.keyword(in: place)
      let stages = [
        "sort: { use: size.sorter, config: { limit: 10KiB }, to: { small: check, large: route } }",
        "check: { use: keyword.filter, config: { words: [lottery], header: \"X-Checked: words\" }, to: route }",
      ]
      let gateway = try GatewayProcess(
        modules: [
          "keyword: { file: \"\(keyword)\", isolation: \(isolation) }",
          "size: { file: libexample-swift.so, isolation: \(isolation) }",
        ],
        stages: Pipelines.relay(to: sink.port, isolation: isolation, first: "sort") + stages, directory: place)
      let port = try gateway.port()
      #expect(gateway.workers.keys.contains("check") == (isolation == "worker"))
      let small = try Client.send(to: port, ["--messages", "100", "--sessions", "4", "--prefix", "small"])
      let large = try Client.send(to: port, ["--messages", "3", "--octets", "100000", "--prefix", "large"])
      let refused = try Client.send(to: port, ["--prefix", "spam", "--word", "lottery"])
      #expect((small + large + refused).allSatisfy { $0.code == 250 })
      let arrivals = try sink.wait(
        forRecipientsIn: Set((small + large).map { "\($0.id)@example.com" } + ["sender@example.org"]))
      #expect(arrivals.count == 104)
      let digests = Dictionary(uniqueKeysWithValues: (small + large).map { ("\($0.id)@example.com", $0.bodyDigest) })
      for arrival in arrivals where arrival.recipients != ["sender@example.org"] {
        let recipient = arrival.recipients[0]
        #expect(arrival.bodyDigest == digests[recipient])
        #expect(arrival.header.contains("X-Checked: words\r\n") == recipient.hasPrefix("small"), "\(arrival.header)")
      }
      let report = try #require(arrivals.first { $0.recipients == ["sender@example.org"] }?.body)
      #expect(report.contains("spam-1@example.com"))
      #expect(report.contains("Status: 5.7.1"))
      try gateway.expectBalance(accepted: 104)
      try gateway.stop()
    }
  }
}

import Foundation
import Testing

extension IntegrationTests {
  @Suite(.serialized, .enabled(if: PostfixProcess.isPossible, "Postfix needs root"))
  struct RealPostfix {
    @Test func `mail goes through the gateway to Postfix, encrypted`() throws {
      let sink = try RecordingSink()
      let place = try GatewayProcess.makeDirectory()
      defer { try? FileManager.default.removeItem(atPath: place) }
      let certificates = try Certificates(in: place)
      let postfix = try PostfixProcess([
        "relayhost": "[127.0.0.1]:\(sink.port)", "smtpd_tls_security_level": "may",
        "smtpd_tls_cert_file": certificates.certificate, "smtpd_tls_key_file": certificates.key,
        "smtpd_tls_received_header": "yes", "smtpd_tls_loglevel": "1", "smtp_tls_security_level": "none",
      ])
      let tls = "tls: { mode: verify, ca: \"\(certificates.authority)\", name: localhost }"
      let gateway = try GatewayProcess(stages: Pipelines.relay(to: postfix.port, sink: tls))
      let told = try Client.send(to: try gateway.port(), ["--messages", "50", "--sessions", "5"])
      #expect(told.allSatisfy { $0.code == 250 })
      let arrivals = try sink.wait(forMessages: 50)
      try Self.expectSame(told, arrivals)
      for arrival in arrivals {
        #expect(arrival.header.contains("with ESMTPS id"), "\(arrival.header)")
        #expect(arrival.header.contains("by gw.example.com with ESMTP"), "\(arrival.header)")
      }
      #expect(postfix.log.contains("TLS connection established from"))
      try gateway.expectBalance(accepted: 50)
      try gateway.stop()
    }

    @Test func `mail goes through Postfix to the gateway, encrypted`() throws {
      let sink = try RecordingSink()
      let place = try GatewayProcess.makeDirectory()
      defer { try? FileManager.default.removeItem(atPath: place) }
      let certificates = try Certificates(in: place)
      let source =
        "tls: { certificate: \"\(certificates.certificate)\", key: \"\(certificates.key)\", required: true }"
      let gateway = try GatewayProcess(stages: Pipelines.relay(to: sink.port, source: source))
      let postfix = try PostfixProcess([
        "relayhost": "[127.0.0.1]:\(try gateway.port())", "smtp_tls_security_level": "secure",
        "smtp_tls_CAfile": certificates.authority, "smtp_tls_secure_cert_match": "localhost",
        "smtp_tls_loglevel": "1", "smtpd_tls_security_level": "none",
      ])
      let told = try Client.send(to: postfix.port, ["--messages", "50", "--sessions", "5"])
      #expect(told.allSatisfy { $0.code == 250 })
      let arrivals = try sink.wait(forMessages: 50)
      try Self.expectSame(told, arrivals)
      for arrival in arrivals {
        #expect(arrival.header.contains("by gw.example.com with ESMTPS"), "\(arrival.header)")
      }
      #expect(postfix.log.contains("Verified TLS connection established to"))
      #expect(postfix.log.contains("status=sent"))
      try gateway.expectBalance(accepted: 50)
      try gateway.stop()
    }

    private static func expectSame(_ told: [Told], _ arrivals: [Arrival]) throws {
      let expected = Dictionary(uniqueKeysWithValues: told.map { ("\($0.id)@example.com", $0.bodyDigest) })
      #expect(arrivals.count == told.count)
      for arrival in arrivals {
        #expect(arrival.recipients.count == 1)
        #expect(arrival.bodyDigest == expected[arrival.recipients[0]])
      }
    }
  }
}

import Testing

@testable import IMC

@Suite struct TLSEngineTests {
  private func server() throws -> TLSContext {
    try TLSContext.server(certificateFile: TestCertificates.server, keyFile: TestCertificates.key)
  }

  /// Carries octets between the two until neither has any; the last word of each about the handshake.
  private func shakeHands(_ client: TLSEngine, _ server: TLSEngine) -> (TLSEngine.Handshake, TLSEngine.Handshake) {
    var ofClient = client.handshake()
    var ofServer = server.handshake()
    for _ in 0..<10 {
      carry(from: client, to: server)
      if ofServer == .needsInput { ofServer = server.handshake() }
      carry(from: server, to: client)
      if ofClient == .needsInput { ofClient = client.handshake() }
    }
    return (ofClient, ofServer)
  }

  private func carry(from: TLSEngine, to: TLSEngine) {
    var octets: [UInt8] = []
    from.takeOutput(into: &octets)
    #expect(!from.hasOutput)
    // An octet at a time: the engine must not mind where records are cut.
    for octet in octets { #expect(withUnsafeBytes(of: octet) { to.feed($0) }) }
  }

  private func read(_ engine: TLSEngine) -> (text: String, TLSEngine.Reading) {
    var text: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1000)
    while true {
      let reading = buffer.withUnsafeMutableBytes { engine.read(into: $0) }
      guard case .octets(let count) = reading else { return (String(decoding: text, as: UTF8.self), reading) }
      text += buffer[..<count]
    }
  }

  @Test func `octets pass both ways under TLS, and its end is said`() throws {
    let client = try TLSEngine(.client(trusting: .anybody), serverName: "mx.example")
    let server = try TLSEngine(server())
    let (ofClient, ofServer) = shakeHands(client, server)
    #expect(ofClient == .done && ofServer == .done)
    #expect(client.summary.hasPrefix("TLSv1.3 TLS_"))

    let long = String(repeating: "EHLO client.example\r\n", count: 5000)
    #expect(Array(long.utf8).withUnsafeBytes { client.write($0) } == nil)
    carry(from: client, to: server)
    #expect(read(server) == (long, .needsInput))
    #expect(Array("250 server\r\n".utf8).withUnsafeBytes { server.write($0) } == nil)
    server.close()
    carry(from: server, to: client)
    #expect(read(client) == ("250 server\r\n", .end))
  }

  @Test(arguments: ["mx.example", "127.0.0.1"])
  func `a certificate of a known authority for this name is taken`(name: String) throws {
    let context = try TLSContext.client(trusting: .authorities(file: TestCertificates.authority))
    let client = try TLSEngine(context, serverName: name)
    #expect(shakeHands(client, try TLSEngine(server())).0 == .done)
  }

  @Test(arguments: ["other.example", "127.0.0.2", "example", "x.mx.example"])
  func `a certificate for another name is refused`(name: String) throws {
    let context = try TLSContext.client(trusting: .authorities(file: TestCertificates.authority))
    let client = try TLSEngine(context, serverName: name)
    let word = shakeHands(client, try TLSEngine(server())).0
    let isAddress = name.first == "1"
    #expect(word == .failed(TLSError("certificate: \(isAddress ? "IP address" : "hostname") mismatch")))
  }

  @Test func `a certificate of an unknown authority is refused`() throws {
    let context = try TLSContext.client(trusting: .authorities(file: TestCertificates.otherAuthority))
    let client = try TLSEngine(context, serverName: "mx.example")
    guard case .failed(let error) = shakeHands(client, try TLSEngine(server())).0 else {
      Issue.record("was taken")
      return
    }
    #expect(error.description.hasPrefix("certificate: unable to get"))
  }

  @Test func `who verifies must say whom`() throws {
    let context = try TLSContext.client(trusting: .authorities(file: TestCertificates.authority))
    #expect(throws: TLSError.self) { try TLSEngine(context) }
  }

  @Test func `a missing file is an error at once`() {
    #expect(throws: TLSError.self) { try TLSContext.server(certificateFile: "/nonexistent", keyFile: "/nonexistent") }
    #expect(throws: TLSError.self) { try TLSContext.client(trusting: .authorities(file: "/nonexistent")) }
    #expect(throws: TLSError.self) {
      try TLSContext.server(certificateFile: TestCertificates.server, keyFile: TestCertificates.directory + "/ca.key")
    }
  }

  @Test func `what is not TLS fails the handshake`() throws {
    let server = try TLSEngine(server())
    #expect(Array("GET / HTTP/1.1\r\n\r\n".utf8).withUnsafeBytes { server.feed($0) })
    guard case .failed = server.handshake() else {
      Issue.record("was taken")
      return
    }
  }

  @Test(arguments: [("-tls1_1", false), ("-tls1_2", true), ("-alpn smtp", true), ("-alpn http/1.1", false)])
  func `old versions and other protocols are refused`(option: String, isTaken: Bool) throws {
    let client = try OpenSSLClient(option, server: TLSEngine(server()))
    #expect(try client.shakesHands() == isTaken)
  }
}

// One TLS connection without I/O: octets of the peer in, plain octets out, and the other way round. OpenSSL works on two
// memory BIOs; whoever owns the socket carries octets between it and the engine.
//
//   socket ──feed──▶ engine ──read──▶ session
//   socket ◀─takeOutput── engine ◀──write── session
//
// After every call that is not takeOutput there may be output to take. Memory is bounded by the owner: it feeds one read's
// worth, then reads until `.needsInput`; it stops writing while output waits for the socket.
//
// States: shaking hands ──handshake() = .done──▶ established ──close(), read() = .end──▶ over; any ──.failed──▶ over.
// Renegotiation is off, so that once established the engine never needs input in order to write.

internal import COpenSSL
internal import CTLS

/// Thread: one at a time.
final class TLSEngine {
  private let raw: OpaquePointer
  private let context: TLSContext

  /// - Parameter serverName: For clients: the name to ask for (SNI) and, when the context verifies, to insist on.
  /// - Throws: ``TLSError`` when memory is short or the name is no name.
  init(_ context: TLSContext, serverName: String? = nil) throws(TLSError) {
    guard let raw = ctls_connection(context.raw, context.isServer ? 1 : 0) else { throw .last("connection") }
    self.raw = raw
    self.context = context
    if context.verifiesPeer, serverName == nil { throw TLSError("no name to verify") }
    if let serverName, ctls_set_server_name(raw, serverName, context.verifiesPeer ? 1 : 0) != 1 {
      throw .last("server name")
    }
  }

  deinit { SSL_free(raw) }

  enum Handshake: Equatable {
    case done
    case needsInput
    case failed(TLSError)
  }

  /// Takes the handshake as far as the octets fed allow.
  func handshake() -> Handshake {
    ERR_clear_error()
    let result = SSL_do_handshake(raw)
    if result == 1 { return .done }
    if SSL_get_error(raw, result) == SSL_ERROR_WANT_READ { return .needsInput }
    let verified = SSL_get_verify_result(raw)
    let error = TLSError.last("handshake")
    guard context.verifiesPeer, verified != Int(X509_V_OK), let reason = X509_verify_cert_error_string(verified) else {
      return .failed(error)
    }
    return .failed(TLSError("certificate: \(String(cString: reason))"))
  }

  /// Hands over octets of the peer. False when memory is short.
  func feed(_ octets: UnsafeRawBufferPointer) -> Bool { ctls_feed(raw, octets.baseAddress, octets.count) == 0 }

  enum Reading: Equatable {
    /// So many octets, at least one.
    case octets(Int)
    case needsInput
    /// The peer said that nothing more comes.
    case end
    case failed(TLSError)
  }

  func read(into buffer: UnsafeMutableRawBufferPointer) -> Reading {
    ERR_clear_error()
    var count = 0
    let result = SSL_read_ex(raw, buffer.baseAddress, buffer.count, &count)
    if result == 1 { return .octets(count) }
    switch SSL_get_error(raw, result) {
    case SSL_ERROR_WANT_READ: return .needsInput
    case SSL_ERROR_ZERO_RETURN: return .end
    default: return .failed(.last("read"))  // an open C enumeration
    }
  }

  /// Encrypts all of the octets. Not nil when the connection is over, and why.
  func write(_ octets: UnsafeRawBufferPointer) -> TLSError? {
    var rest = octets
    while !rest.isEmpty {
      ERR_clear_error()
      var count = 0
      guard SSL_write_ex(raw, rest.baseAddress, rest.count, &count) == 1, count > 0 else { return .last("write") }
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
    return nil
  }

  /// Says that nothing more will be written.
  func close() {
    // Its failure means that the connection is over already.
    _ = SSL_shutdown(raw)
    ERR_clear_error()
  }

  var hasOutput: Bool { ctls_waiting_output(raw) > 0 }

  /// Appends what the peer is to get.
  func takeOutput(into output: inout [UInt8]) {
    let count = ctls_waiting_output(raw)
    guard count > 0 else { return }
    let start = output.count
    output.append(contentsOf: repeatElement(0, count: count))
    let drained = output.withUnsafeMutableBytes { ctls_drain(raw, $0.baseAddress?.advanced(by: start), count) }
    output.removeLast(count - Int(drained))
  }

  /// Protocol and cipher, such as `TLSv1.3 TLS_AES_256_GCM_SHA384`, for trace and log.
  var summary: String {
    let version = String(cString: SSL_get_version(raw))
    guard let cipher = SSL_CIPHER_get_name(SSL_get_current_cipher(raw)) else { return version }
    return "\(version) \(String(cString: cipher))"
  }
}

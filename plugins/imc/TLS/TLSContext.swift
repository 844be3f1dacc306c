internal import COpenSSL
internal import CTLS

/// What the connections of one listener or one sink share: certificate, key, authorities, ticket keys.
/// Thread: one at a time.
final class TLSContext {
  let raw: OpaquePointer
  let isServer: Bool
  /// The peer must be who its name says.
  let verifiesPeer: Bool

  private init(_ raw: OpaquePointer, isServer: Bool, verifiesPeer: Bool) {
    self.raw = raw
    self.isServer = isServer
    self.verifiesPeer = verifiesPeer
  }

  /// A server with its certificate chain, own certificate first, and its unencrypted private key, both PEM. Session
  /// tickets are good for this context only.
  static func server(certificateFile: String, keyFile: String) throws(TLSError) -> TLSContext {
    ctls_prepare()
    guard let raw = ctls_server_context(certificateFile, keyFile) else { throw .last("certificate or key") }
    return TLSContext(raw, isServer: true, verifiesPeer: false)
  }

  /// How far a client trusts.
  enum Trust {
    /// Encrypts to anybody: it keeps listeners out, not impostors (RFC 7435).
    case anybody
    /// The chain must end at an authority of the file (PEM), or of the system, and the certificate bear the name.
    case authorities(file: String?)
  }

  static func client(trusting trust: Trust) throws(TLSError) -> TLSContext {
    ctls_prepare()
    switch trust {
    case .anybody:
      // Weak keys beat clear text, to which an opportunistic client would otherwise return.
      guard let raw = ctls_client_context(0) else { throw .last("client") }
      return TLSContext(raw, isServer: false, verifiesPeer: false)
    case .authorities(let file):
      guard let raw = ctls_client_context(2) else { throw .last("client") }
      let context = TLSContext(raw, isServer: false, verifiesPeer: true)
      guard ctls_verify_peers(raw, file) == 1 else { throw .last("authorities") }
      return context
    }
  }

  deinit { SSL_CTX_free(raw) }
}

/// Why TLS failed: a line for the log.
struct TLSError: Error, Equatable, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }

  /// The reason that OpenSSL gave on this thread.
  static func last(_ what: String) -> TLSError {
    var line = [CChar](repeating: 0, count: 256)
    guard ctls_last_error(&line, line.count) == 1 else { return TLSError(what) }
    return TLSError(
      "\(what): \(String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))")
  }
}

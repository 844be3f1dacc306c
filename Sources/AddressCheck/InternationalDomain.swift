internal import CIDN2

/// Domain names beyond ASCII, by libidn2. RFC 5891 with the mapping of UTS 46 (non-transitional).
public enum InternationalDomain {
  /// Why a name has no A-labels; the text is libidn2's own, plain ASCII.
  public struct Failure: Error, Hashable, Sendable {
    public let text: String
  }

  /// The name in A-labels, lower case, ready for the DNS. ASCII names are checked and come back as they are but for case.
  /// - Parameter domain: A name, not a literal, without a NUL.
  public static func toASCII(_ domain: String) throws(Failure) -> String {
    var output: UnsafeMutablePointer<UInt8>?
    let flags = Int32(IDN2_NFC_INPUT.rawValue | IDN2_NONTRANSITIONAL.rawValue)
    let result = domain.withCString { source in
      source.withMemoryRebound(to: UInt8.self, capacity: domain.utf8.count + 1) { idn2_lookup_u8($0, &output, flags) }
    }
    guard result == IDN2_OK.rawValue, let output else { throw Failure(text: String(cString: idn2_strerror(result))) }
    // SAFETY: libidn2 allocated the C string and gave it away.
    defer { idn2_free(output) }
    return String(cString: output)
  }
}

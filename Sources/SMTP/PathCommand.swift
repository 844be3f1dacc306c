import MailModel

/// The argument of `MAIL` and `RCPT`: a path and parameters. RFC 5321 §4.1.1.2, §4.1.1.3 and §4.1.2.
///
/// Finds where the path ends and no more; which addresses are good is judged elsewhere.
struct PathCommand {
  struct Parameter {
    /// In upper case.
    var keyword: String
    /// Nil without `=`.
    var value: ArraySlice<UInt8>?
  }

  /// Between `<` and `>`, without a source route (RFC 5321 appendix C lets a server ignore it); empty for `<>`.
  var mailbox: ArraySlice<UInt8>
  var parameters: [Parameter]

  static let parametersMax = 32

  /// - Parameters:
  ///   - argument: What follows the verb and its space.
  ///   - prefix: `FROM:` or `TO:`.
  ///   - badPath: The enhanced code for a path that has no end.
  init(_ argument: ArraySlice<UInt8>, prefix: String, badPath: EnhancedStatusCode) throws(Refusal) {
    var rest = argument
    for expected in prefix.utf8 {
      guard let octet = rest.popFirst(), ASCII.upper(octet) == expected else {
        throw Refusal(501, EnhancedStatusCode(.permanent, 5, 4), "expected \(prefix)<address>")
      }
    }
    rest = rest.drop { $0 == ASCII.space }  // not in the grammar, but common
    guard rest.popFirst() == ASCII.less else {
      throw Refusal(501, badPath, "expected an address in angle brackets")
    }
    var quoted = false
    var escaped = false
    var end: Int?
    scan: for index in rest.indices {
      let octet = rest[index]
      if escaped {
        escaped = false
        continue
      }
      switch octet {
      case ASCII.backslash: escaped = true
      case ASCII.quote: quoted.toggle()
      case ASCII.greater where !quoted:
        end = index
        break scan
      default: break
      }
    }
    guard let end else { throw Refusal(501, badPath, "the address does not end") }
    mailbox = rest[rest.startIndex..<end]
    guard mailbox.count <= Limits.addressOctetsMax, !mailbox.contains(where: ASCII.isControl) else {
      throw Refusal(501, badPath, "the address is too long or holds control characters")
    }
    if mailbox.first == ASCII.at {
      guard let colon = mailbox.firstIndex(of: ASCII.colon) else {
        throw Refusal(501, badPath, "a route without a mailbox")
      }
      mailbox = mailbox[(colon + 1)...]
    }
    parameters = try Self.parameters(rest[(end + 1)...])
  }

  private static func parameters(_ octets: ArraySlice<UInt8>) throws(Refusal) -> [Parameter] {
    let syntax = EnhancedStatusCode(.permanent, 5, 4)
    if let first = octets.first, first != ASCII.space { throw Refusal(501, syntax, "no space after the address") }
    var parameters: [Parameter] = []
    for word in octets.split(separator: ASCII.space) {
      guard parameters.count < parametersMax else { throw Refusal(501, syntax, "too many parameters") }
      let name = word.prefix { $0 != ASCII.equals }
      guard let keyword = ASCII.upperText(name), isKeyword(name) else { throw Refusal(501, syntax, "bad parameter") }
      guard !parameters.contains(where: { $0.keyword == keyword }) else {
        throw Refusal(501, syntax, "parameter given twice")
      }
      let value: ArraySlice<UInt8>? = name.endIndex == word.endIndex ? nil : word[(name.endIndex + 1)...]
      parameters.append(Parameter(keyword: keyword, value: value))
    }
    return parameters
  }

  /// esmtp-keyword of RFC 5321 §4.1.2.
  private static func isKeyword(_ octets: ArraySlice<UInt8>) -> Bool {
    guard let first = octets.first, first != ASCII.hyphen else { return false }
    return octets.allSatisfy { ASCII.isDigit($0) || (0x41...0x5A).contains(ASCII.upper($0)) || $0 == ASCII.hyphen }
  }
}

extension Address {
  public enum Role: Sendable, Hashable {
    case originator
    case recipient
  }

  /// What is wrong with the text by the rules of its kind, or nil. Originators are judged as strictly as recipients
  /// (failure mode A31); only the codes differ (RFC 3463 §3.2).
  /// - Parameter smtputf8: The message asked for SMTPUTF8; without it a non-ASCII mailbox is 5.6.7.
  public func validate(role: Role, smtputf8: Bool) -> AddressError? {
    do throws(AddressError) {
      switch kind {
      case .smtp: _ = try SMTPAddress.parse(text, allowUTF8: smtputf8)
      case .x400: _ = try ORAddress.parse(text)
      case .msmail: _ = try MSMailAddress.parse(text)
      case .other: throw AddressError("unknown address type", at: 0, code: .badDestinationSystem)
      }
      return nil
    } catch {
      guard role == .originator else { return error }
      var error = error
      switch error.code {
      case .badDestinationSyntax: error.code = .badSenderSyntax
      case .badDestinationSystem: error.code = .badSenderSystem
      default: break  // 5.6.7 says the same of both.
      }
      return error
    }
  }
}

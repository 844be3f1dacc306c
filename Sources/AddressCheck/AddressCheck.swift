public import MailModel

/// What the address-validator stage finds wrong with an address: what its kind's grammar finds, and for a domain beyond
/// ASCII what libidn2 finds. Nothing is looked up.
public enum AddressCheck {
  /// - Returns: What a report says, or nil when the address is good.
  public static func problem(
    with address: Address, as role: Address.Role, smtputf8: Bool
  ) -> DeliveryStatus? {
    let who = role == .originator ? "the originator's address" : "the address"
    if let error = address.validate(role: role, smtputf8: smtputf8) {
      return DeliveryStatus(error.code, "\(who) is not valid: \(error.text)")
    }
    guard address.kind == .smtp, let at = address.text.utf8.lastIndex(of: UInt8(ascii: "@")) else { return nil }
    let domain = String(address.text[address.text.index(after: at)...])
    guard !domain.utf8.allSatisfy({ $0 < 0x80 }) else { return nil }
    do throws(InternationalDomain.Failure) {
      _ = try InternationalDomain.toASCII(domain)
      return nil
    } catch {
      let code = role == .originator ? EnhancedStatusCode.badSenderSyntax : .badDestinationSyntax
      return DeliveryStatus(code, "\(who) is not valid: its domain is no international name (\(error.text))")
    }
  }
}

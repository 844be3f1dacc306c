import MailModel

extension Address {
  /// The key of the next system that this address leads to, as far as the address tells: recipients with the same key
  /// share a queue, and a dead destination holds up only its own (failure mode B8).
  var destinationKey: String {
    switch kind {
    case .smtp:
      let domain = text.utf8.lastIndex(of: UInt8(ascii: "@")).map { text[text.index(after: $0)...] } ?? ""
      return domain.lowercased()
    case .msmail:
      return text.split(separator: "/", maxSplits: 2).prefix(2).joined(separator: "/").lowercased()
    case .x400, .other:
      return ""
    }
  }
}

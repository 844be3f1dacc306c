/// An address of MS Mail for PC Networks: `NETWORK/POSTOFFICE/MAILBOX`, each of at most ten characters.
///
/// Characters as the KB articles have them: a mailbox is of letters, digits and extended characters (Q199676), besides
/// the reserved `$SYSTEM` and `*SPECIAL` (Q112879); names of networks and post offices exclude punctuation (Q91044).
/// Extended characters are those beyond ASCII; whether a post office's code page has them is known only there.
public struct MSMailAddress: Sendable {
  public let network: String
  public let postOffice: String
  public let mailbox: String

  /// Characters of each part (Q116466).
  public static let partCharactersMax = 10
  /// Networks that name gateways and so never a post office's network (Q175978).
  public static let reservedNetworks: Set<String> = [
    "ATTMAIL", "COMPUSERVE", "DISOSS", "EASYLINK", "ENVOY", "FAX", "GTE", "MCI", "MHS", "MSMAIL", "OV", "PROFS", "SMTP",
    "SNADS", "SOURCE", "VMGATE", "X400", "*EMS",
  ]

  /// A mailbox of the post office itself, not of a person: directory synchronisation and address lists.
  public var isReserved: Bool { Self.reservedMailboxes.contains(mailbox.uppercased()) }

  private static let reservedMailboxes: Set<String> = ["$SYSTEM", "*SPECIAL"]

  /// - Throws: 5.1.3 with the place; 5.1.2 for a reserved network.
  public static func parse(_ text: String) throws(AddressError) -> MSMailAddress {
    guard !text.isEmpty else { throw AddressError("the address is empty", at: 0) }
    // Three parts, each character at most four octets.
    let octetsMax = 3 * partCharactersMax * 4 + 2
    guard text.utf8.count <= octetsMax else {
      throw AddressError("the address has \(text.utf8.count) octets, more than \(octetsMax)", at: octetsMax)
    }
    let octets = Array(text.utf8)
    let parts = octets.split(separator: .slash, omittingEmptySubsequences: false)
    guard parts.count == 3 else {
      throw AddressError("\(parts.count) parts instead of NETWORK/POSTOFFICE/MAILBOX", at: parts[0].endIndex)
    }
    let network = try part(parts[0], "network", isMailbox: false)
    if reservedNetworks.contains(network.uppercased()) {
      throw AddressError("the network is reserved for a gateway", at: 0, code: .badDestinationSystem)
    }
    return MSMailAddress(
      network: network, postOffice: try part(parts[1], "post office", isMailbox: false),
      mailbox: try part(parts[2], "mailbox", isMailbox: true))
  }

  private static func part(
    _ octets: ArraySlice<UInt8>, _ place: String, isMailbox: Bool
  ) throws(AddressError) -> String {
    guard !octets.isEmpty else { throw .at(octets.startIndex, "the \(place) is missing") }
    let text = String(decoding: octets, as: UTF8.self)
    guard text.unicodeScalars.count <= partCharactersMax else {
      throw .at(octets.startIndex, "the \(place) has more than \(partCharactersMax) characters,")
    }
    if isMailbox ? reservedMailboxes.contains(text.uppercased()) : reservedNetworks.contains(text.uppercased()) {
      return text
    }
    var offset = octets.startIndex
    for scalar in text.unicodeScalars {
      switch scalar {
      case "A"..."Z", "a"..."z", "0"..."9": break
      case " " where !isMailbox && offset != octets.startIndex && offset != octets.endIndex - 1: break
      // The quotation marks that Windows has at 145…148 (Q199676).
      case "\u{2018}", "\u{2019}", "\u{201C}", "\u{201D}": throw .at(offset, "a quotation mark in the \(place)")
      case "\u{80}"...:
        guard ORAddress.Repertoire.isGraphic(scalar) else {
          throw .at(offset, "a control or invisible character in the \(place)")
        }
      default: throw .unexpected(octets[offset], at: offset, in: "the \(place)")
      }
      offset += UTF8.width(scalar)
    }
    return text
  }
}

extension MSMailAddress: CustomStringConvertible {
  public var description: String { "\(network)/\(postOffice)/\(mailbox)" }
}

/// Case does not matter (Q103421).
extension MSMailAddress: Hashable {
  private var folded: String { description.uppercased() }
  public static func == (left: MSMailAddress, right: MSMailAddress) -> Bool { left.folded == right.folded }
  public func hash(into hasher: inout Hasher) { hasher.combine(folded) }
}

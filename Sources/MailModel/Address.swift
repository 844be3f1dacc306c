/// Which world an address belongs to; the raw value is part of the spool format and of the stage ABI.
public enum AddressKind: UInt8, Sendable, CaseIterable {
  case smtp = 1
  case x400 = 2
  case msmail = 3
  /// A kind that only some stage understands; the text starts with the kind's own prefix.
  case other = 255

  /// The address-type of RFC 3464 §2.3.1 for reports.
  public var reportType: String {
    switch self {
    case .smtp: "rfc822"
    case .x400: "x400"
    case .msmail: "x-msmail"
    case .other: "x-other"
    }
  }

  /// The word that configuration, logs and the command line use.
  public var word: String {
    switch self {
    case .smtp: "smtp"
    case .x400: "x400"
    case .msmail: "msmail"
    case .other: "other"
    }
  }

  public init?(word: String) {
    guard let kind = Self.allCases.first(where: { $0.word == word }) else { return nil }
    self = kind
  }
}

/// An address as its source gave it: verbatim, not yet judged, so that a report can repeat it to the letter.
///
/// For ``AddressKind/smtp`` the text is a Mailbox without angle brackets; for ``AddressKind/x400`` a text form of
/// X.402 Annex F or RFC 2156; for ``AddressKind/msmail`` `NETWORK/POSTOFFICE/MAILBOX`.
public struct Address: Hashable, Sendable {
  public var kind: AddressKind
  public var text: String

  public init(_ kind: AddressKind, _ text: String) {
    self.kind = kind
    self.text = text
  }

  public static func smtp(_ text: String) -> Address { Address(.smtp, text) }
}

extension Address: CustomStringConvertible {
  public var description: String { text }
}

/// What travels with a content: who sent it, to whom, and what they asked for. RFC 5321 §2.3.1.
public struct Envelope: Hashable, Sendable {
  /// Where reports go; nil is the null reverse-path, about which nothing is ever reported (RFC 5321 §4.5.5).
  public var reversePath: Address?
  /// One or more. Answers name recipients by index, so order is kept.
  public var recipients: [Recipient]
  /// ENVID of RFC 3461 §4.4, decoded from xtext.
  public var envelopeID: String?
  /// RET of RFC 3461 §4.3; nil when the originator did not say.
  public var returnContent: ReturnContent?
  public var bodyType: BodyType
  /// The originator asked for SMTPUTF8 (RFC 6531): addresses or header fields may hold UTF-8.
  public var smtputf8: Bool
  /// Facts that a source or a filter attaches and others may read, such as `client.address` or `x400.mts-identifier`.
  public var attributes: [Attribute]

  public init(
    reversePath: Address?, recipients: [Recipient], envelopeID: String? = nil, returnContent: ReturnContent? = nil,
    bodyType: BodyType = .sevenBit, smtputf8: Bool = false, attributes: [Attribute] = []
  ) {
    self.reversePath = reversePath
    self.recipients = recipients
    self.envelopeID = envelopeID
    self.returnContent = returnContent
    self.bodyType = bodyType
    self.smtputf8 = smtputf8
    self.attributes = attributes
  }

  public func attribute(_ name: String) -> String? { attributes.first { $0.name == name }?.value }
}

/// How much of the content a failure report returns. RFC 3461 §4.3.
public enum ReturnContent: UInt8, Sendable {
  case full = 1
  case headers = 2
}

/// RFC 6152 and RFC 3030.
public enum BodyType: UInt8, Sendable {
  case sevenBit = 0
  case eightBitMIME = 1
  case binaryMIME = 2
}

public struct Attribute: Hashable, Sendable {
  public var name: String
  public var value: String

  public init(_ name: String, _ value: String) {
    self.name = name
    self.value = value
  }
}

/// One recipient that this message must reach; header fields may name others (failure mode D3).
public struct Recipient: Hashable, Sendable {
  public var address: Address
  /// NOTIFY of RFC 3461 §4.1; nil when the originator did not say, which means failure and possibly delay.
  public var notify: Notify?
  /// ORCPT of RFC 3461 §4.2: the address type and the address, decoded from xtext.
  public var originalRecipient: OriginalRecipient?
  public var attributes: [Attribute]

  public init(
    _ address: Address, notify: Notify? = nil, originalRecipient: OriginalRecipient? = nil, attributes: [Attribute] = []
  ) {
    self.address = address
    self.notify = notify
    self.originalRecipient = originalRecipient
    self.attributes = attributes
  }
}

/// RFC 3461 §4.1. The empty set is NEVER.
public struct Notify: OptionSet, Hashable, Sendable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  public static let never: Notify = []
  public static let success = Notify(rawValue: 1)
  public static let failure = Notify(rawValue: 2)
  public static let delay = Notify(rawValue: 4)
}

public struct OriginalRecipient: Hashable, Sendable {
  /// The address-type, such as `rfc822`.
  public var type: String
  public var text: String

  public init(type: String, text: String) {
    self.type = type
    self.text = text
  }
}

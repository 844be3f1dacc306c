import MailModel

/// What follows the path in `MAIL`: SIZE (RFC 1870), BODY (RFC 6152), RET and ENVID (RFC 3461), SMTPUTF8 (RFC 6531).
struct MailParameters {
  var declaredOctets: Int?
  var bodyType = BodyType.sevenBit
  var returnContent: ReturnContent?
  var envelopeID: String?
  var smtputf8 = false

  static let envelopeIDOctetsMax = 100  // RFC 3461 §4.4

  init(_ parameters: [PathCommand.Parameter], isExtended: Bool) throws(Refusal) {
    try PathCommand.checkAllowed(parameters, isExtended: isExtended)
    for parameter in parameters {
      switch parameter.keyword {
      case "SIZE":
        guard let value = parameter.value, (1...20).contains(value.count), value.allSatisfy(ASCII.isDigit) else {
          throw PathCommand.badValue("SIZE")
        }
        declaredOctets = ASCII.number(value) ?? Int.max
      case "BODY":
        switch parameter.value.flatMap(ASCII.upperText) {
        case "7BIT": bodyType = .sevenBit
        case "8BITMIME": bodyType = .eightBitMIME
        default: throw PathCommand.badValue("BODY")
        }
      case "RET":
        switch parameter.value.flatMap(ASCII.upperText) {
        case "FULL": returnContent = .full
        case "HDRS": returnContent = .headers
        default: throw PathCommand.badValue("RET")
        }
      case "ENVID":
        guard let value = parameter.value, (1...Self.envelopeIDOctetsMax).contains(value.count),
          let decoded = XText.decode(value)
        else { throw PathCommand.badValue("ENVID") }
        envelopeID = decoded
      case "SMTPUTF8":
        guard parameter.value == nil else { throw PathCommand.badValue("SMTPUTF8") }
        smtputf8 = true
      default: throw PathCommand.unknown
      }
    }
  }
}

/// What follows the path in `RCPT`: NOTIFY and ORCPT (RFC 3461 §4.1 and §4.2).
struct RecipientParameters {
  var notify: Notify?
  var originalRecipient: OriginalRecipient?

  static let originalRecipientOctetsMax = 500  // RFC 3461 §4.2

  init(_ parameters: [PathCommand.Parameter], isExtended: Bool, smtputf8: Bool) throws(Refusal) {
    try PathCommand.checkAllowed(parameters, isExtended: isExtended)
    for parameter in parameters {
      guard let value = parameter.value, !value.isEmpty else { throw PathCommand.badValue("parameter") }
      switch parameter.keyword {
      case "NOTIFY": notify = try Self.notify(value)
      case "ORCPT": originalRecipient = try Self.originalRecipient(value, smtputf8: smtputf8)
      default: throw PathCommand.unknown
      }
    }
  }

  private static func notify(_ value: ArraySlice<UInt8>) throws(Refusal) -> Notify {
    var notify = Notify.never
    let words = value.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
    if words.count == 1, ASCII.upperText(words[0]) == "NEVER" { return .never }
    for word in words {
      switch ASCII.upperText(word) {
      case "SUCCESS": notify.insert(.success)
      case "FAILURE": notify.insert(.failure)
      case "DELAY": notify.insert(.delay)
      default: throw PathCommand.badValue("NOTIFY")
      }
    }
    return notify
  }

  private static func originalRecipient(
    _ value: ArraySlice<UInt8>, smtputf8: Bool
  ) throws(Refusal) -> OriginalRecipient {
    let type = value.prefix { $0 != ASCII.semicolon }
    guard value.count <= originalRecipientOctetsMax, !type.isEmpty, type.count < value.count,
      type.allSatisfy({ ASCII.isDigit($0) || (0x41...0x5A).contains(ASCII.upper($0)) || $0 == ASCII.hyphen })
    else { throw PathCommand.badValue("ORCPT") }
    let isUTF8 = ASCII.upperText(type) == "UTF-8"
    var text = XText.decode(value[(type.endIndex + 1)...], allowsEightBit: isUTF8 && smtputf8)
    if isUTF8 { text = text.flatMap(XText.decodeUnicodeEscapes) }
    guard let text, !text.isEmpty else { throw PathCommand.badValue("ORCPT") }
    return OriginalRecipient(type: String(decoding: type, as: UTF8.self).lowercased(), text: text)
  }
}

extension PathCommand {
  static let unknown = Refusal(555, EnhancedStatusCode(.permanent, 5, 4), "parameter not recognized")

  static func badValue(_ keyword: String) -> Refusal {
    Refusal(501, EnhancedStatusCode(.permanent, 5, 4), "bad value of \(keyword)")
  }

  /// Parameters belong to `EHLO` sessions. RFC 5321 §4.1.1.11.
  static func checkAllowed(_ parameters: [Parameter], isExtended: Bool) throws(Refusal) {
    if !isExtended, !parameters.isEmpty {
      throw Refusal(555, EnhancedStatusCode(.permanent, 5, 4), "parameters need EHLO")
    }
  }
}

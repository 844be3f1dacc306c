/// How an envelope and an answer are written as octets (``WireWriter``): in the spool's records and in the frames to
/// and from a stage. Appending a field means a new version of the record or frame around it.

extension WireWriter {
  public mutating func write(_ address: Address) {
    write(address.kind.rawValue)
    write(address.text)
  }

  public mutating func write(_ attributes: [Attribute]) {
    writeList(attributes) { writer, attribute in
      writer.write(attribute.name)
      writer.write(attribute.value)
    }
  }

  public mutating func write(_ recipient: Recipient) {
    write(recipient.address)
    write(recipient.notify.map { $0.rawValue } ?? 0xFF)
    write(recipient.originalRecipient?.type)
    if let original = recipient.originalRecipient { write(original.text) }
    write(recipient.attributes)
  }

  public mutating func write(_ envelope: Envelope) {
    write(envelope.reversePath != nil)
    if let reversePath = envelope.reversePath { write(reversePath) }
    write(envelope.envelopeID)
    write(envelope.returnContent?.rawValue ?? 0)
    write(envelope.bodyType.rawValue)
    write(envelope.smtputf8)
    write(envelope.attributes)
    writeList(envelope.recipients) { writer, recipient in writer.write(recipient) }
  }

  public mutating func write(_ status: DeliveryStatus) {
    write(status.code.class.rawValue)
    write(status.code.subject)
    write(status.code.detail)
    write(status.text)
    write(status.remote != nil)
    if let remote = status.remote {
      write(remote.host)
      write(remote.type)
      write(remote.text)
    }
  }

  public mutating func write(_ answer: Answer) {
    switch answer {
    case .forward(let port, let because):
      write(UInt8(1))
      write(UInt16(port))
      write(because != nil)
      if let because { write(because) }
    case .settled(let settlement, let status):
      write(UInt8(2))
      write(settlement.rawValue)
      write(status)
    case .deferred(let status, let retryAfterSeconds):
      write(UInt8(3))
      write(status)
      write((retryAfterSeconds ?? -1).bitPattern)
    case .failed(let status):
      write(UInt8(4))
      write(status)
    case .held(let reason):
      write(UInt8(5))
      write(reason)
    case .dead(let status):
      write(UInt8(6))
      write(status)
    }
  }
}

extension WireReader {
  public mutating func readAddress() throws(WireCodingError) -> Address {
    guard let kind = AddressKind(rawValue: try read(UInt8.self)) else { throw .invalid("address kind") }
    return Address(kind, try readString())
  }

  public mutating func readAttributes() throws(WireCodingError) -> [Attribute] {
    try readList(max: Limits.attributesMax) { reader throws(WireCodingError) in
      Attribute(try reader.readString(), try reader.readString())
    }
  }

  public mutating func readRecipient() throws(WireCodingError) -> Recipient {
    let address = try readAddress()
    let notify = try read(UInt8.self)
    guard notify == 0xFF || notify <= 7 else { throw .invalid("notify") }
    var original: OriginalRecipient?
    if let type = try readOptionalString() { original = OriginalRecipient(type: type, text: try readString()) }
    return Recipient(
      address, notify: notify == 0xFF ? nil : Notify(rawValue: notify), originalRecipient: original,
      attributes: try readAttributes())
  }

  public mutating func readEnvelope() throws(WireCodingError) -> Envelope {
    let reversePath = try readBool() ? try readAddress() : nil
    let envelopeID = try readOptionalString()
    let returnValue = try read(UInt8.self)
    let returnContent = ReturnContent(rawValue: returnValue)
    guard returnValue == 0 || returnContent != nil else { throw .invalid("return content") }
    guard let bodyType = BodyType(rawValue: try read(UInt8.self)) else { throw .invalid("body type") }
    let smtputf8 = try readBool()
    let attributes = try readAttributes()
    let recipients = try readList(max: Limits.recipientsMax) { reader throws(WireCodingError) in
      try reader.readRecipient()
    }
    return Envelope(
      reversePath: reversePath, recipients: recipients, envelopeID: envelopeID, returnContent: returnContent,
      bodyType: bodyType, smtputf8: smtputf8, attributes: attributes)
  }

  public mutating func readStatus() throws(WireCodingError) -> DeliveryStatus {
    let `class` = try read(UInt8.self)
    let subject = Int(try read(UInt16.self))
    let detail = Int(try read(UInt16.self))
    guard let code = EnhancedStatusCode(class: `class`, subject: subject, detail: detail) else {
      throw .invalid("enhanced status code")
    }
    let text = try readString()
    let remote =
      try readBool() ? RemoteReply(host: try readString(), type: try readString(), text: try readString()) : nil
    return DeliveryStatus(code, text, remote: remote)
  }

  public mutating func readAnswer() throws(WireCodingError) -> Answer {
    switch try read(UInt8.self) {
    case 1:
      let port = Int(try read(UInt16.self))
      return .forward(port: port, because: try readBool() ? try readStatus() : nil)
    case 2:
      guard let settlement = Settlement(rawValue: try read(UInt8.self)) else { throw .invalid("settlement") }
      return .settled(settlement, try readStatus())
    case 3:
      let status = try readStatus()
      let seconds = Double(bitPattern: try read(UInt64.self))
      return .deferred(status, retryAfterSeconds: seconds.isFinite && seconds >= 0 ? seconds : nil)
    case 4: return .failed(try readStatus())
    case 5: return .held(reason: try readString())
    case 6: return .dead(try readStatus())
    default: throw .invalid("answer")
    }
  }
}

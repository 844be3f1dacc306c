import MailModel

/// `DATA` and `BDAT`: content through decoder and meters to the owner. RFC 5321 §4.1.1.4, RFC 3030 §2.
extension SMTPServerSession {
  mutating func beginContent(chunked: Bool) {
    let origin = [
      Attribute("client.address", clientAddress), Attribute("client.name", hello?.name ?? ""),
      Attribute("client.protocol", protocolName),
    ]
    transaction?.content = IncomingContent(decoder: ContentDecoder(chunked ? .counted : .dotted))
    transaction?.envelope.attributes = origin
    guard let transaction else { return }
    emit(.beginContent(transaction.envelope, declaredOctets: transaction.declaredOctets))
  }

  mutating func readData(_ rest: inout ArraySlice<UInt8>) {
    if takeContent(&rest) { endContent() }
  }

  mutating func readChunk(_ chunk: Chunk, _ rest: inout ArraySlice<UInt8>) {
    var chunk = chunk
    var part = rest.prefix(chunk.remainingOctets)
    rest = rest.dropFirst(part.count)
    chunk.remainingOctets -= part.count
    if chunk.refusal == nil { _ = takeContent(&part) }
    if chunk.remainingOctets > 0 { state = .readingChunk(chunk) } else { endChunk(chunk) }
  }

  mutating func endChunk(_ chunk: Chunk) {
    state = .awaitingCommand
    if let refusal = chunk.refusal {
      refuse(refusal)
    } else if chunk.isLast {
      endContent()
    } else if let refusal = transaction?.content?.refusal {
      refuse(refusal)
    } else {
      reply(Reply(250, .success, "\(chunk.announcedOctets) octets received"))
    }
  }

  /// True when dotted content has ended.
  private mutating func takeContent(_ input: inout ArraySlice<UInt8>) -> Bool {
    guard var content = transaction?.content else { return false }
    var output: [UInt8] = []
    output.reserveCapacity(input.count + 2)
    let ended = content.decoder.decode(&input, into: &output)
    settle(&content, output)
    transaction?.content = content
    return ended
  }

  /// Measures what was decoded, and hands it on unless the content is refused.
  private mutating func settle(_ content: inout IncomingContent, _ output: [UInt8]) {
    content.octets = content.octets.addingReportingOverflow(output.count).partialValue
    content.header.scan(output[...])
    guard content.refusal == nil else { return }
    if let refusal = fault(of: content) {
      content.refusal = refusal
      emit(.abandonContent)
    } else if !output.isEmpty {
      emit(.content(output))
    }
  }

  private func fault(of content: IncomingContent) -> Reply? {
    if settings.contentOctetsMax > 0, content.octets > settings.contentOctetsMax { return Self.tooBig }
    if content.header.octets > settings.headerOctetsMax { return Reply(552, .messageTooBig, "header too large") }
    if content.header.hops > settings.hopsMax { return Reply(554, .routingLoop, "too many hops") }
    switch settings.badOctets {
    case .replaceBySpace: return nil
    case .refuse:
      if content.decoder.sawBareLineEnd {
        return Reply(550, EnhancedStatusCode(.permanent, 5, 2), "bare CR or LF in content")
      }
      if content.decoder.sawNUL { return Reply(550, EnhancedStatusCode(.permanent, 6, 0), "NUL in content") }
      return nil
    }
  }

  static let tooBig = Reply(552, .messageTooBig, "message too big")

  /// Content is whole: the owner's turn, or no.
  private mutating func endContent() {
    guard var content = transaction?.content else { return }
    var tail: [UInt8] = []
    content.decoder.finish(into: &tail)
    settle(&content, tail)
    if let refusal = content.refusal {
      transaction = nil
      state = .awaitingCommand
      refuse(refusal)
      return
    }
    transaction?.content = content
    var facts = ContentFacts()
    facts.octets = content.octets
    facts.hasEightBitOctets = content.decoder.hasEightBitOctets
    facts.longestLineOctets = content.decoder.longestLineOctets
    facts.hops = content.header.hops
    state = .awaitingVerdict
    emit(.endContent(facts))
  }
}

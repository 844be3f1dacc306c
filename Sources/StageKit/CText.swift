import CInterchange

// SAFETY (whole folder): pointers that the host passes in are borrowed until the call returns, or until finish for what
// a job shows (interchange.h, STRUCTS); text is copied into a String before that.

extension String {
  /// The text, or nil when it is absent. What is not UTF-8 is repaired; the host never sends such.
  init?(_ text: ix_text) {
    guard let octets = text.octets else { return nil }
    self = octets.withMemoryRebound(to: UInt8.self, capacity: text.count) {
      String(decoding: UnsafeBufferPointer(start: $0, count: text.count), as: UTF8.self)
    }
  }

  /// Lends the text to a C call.
  func lend<Result>(_ body: (ix_text) -> Result) -> Result {
    var copy = self
    return copy.withUTF8 { octets in
      octets.withMemoryRebound(to: CChar.self) { body(ix_text(octets: $0.baseAddress, count: $0.count)) }
    }
  }
}

extension Optional where Wrapped == String {
  func lend<Result>(_ body: (ix_text) -> Result) -> Result {
    switch self {
    case .some(let text): text.lend(body)
    case .none: body(ix_text(octets: nil, count: 0))
    }
  }
}

/// Keeps C copies of texts alive for the life of the process, as a module's description must be.
enum EternalText {
  static func copy(_ text: String?) -> ix_text {
    guard let text else { return ix_text(octets: nil, count: 0) }
    let octets = Array(text.utf8)
    let memory = UnsafeMutablePointer<CChar>.allocate(capacity: max(1, octets.count))
    for (index, octet) in octets.enumerated() { memory[index] = CChar(bitPattern: octet) }
    return ix_text(octets: memory, count: octets.count)
  }
}

/// `IX_ENVELOPE`: the envelope itself, where the index of a recipient is asked for.
let envelopeIndex = Int(bitPattern: UInt.max)

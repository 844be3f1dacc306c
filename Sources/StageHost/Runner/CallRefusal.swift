internal import CInterchange
internal import Glibc

/// Why a call of a stage was not carried out, as the call's result says it.
enum CallRefusal: Error {
  /// The call breaks the contract; the line says how, and the host logs it.
  case invalid(String)
  case again
  case tooBig
  case closed

  var status: ix_status {
    switch self {
    case .invalid: IX_INVALID
    case .again: IX_AGAIN
    case .tooBig: IX_TOO_BIG
    case .closed: IX_CLOSED
    }
  }
}

/// What a stage hands in is copied before it is judged (interchange.h, STRUCTS and TEXT).
enum Handed {
  /// A struct that starts with its size, copied; fields that the stage's size does not cover are zero.
  static func read<Struct: BitwiseCopyable>(
    _ pointer: UnsafePointer<Struct>?, zero: Struct
  ) throws(CallRefusal) -> Struct {
    guard let pointer else { throw .invalid("a NULL struct") }
    // SAFETY: every sized struct starts with a size_t, and the stage vouches for as many octets as that says.
    let size = UnsafeRawPointer(pointer).load(as: Int.self)
    guard size > MemoryLayout<Int>.size, size <= 1 << 16 else { throw .invalid("a struct of size \(size)") }
    var copy = zero
    withUnsafeMutableBytes(of: &copy) {
      $0.copyMemory(from: UnsafeRawBufferPointer(start: pointer, count: min(size, $0.count)))
    }
    return copy
  }

  /// Fills a struct whose size the caller has set, as far as that covers it.
  static func fill<Struct: BitwiseCopyable>(
    _ out: UnsafeMutablePointer<Struct>?, with value: Struct
  ) throws(CallRefusal) {
    guard let out else { throw .invalid("no struct to fill") }
    // SAFETY: as in read.
    let size = UnsafeRawPointer(out).load(as: Int.self)
    guard size > MemoryLayout<Int>.size, size <= 1 << 16 else { throw .invalid("a struct to fill of size \(size)") }
    var value = value
    withUnsafeMutableBytes(of: &value) { octets in
      octets.storeBytes(of: size, as: Int.self)
      UnsafeMutableRawBufferPointer(start: out, count: min(size, octets.count)).copyMemory(
        from: UnsafeRawBufferPointer(rebasing: octets[..<min(size, octets.count)]))
    }
  }

  /// Text, copied; nil when it is absent.
  static func text(_ text: ix_text, octetsMax: Int) throws(CallRefusal) -> String? {
    guard let octets = text.octets else {
      guard text.count == 0 else { throw .invalid("text of \(text.count) octets at NULL") }
      return nil
    }
    guard text.count <= octetsMax else { throw .tooBig }
    // SAFETY: lent until the call returns.
    let raw = UnsafeRawBufferPointer(start: octets, count: text.count)
    guard let copy = String(validating: raw, as: UTF8.self) else { throw .invalid("text that is not UTF-8") }
    return copy
  }

  /// A line for people: what is not UTF-8 is repaired and what is too long is cut, because a line must not be lost.
  static func line(_ text: ix_text, octetsMax: Int) -> String {
    guard let octets = text.octets, text.count > 0 else { return "" }
    // SAFETY: lent until the call returns.
    let raw = UnsafeRawBufferPointer(start: octets, count: min(text.count, octetsMax))
    return String(decoding: raw, as: UTF8.self)
  }

  /// A status text: UTF-8, or refused; cut at a character when it is too long.
  static func statusText(_ text: ix_text, octetsMax: Int) throws(CallRefusal) -> String? {
    guard let full = try Self.text(text, octetsMax: 1 << 20), full.utf8.count > octetsMax else {
      return try Self.text(text, octetsMax: 1 << 20)
    }
    var end = full.utf8.index(full.utf8.startIndex, offsetBy: octetsMax)
    while end.samePosition(in: full.unicodeScalars) == nil { end = full.utf8.index(before: end) }
    return String(full[..<end])
  }
}

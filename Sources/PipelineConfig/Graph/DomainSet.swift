/// A domain in a router's rule.
public struct DomainPattern: Hashable, Sendable {
  /// Lower case, without dots at either end.
  public var name: String
  /// `.example.com` or `*.example.com`: every domain below, not the domain itself.
  public var isSuffix: Bool

  /// Nil when the text is no domain: letters, digits, `-`, `_`, UTF-8, or an address literal in square brackets.
  public init?(_ text: String) {
    var rest = text.lowercased()[...]
    isSuffix = false
    if rest.hasPrefix("*.") || rest.hasPrefix(".") {
      isSuffix = true
      rest = rest.drop { $0 == "*" }.dropFirst()
    }
    if rest.hasSuffix(".") { rest = rest.dropLast() }
    guard (1...255).contains(rest.utf8.count) else { return nil }
    if rest.hasPrefix("["), rest.hasSuffix("]"), !isSuffix {
      guard rest.utf8.dropFirst().dropLast().allSatisfy({ isHostOctet($0) || $0 == 0x3A }) else { return nil }
    } else {
      let labels = rest.utf8.split(separator: 0x2E, omittingEmptySubsequences: false)
      let isName = labels.allSatisfy { !$0.isEmpty && $0.allSatisfy { octet in octet >= 0x80 || isHostOctet(octet) } }
      guard isName else { return nil }
    }
    name = String(rest)
  }
}

extension DomainPattern: CustomStringConvertible {
  public var description: String { isSuffix ? ".\(name)" : name }
}

/// Domains as a rule names them, with the question answered in the number of the domain's labels, whatever the size
/// of the set.
public struct DomainSet: Sendable, Equatable {
  public private(set) var names: Set<String> = []
  public private(set) var suffixes: Set<String> = []

  public init(_ patterns: [DomainPattern]) {
    for pattern in patterns {
      if pattern.isSuffix { suffixes.insert(pattern.name) } else { names.insert(pattern.name) }
    }
  }

  mutating func formUnion(_ other: DomainSet) {
    names.formUnion(other.names)
    suffixes.formUnion(other.suffixes)
  }

  /// Whether a domain is in the set; letter case and a dot at the end do not count.
  public func contains(_ domain: String) -> Bool {
    let lower = domain.lowercased()
    return containsName(lower.hasSuffix(".") ? lower.dropLast() : lower[...])
  }

  /// Whether every domain of another set is in this one.
  func covers(_ other: DomainSet) -> Bool {
    other.names.allSatisfy { containsName($0[...]) }
      && other.suffixes.allSatisfy { suffixes.contains($0) || isBelowSuffix($0[...]) }
  }

  private func containsName(_ name: Substring) -> Bool { names.contains(String(name)) || isBelowSuffix(name) }

  private func isBelowSuffix(_ name: Substring) -> Bool {
    guard !suffixes.isEmpty else { return false }
    var rest = name
    while let dot = rest.firstIndex(of: ".") {
      rest = rest[rest.index(after: dot)...]
      if suffixes.contains(String(rest)) { return true }
    }
    return false
  }
}

private import MailModel

/// Which rules nothing reaches, because an earlier one takes all that they would (failure mode G11: overlapping address
/// spaces are told at load, never decided by chance). Routing itself stays first match wins.
///
/// A rule is covered by an earlier one when each condition of the earlier is implied by a condition of its own.
struct RouterRuleCoverage {
  private let rules: [RouterRule]
  private let alternatives: [[WrittenAlternative]]
  private var comparisonsLeft = ConfigLimits.ruleComparisonsMax

  init(_ rules: [RouterRule], _ alternatives: [[WrittenAlternative]]) {
    self.rules = rules
    self.alternatives = alternatives
  }

  mutating func warn(_ diagnostics: inout Diagnostics) {
    for index in rules.indices {
      guard comparisonsLeft > 0 else {
        diagnostics.warning("there are too many rules to look for ones that nothing reaches", at: rules[index].mark)
        return
      }
      if let earlier = firstCovering(rules[index].matchers, before: index) {
        diagnostics.warning(
          "nothing reaches this rule: the rule in line \(rules[earlier].mark.line) takes all that it would",
          at: rules[index].mark)
      } else {
        warnAlternatives(of: index, &diagnostics)
      }
    }
  }

  private mutating func warnAlternatives(of index: Int, _ diagnostics: inout Diagnostics) {
    var counts = [Int](repeating: 0, count: rules[index].matchers.count)
    for alternative in alternatives[index] { counts[alternative.matcherIndex] += 1 }
    for alternative in alternatives[index] where counts[alternative.matcherIndex] > 1 && comparisonsLeft > 0 {
      var matchers = rules[index].matchers
      matchers[alternative.matcherIndex] = alternative.single
      if let earlier = firstCovering(matchers, before: index) {
        diagnostics.warning(
          "\(quoted(alternative.text)) is never reached here: the rule in line \(rules[earlier].mark.line) takes it",
          at: alternative.mark)
      }
    }
  }

  private mutating func firstCovering(_ matchers: [RouterMatcher], before index: Int) -> Int? {
    for earlier in 0..<index {
      comparisonsLeft -= 1
      if rules[earlier].matchers.allSatisfy({ wide in matchers.contains { $0.implies(wide) } }) { return earlier }
    }
    return nil
  }
}

extension RouterMatcher {
  /// One matcher that holds when one of these, all of one field, holds; nil for none.
  static func union(of matchers: [RouterMatcher]) -> RouterMatcher? {
    guard let first = matchers.first else { return nil }
    var kinds: Set<AddressKind> = []
    var senders: Set<SenderKind> = []
    var texts: Set<String> = []
    var domains = DomainSet([])
    for matcher in matchers {
      switch matcher {
      case .recipientKind(let more): kinds.formUnion(more)
      case .senderKind(let more): senders.formUnion(more)
      case .recipientAddress(let more), .origin(let more): texts.formUnion(more)
      case .recipientDomain(let more), .senderDomain(let more): domains.formUnion(more)
      case .sizeOver: break
      }
    }
    switch first {
    case .recipientKind: return .recipientKind(kinds)
    case .senderKind: return .senderKind(senders)
    case .recipientAddress: return .recipientAddress(texts)
    case .origin: return .origin(texts)
    case .recipientDomain: return .recipientDomain(domains)
    case .senderDomain: return .senderDomain(domains)
    case .sizeOver: return first
    }
  }

  /// Whether all that matches this matches the other too.
  func implies(_ other: RouterMatcher) -> Bool {
    switch (self, other) {
    case (.recipientKind(let narrow), .recipientKind(let wide)): return narrow.isSubset(of: wide)
    case (.recipientDomain(let narrow), .recipientDomain(let wide)): return wide.covers(narrow)
    case (.recipientDomain, .recipientKind(let wide)): return wide.contains(.smtp)
    case (.recipientAddress(let narrow), .recipientAddress(let wide)): return narrow.isSubset(of: wide)
    case (.senderKind(let narrow), .senderKind(let wide)): return narrow.isSubset(of: wide)
    case (.senderDomain(let narrow), .senderDomain(let wide)): return wide.covers(narrow)
    case (.senderDomain, .senderKind(let wide)): return wide.contains(.kind(.smtp))
    case (.origin(let narrow), .origin(let wide)): return narrow.isSubset(of: wide)
    case (.sizeOver(let narrow), .sizeOver(let wide)): return narrow >= wide
    case (_, _): return false
    }
  }
}

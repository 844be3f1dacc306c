private import MailModel

/// One written alternative of a matcher, for warnings about alternatives that nothing reaches.
struct WrittenAlternative {
  var matcherIndex: Int
  var single: RouterMatcher
  var text: String
  var mark: ConfigMark
}

/// From the checked settings of a router to its rules.
struct RouterRulesReader {
  var diagnostics: Diagnostics
  private(set) var alternatives: [[WrittenAlternative]] = []
  private(set) var origins: [StageReference] = []
  private var rules: [RouterRule] = []
  private var targets: [StageReference] = []
  private var targetNumbers: [String: Int] = [:]

  init(diagnostics: Diagnostics) { self.diagnostics = diagnostics }

  mutating func read(_ settings: ConfigValue) -> RouterRules {
    let written = settings.list("rules")
    for (index, value) in written.enumerated() {
      // A rule of which a part was complained about is left out: without the part it would match more than was meant.
      let next = index + 1 < written.count ? written[index + 1].mark : nil
      guard !diagnostics.hasErrors(from: value.mark, to: next) else { continue }
      guard let when = value["when"], let action = action(value) else { continue }
      var found: [WrittenAlternative] = []
      let matchers = matchers(when, &found)
      guard matchers.count == when.entries.count else { continue }
      let isAlways = when.text != nil
      if !isAlways, when.entries.isEmpty {
        diagnostics.error("no condition is written", at: when.mark, hint: "write when: always")
        continue
      }
      if index == written.count - 1, !isAlways {
        diagnostics.error(
          "the last rule must take every recipient that is left", at: when.mark,
          hint: "add a rule with when: always, to a stage or with reject")
      }
      rules.append(RouterRule(matchers: matchers, action: action, mark: value.mark))
      alternatives.append(found)
    }
    return RouterRules(rules: rules, targets: targets)
  }

  private mutating func action(_ value: ConfigValue) -> RouterAction? {
    switch (value["to"], value["reject"]) {
    case (let to?, nil):
      let id = to.text ?? ""
      let number = targetNumbers[id] ?? targets.count
      if number == targets.count {
        targetNumbers[id] = number
        targets.append(StageReference(id: id, mark: to.mark))
      }
      return .forward(port: number)
    case (nil, let reject?):
      guard let code = reject["code"], let text = reject["text"] else { return nil }
      guard let status = EnhancedStatusCode(code.text ?? ""), status.class == .permanent else {
        diagnostics.error(
          "\(code.isSecret ? "the secret" : quoted(code.text ?? "")) is not an enhanced status code of class 5",
          at: code.mark, hint: "write 5.7.1 or another of RFC 3463")
        return nil
      }
      guard let words = text.text, (1...200).contains(words.utf8.count),
        words.utf8.allSatisfy({ (0x20...0x7E).contains($0) })
      else {
        diagnostics.error("the text is not one line of at most 200 ASCII characters", at: text.mark)
        return nil
      }
      return .reject(status, text: words)
    case (_?, let reject?):
      diagnostics.error("a rule has either 'to' or 'reject', not both", at: reject.mark)
      return nil
    case (nil, nil):
      diagnostics.error("the rule says neither 'to' nor 'reject'", at: value.mark)
      return nil
    }
  }

  private mutating func matchers(_ when: ConfigValue, _ found: inout [WrittenAlternative]) -> [RouterMatcher] {
    var matchers: [RouterMatcher] = []
    for entry in when.entries {
      let before = found.count
      var values = [entry.value]
      if case .list(let elements) = entry.value.content { values = elements }
      for value in values {
        guard let single = matcher(entry.key, value) else { continue }
        found.append(
          WrittenAlternative(
            matcherIndex: matchers.count, single: single, text: value.description, mark: value.mark))
      }
      guard found.count - before == values.count else { continue }
      if let union = RouterMatcher.union(of: found[before...].map(\.single)) { matchers.append(union) }
    }
    return matchers
  }

  private mutating func matcher(_ field: String, _ value: ConfigValue) -> RouterMatcher? {
    let text = value.text ?? ""
    switch field {
    case "recipient.kind": return AddressKind(word: text).map { .recipientKind([$0]) }
    case "recipient.domain": return pattern(value).map { .recipientDomain(DomainSet([$0])) }
    case "recipient.address": return .recipientAddress([asciiLowercased(text)])
    case "sender.kind": return SenderKind(word: text).map { .senderKind([$0]) }
    case "sender.domain": return pattern(value).map { .senderDomain(DomainSet([$0])) }
    case "origin":
      origins.append(StageReference(id: text, mark: value.mark))
      return .origin([text])
    case "size.over":
      guard case .size(let octets) = value.content else { return nil }
      return .sizeOver(octets: octets)
    default: return nil
    }
  }

  private mutating func pattern(_ value: ConfigValue) -> DomainPattern? {
    if let pattern = value.text.flatMap(DomainPattern.init) { return pattern }
    diagnostics.error(
      "\(value.isSecret ? "the secret" : quoted(value.text ?? "")) is not a domain", at: value.mark,
      hint: "write example.com, or .example.com for every domain below it")
    return nil
  }
}

/// Letters A–Z in lower case; everything else as it is.
func asciiLowercased(_ text: String) -> String {
  String(decoding: text.utf8.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
}

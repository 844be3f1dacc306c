public import MailModel

/// The rules of a router, in order: each recipient goes where the first rule that matches sends it, and the last rule
/// matches all.
public struct RouterRules: Sendable, Equatable {
  public var rules: [RouterRule]
  /// The stages that rules name, each once, in the order of their first mention: the router's ports.
  public var targets: [StageReference]

  public init(rules: [RouterRule], targets: [StageReference]) {
    self.rules = rules
    self.targets = targets
  }

  /// A rule fails recipients.
  public var rejects: Bool {
    rules.contains { rule in
      switch rule.action {
      case .forward: false
      case .reject: true
      }
    }
  }
}

public struct RouterRule: Sendable, Equatable {
  /// All must hold; none is `always`.
  public var matchers: [RouterMatcher]
  public var action: RouterAction
  /// Where the rule is written.
  public var mark: ConfigMark

  public init(matchers: [RouterMatcher], action: RouterAction, mark: ConfigMark) {
    self.matchers = matchers
    self.action = action
    self.mark = mark
  }

  public var isTotal: Bool { matchers.isEmpty }
}

/// One condition; a set holds when one of its members does.
public enum RouterMatcher: Sendable, Equatable {
  case recipientKind(Set<AddressKind>)
  /// The domain of an SMTP recipient; recipients of other kinds have none and do not match.
  case recipientDomain(DomainSet)
  /// Whole addresses in lower case, compared without regard to ASCII case.
  case recipientAddress(Set<String>)
  case senderKind(Set<SenderKind>)
  /// The domain of an SMTP sender.
  case senderDomain(DomainSet)
  /// Ids of the stages that brought the message in; `reports` for what that stage made.
  case origin(Set<String>)
  /// The content has more octets than this.
  case sizeOver(octets: Int64)
}

public enum SenderKind: Hashable, Sendable {
  case kind(AddressKind)
  /// The null reverse-path, of reports.
  case null

  public init?(word: String) {
    if word == "null" {
      self = .null
    } else {
      guard let kind = AddressKind(word: word) else { return nil }
      self = .kind(kind)
    }
  }
}

public enum RouterAction: Sendable, Equatable {
  /// Forward to the target of this number in ``RouterRules/targets``.
  case forward(port: Int)
  /// The recipient fails at once with this status, always of class 5.
  case reject(EnhancedStatusCode, text: String)
}

extension RouterRules {
  static func oneOrMore(_ type: SettingType) -> SettingType { .either([type, .list(of: type, atLeast: 1)]) }

  private static let kinds = AddressKind.allCases.map(\.word)

  static let matchers: [SettingDeclaration] = [
    SettingDeclaration(
      "recipient.kind", oneOrMore(.choice(kinds)), summary: "The world that the recipient's address belongs to."),
    SettingDeclaration(
      "recipient.domain", oneOrMore(.string),
      summary: "The recipient's domain; .example.com means every domain below example.com."),
    SettingDeclaration("recipient.address", oneOrMore(.string), summary: "The recipient's whole address."),
    SettingDeclaration(
      "sender.kind", oneOrMore(.choice(kinds + ["null"])), summary: "The sender's world, or null for reports."),
    SettingDeclaration("sender.domain", oneOrMore(.string), summary: "The sender's domain."),
    SettingDeclaration("origin", oneOrMore(.identifier), summary: "The source that brought the message in."),
    SettingDeclaration("size.over", .size(), summary: "The content is larger than this."),
  ]

  static let rejection: [SettingDeclaration] = [
    SettingDeclaration("code", .string, default: "5.7.1", summary: "An enhanced status code of class 5 (RFC 3463)."),
    SettingDeclaration(
      "text", .string, default: "Not accepted here", summary: "What the originator is told; ASCII, one line."),
  ]

  static let rule: [SettingDeclaration] = [
    SettingDeclaration(
      "when", .either([.choice(["always"]), .record(matchers)]), isRequired: true,
      summary: "always, or conditions that must all hold."),
    SettingDeclaration("to", .identifier, summary: "The stage that takes the recipient."),
    SettingDeclaration("reject", .record(rejection), summary: "Fail the recipient instead."),
  ]

  /// The settings of `use: router`.
  public static let declarations: [SettingDeclaration] = [
    SettingDeclaration(
      "rules", .list(of: .record(rule), counts: 1...ConfigLimits.routerRulesMax), isRequired: true,
      summary: "For each recipient the first that matches holds; the last is when: always.")
  ]
}

/// `${env:NAME}` and `${secret:NAME}` in the values of a configuration, replaced after the file has been read, so that
/// no replacement can change its structure: it stays inside its one string. `$${` stands for `${`.
///
/// Unset names, names of an unknown kind and secrets that others could read are errors at the value. Nothing is
/// replaced inside a replacement.
public struct Substitution {
  private let environment: [String: String]
  private let secrets: SecretsDirectory?

  /// - Parameters:
  ///   - environment: The variables that `${env:NAME}` may name.
  ///   - secretsDirectory: Where `${secret:NAME}` finds the file NAME; nil when there are no secrets.
  public init(environment: [String: String], secretsDirectory: String?) {
    self.environment = environment
    secrets = secretsDirectory.map(SecretsDirectory.init(path:))
  }

  /// The tree with every reference replaced; a value with a reference that fails stays as it is.
  public func apply(to node: ConfigNode, diagnostics: inout Diagnostics) -> ConfigNode {
    var result = node
    switch node.content {
    case .scalar(let scalar):
      guard scalar.text.contains("${") else { return node }
      do throws(ScalarComplaint) {
        result.content = .scalar(try replace(in: scalar))
      } catch {
        diagnostics.error(error.text, at: node.mark, hint: error.hint)
      }
    case .sequence(let nodes):
      result.content = .sequence(nodes.map { apply(to: $0, diagnostics: &diagnostics) })
    case .mapping(let entries):
      result.content = .mapping(
        entries.map { entry in
          var entry = entry
          entry.value = apply(to: entry.value, diagnostics: &diagnostics)
          return entry
        })
    }
    return result
  }

  private func replace(in scalar: ConfigScalar) throws(ScalarComplaint) -> ConfigScalar {
    var result = ConfigScalar("", style: scalar.style, isSubstituted: scalar.isSubstituted, isSecret: scalar.isSecret)
    var rest = scalar.text[...]
    while let dollar = rest.firstIndex(of: "$") {
      result.text += rest[..<dollar]
      rest = rest[dollar...]
      if rest.hasPrefix("$${") {
        result.text += "${"
        rest = rest.dropFirst(3)
      } else if rest.hasPrefix("${") {
        guard let end = rest.firstIndex(of: "}") else {
          throw ScalarComplaint(text: "'${' has no '}'", hint: "write $${ for the characters themselves")
        }
        let reference = String(rest[rest.index(rest.startIndex, offsetBy: 2)..<end])
        let (value, isSecret) = try resolve(reference)
        result.text += value
        result.isSubstituted = true
        if isSecret { result.isSecret = true }
        rest = rest[rest.index(after: end)...]
      } else {
        result.text += "$"
        rest = rest.dropFirst()
      }
      guard result.text.utf8.count <= ConfigLimits.substitutedOctetsMax else {
        throw ScalarComplaint(text: "the value is longer than \(ConfigLimits.substitutedOctetsMax) octets")
      }
    }
    result.text += rest
    return result
  }

  private func resolve(_ reference: String) throws(ScalarComplaint) -> (text: String, isSecret: Bool) {
    let parts = reference.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, parts[0] == "env" || parts[0] == "secret" else {
      throw ScalarComplaint(
        text: "\(quoted("${\(reference)}")) is neither ${env:NAME} nor ${secret:NAME}",
        hint: "write $${ for the characters themselves")
    }
    let name = String(parts[1])
    guard (1...255).contains(name.utf8.count), name.utf8.allSatisfy(isHostOctet), !name.hasPrefix(".") else {
      throw ScalarComplaint(text: "\(quoted(name)) is not a name", hint: "use letters, digits, _, - and .")
    }
    if parts[0] == "env" {
      guard let value = environment[name] else {
        throw ScalarComplaint(text: "environment variable \(quoted(name)) is not set")
      }
      return (value, false)
    }
    guard let secrets else {
      throw ScalarComplaint(text: "there is no directory of secrets to find \(quoted(name)) in")
    }
    return (try secrets.read(name), true)
  }
}

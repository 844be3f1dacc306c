/// An O/R address as a list of attributes. X.402 §18, X.411 §8.5.5 and its upper bounds (MTSUpperBounds, 1999).
///
/// A value exists only when it is one: the attributes fit their bounds and repertoires, none is given twice, and the
/// set is that of a mnemonic, numeric, terminal or postal address. The text forms are in `ORAddressText.swift`.
public struct ORAddress: Sendable {
  public struct Attribute: Sendable, Hashable {
    public let key: Key
    /// The type of a domain-defined attribute, otherwise nil.
    public let type: String?
    /// Not empty. Spaces around it are gone, but an administration domain may be one space ("any").
    public let value: String
    /// As it was written, such as `ADMD` or `a`.
    let keyword: String
  }

  /// The forms of X.402 §18.5.
  public enum Form: Sendable, Hashable { case mnemonic, numeric, terminal, postal }

  /// Which character strings can hold a value.
  public enum Repertoire: Int, Sendable, Comparable {
    case printable
    case teletex
    case universal

    public static func < (left: Repertoire, right: Repertoire) -> Bool { left.rawValue < right.rawValue }
  }

  /// In the order written.
  public let attributes: [Attribute]
  public let form: Form
  /// How ``description`` is punctuated.
  let style: Style
  /// What two writings of one address have in common (X.402 §18.4: case and runs of spaces do not matter).
  private let normal: [String]

  /// Values of the first attribute of that kind; organizational units are asked for by ``organizationalUnits``.
  public subscript(_ key: Key) -> String? { attributes.first { $0.key == key }?.value }

  /// The most significant first, as in the encoding: `OU1`…`OU4` in order of their numbers, plain `OU` from the right
  /// (RFC 2156 §4.3.3).
  public var organizationalUnits: [String] { Self.units(of: attributes) }

  private static func units(of attributes: [Attribute]) -> [String] {
    let plain = attributes.filter { $0.key == .organizationalUnit }.map(\.value)
    guard plain.isEmpty else { return plain.reversed() }
    let numbered: [Key] = [
      .organizationalUnit1, .organizationalUnit2, .organizationalUnit3, .organizationalUnit4,
    ]
    return numbered.compactMap { key in attributes.first { $0.key == key }?.value }
  }

  public var domainDefined: [(type: String, value: String)] {
    attributes.compactMap { attribute in attribute.type.map { ($0, attribute.value) } }
  }

  /// - Parameter places: Where each attribute starts in the text, for errors.
  init(_ attributes: [Attribute], places: [Int], style: Style) throws(AddressError) {
    guard !attributes.isEmpty else { throw AddressError("the O/R address is empty", at: 0) }
    var seen: [Key: Int] = [:]
    for (attribute, place) in zip(attributes, places) {
      seen[attribute.key, default: 0] += 1
      let allowed = attribute.key == .organizationalUnit || attribute.key == .domainDefined ? 4 : 1
      guard seen[attribute.key, default: 0] <= allowed else {
        throw .at(place, "\(attribute.key.rawValue) more than \(allowed == 1 ? "once" : "four times")")
      }
      try attribute.check(at: place)
    }
    func has(_ key: Key) -> Bool { seen[key] != nil }
    func hasAny(_ keys: [Key]) -> Bool { keys.contains(where: has) }

    if has(.personalName), hasAny([.surname, .givenName, .initials, .generation]) {
      throw AddressError("a personal name both whole and in parts", at: 0)
    }
    if !has(.surname), hasAny([.givenName, .initials, .generation]) {
      throw AddressError("a personal name without a surname (S)", at: 0)
    }
    if has(.organizationalUnit),
      hasAny([.organizationalUnit1, .organizationalUnit2, .organizationalUnit3, .organizationalUnit4])
    {
      throw AddressError("organizational units both with and without numbers", at: 0)
    }
    if has(.numericUserID) {
      form = .numeric
    } else if hasAny([.networkAddress, .extendedNetworkNumber, .presentationAddress]) {
      form = .terminal
    } else if seen.keys.contains(where: \.isPostal) {
      form = .postal
    } else {
      form = .mnemonic
    }
    guard has(.country) || form == .terminal else { throw AddressError("no country (C)", at: 0) }
    switch form {
    case .numeric, .terminal: break
    case .postal:
      guard has(.postalCountry), has(.postalCode) else {
        throw AddressError("a postal address without PD-C or PD-CODE", at: 0)
      }
    case .mnemonic:
      let naming: [Key] = [
        .surname, .personalName, .commonName, .organization, .organizationalUnit, .organizationalUnit1, .domainDefined,
      ]
      guard hasAny(naming) else { throw AddressError("a domain but nobody in it", at: 0) }
    }
    self.attributes = attributes
    self.style = style
    var normal = Self.units(of: attributes).enumerated().map { "OU\($0.offset + 1)=" + Self.normal($0.element) }
    for attribute in attributes where !attribute.key.isUnit {
      normal.append("\(attribute.key.rawValue).\(Self.normal(attribute.type ?? ""))=\(Self.normal(attribute.value))")
    }
    // A missing administration domain is the blank one (X.402 Annex F, RFC 1685 §2).
    if !has(.administrationDomain) { normal.append("ADMD.= ") }
    self.normal = normal.sorted()
  }

  private static func normal(_ text: String) -> String {
    if text == " " { return text }
    return text.split(separator: " ").joined(separator: " ").lowercased()
  }
}

extension ORAddress: Hashable {
  public static func == (left: ORAddress, right: ORAddress) -> Bool { left.normal == right.normal }
  public func hash(into hasher: inout Hasher) { hasher.combine(normal) }
}

extension ORAddress.Attribute {
  /// The strings that can hold the value.
  public var repertoire: ORAddress.Repertoire { ORAddress.Repertoire(of: value) }

  fileprivate func check(at place: Int) throws(AddressError) {
    let name = key.rawValue
    if let type {
      guard !type.isEmpty else { throw .at(place, "a domain-defined attribute without a type") }
      guard type.unicodeScalars.count <= 8 else {
        throw .at(place, "a domain-defined attribute's type of more than 8 characters")
      }
      try check(type, allowed: .universal, at: place)
    }
    guard !value.isEmpty else { throw .at(place, "\(name) without a value") }
    try check(value, allowed: key.repertoire, at: place)
    let count = value.unicodeScalars.count
    let bounds = key.bounds
    let most = repertoire == .universal ? bounds.universal : bounds.usual
    guard count <= most else { throw .at(place, "\(name) of \(count) characters, more than \(most),") }
    let isNumeric = value.utf8.allSatisfy { (0x30...0x39).contains($0) }
    switch key {
    case .country, .postalCountry:
      let isAlpha = value.utf8.allSatisfy { (0x61...0x7A).contains($0.asciiLowercased) }
      guard isNumeric ? count == 3 : isAlpha && count == 2 else {
        throw .at(place, "\(name) is neither two letters nor three digits,")
      }
    case .networkAddress, .numericUserID, .extendedNetworkNumber, .extendedNetworkSubaddress:
      guard isNumeric else { throw .at(place, "\(name) is not a number,") }
    default: break  // The rest is checked by bounds and repertoire alone.
    }
  }

  private func check(
    _ text: String, allowed: ORAddress.Repertoire, at place: Int
  ) throws(AddressError) {
    guard text.unicodeScalars.allSatisfy(ORAddress.Repertoire.isGraphic) else {
      throw .at(place, "a control or invisible character in \(key.rawValue)")
    }
    guard ORAddress.Repertoire(of: text) <= allowed else {
      throw .at(place, "a character outside PrintableString in \(key.rawValue)")
    }
  }
}

extension ORAddress.Repertoire {
  init(of text: String) {
    var result = Self.printable
    for scalar in text.unicodeScalars {
      if Self.isPrintableString(scalar) { continue }
      guard Self.isTeletex(scalar) else {
        self = .universal
        return
      }
      result = .teletex
    }
    self = result
  }

  /// X.680 §41.4.
  private static func isPrintableString(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar {
    case "A"..."Z", "a"..."z", "0"..."9", " ", "'", "(", ")", "+", ",", "-", ".", "/", ":", "=", "?": true
    default: false
    }
  }

  /// The Latin letters and signs of T.61; what lies beside them needs a UniversalString.
  private static func isTeletex(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar {
    case "\\", "^", "`", "{", "}", "~": false
    case " "..."~", "\u{A1}"..."\u{17F}": true
    default: false
    }
  }

  static func isGraphic(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: false
    case .spaceSeparator: scalar == " "
    default: true
    }
  }
}

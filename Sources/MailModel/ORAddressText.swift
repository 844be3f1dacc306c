/// The two text forms of an O/R address.
///
/// *Slashes* (RFC 2156 §4.1): `/G=Ann/S=Lee/DD.RFC-822=a(a)b/O=Acme/ADMD= /C=US/`. It starts with a slash; `$` before a
/// character takes away its meaning. The MS Mail pair `DDA.TYPE=…/DDA.VALUE=…` is read as one attribute.
///
/// *Semicolons* (X.402 Annex F, RFC 1685): `G=Ann; S=Lee; DDA:RFC-822=a(a)b; O=Acme; A= ; C=US`. A doubled semicolon
/// stands for one, in the type of a domain-defined attribute a doubled `=` too.
///
/// Keywords of either source are read in both, in any case and order; `{ddd}`, `*` and `(a)` inside values are carried
/// as they stand. ``ORAddress/description`` gives back a text that differs from the one read only in spaces around
/// keywords and values; ``ORAddress/text(_:)`` writes either form afresh.
extension ORAddress {
  public enum Style: Sendable, Hashable {
    /// RFC 2156; `closed` ends with a slash.
    case slashes(closed: Bool)
    /// X.402 Annex F; `spaced` has a space behind each semicolon, `closed` ends with one.
    case semicolons(spaced: Bool, closed: Bool)
  }

  /// Reads either form. One pass.
  /// - Throws: 5.1.3 with the octet at which the attribute starts.
  public static func parse(_ text: String) throws(AddressError) -> ORAddress {
    guard text.utf8.count <= Limits.addressOctetsMax else {
      throw AddressError("the address has \(text.utf8.count) octets, more than \(Limits.addressOctetsMax)", at: 0)
    }
    let octets = Array(text.utf8)
    let isSlashes = octets.first == .slash
    var attributes: [Attribute] = []
    var places: [Int] = []
    var pendingType: String?
    var spaced = false
    var isClosed = false
    var index = isSlashes ? 1 : 0
    while index < octets.count {
      if attributes.count > 0, !isSlashes, octets[index] == .space { spaced = true }
      let place = index
      let segment = try Segment(octets, at: &index, separator: isSlashes ? .slash : .semicolon, isSlashes: isSlashes)
      if segment.isBlank, index >= octets.count, !attributes.isEmpty { break }
      isClosed = segment.isClosed
      guard let attribute = try segment.attribute(at: place, pendingType: &pendingType) else { continue }
      attributes.append(attribute)
      places.append(place)
      // Four units, four domain-defined ones and each other once: more cannot be well formed.
      guard attributes.count <= Key.allCases.count + 8 else { throw .at(place, "too many attributes,") }
    }
    guard pendingType == nil else { throw .at(octets.count, "a domain-defined attribute without a value") }
    return try ORAddress(
      attributes, places: places,
      style: isSlashes ? .slashes(closed: isClosed) : .semicolons(spaced: spaced, closed: isClosed))
  }

  /// One attribute's octets, unescaped, split at the first `=` that counts.
  private struct Segment {
    var keyword: [UInt8] = []
    var value: [UInt8] = []
    var hasEquals = false
    /// A separator follows.
    var isClosed = false

    init(_ octets: [UInt8], at index: inout Int, separator: UInt8, isSlashes: Bool) throws(AddressError) {
      while index < octets.count {
        var octet = octets[index]
        let next = index + 1 < octets.count ? octets[index + 1] : nil
        if isSlashes, octet == .dollar {
          guard let next else { throw .at(index, "a \"$\" with nothing behind it") }
          octet = next
          index += 1
        } else if octet == separator {
          guard !isSlashes, next == separator, hasEquals else {
            index += 1
            isClosed = true
            return
          }
          index += 1
        } else if octet == .equals, !hasEquals {
          guard !isSlashes, next == .equals, keyword.contains(.colon) else {
            hasEquals = true
            index += 1
            continue
          }
          index += 1
        }
        if hasEquals { value.append(octet) } else { keyword.append(octet) }
        index += 1
      }
    }

    var isBlank: Bool { !hasEquals && keyword.allSatisfy { $0 == .space } }

    /// Nil for the first half of a `DDA.TYPE`, `DDA.VALUE` pair.
    func attribute(at place: Int, pendingType: inout String?) throws(AddressError) -> Attribute? {
      let name = String(decoding: trimmed(keyword), as: UTF8.self)
      guard hasEquals else {
        throw .at(place, name.isEmpty ? "an empty attribute" : "an attribute without \"=\" starts")
      }
      let upper = name.uppercased()
      var text = String(decoding: trimmed(value), as: UTF8.self)
      if pendingType != nil, upper != "DDA.VALUE" { throw .at(place, "DDA.VALUE is missing") }
      if upper == "DDA.TYPE" {
        pendingType = text
        return nil
      }
      if upper == "DDA.VALUE" {
        guard let type = pendingType else { throw .at(place, "DDA.VALUE without DDA.TYPE") }
        pendingType = nil
        return Attribute(key: .domainDefined, type: type, value: text, keyword: "DD.\(type)")
      }
      if upper == "RFC-822" { return Attribute(key: .domainDefined, type: "RFC-822", value: text, keyword: name) }
      for prefix in ["DD.", "DD:", "DDA:"] where upper.hasPrefix(prefix) {
        return Attribute(
          key: .domainDefined, type: String(decoding: trimmed(Array(name.dropFirst(prefix.count).utf8)), as: UTF8.self),
          value: text, keyword: name)
      }
      guard let key = Key(keyword: name), key != .domainDefined else {
        throw .at(place, "an attribute that is not known starts")
      }
      if key == .administrationDomain, text.isEmpty, !value.isEmpty { text = " " }
      return Attribute(key: key, type: nil, value: text, keyword: name)
    }

    private func trimmed(_ octets: [UInt8]) -> ArraySlice<UInt8> {
      guard let first = octets.firstIndex(where: { $0 != .space }), let last = octets.lastIndex(where: { $0 != .space })
      else { return [] }
      return octets[first...last]
    }
  }

  /// The address in the given form, with that form's own keywords.
  public func text(_ style: Style) -> String {
    Self.write(style, attributes) { attribute in
      switch style {
      case .slashes: attribute.type.map { "DD.\($0)" } ?? attribute.key.rawValue
      case .semicolons: attribute.type.map { "DDA:\($0)" } ?? attribute.key.annexFKeyword
      }
    }
  }

  private static func write(
    _ style: Style, _ attributes: [Attribute], _ keyword: (Attribute) -> String
  ) -> String {
    switch style {
    case .slashes(let closed):
      let fields = attributes.map { attribute in
        "/" + escaped(keyword(attribute), "$/=", with: "$") + "=" + escaped(attribute.value, "$/", with: "$")
      }
      return fields.joined() + (closed ? "/" : "")
    case .semicolons(let spaced, let closed):
      let fields = attributes.map { attribute in
        let name = keyword(attribute)
        return (attribute.type == nil ? name : escaped(name, "=", with: "=")) + "="
          + escaped(attribute.value, ";", with: ";")
      }
      return fields.joined(separator: spaced ? "; " : ";") + (closed ? ";" : "")
    }
  }

  private static func escaped(_ text: String, _ special: String.UnicodeScalarView, with mark: Unicode.Scalar) -> String
  {
    var output = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      if special.contains(scalar) { output.append(mark) }
      output.append(scalar)
    }
    return String(output)
  }

  private static func escaped(_ text: String, _ special: String, with mark: Unicode.Scalar) -> String {
    escaped(text, special.unicodeScalars, with: mark)
  }
}

extension ORAddress: CustomStringConvertible {
  /// The text as it was read, but for spaces around keywords and values.
  public var description: String { Self.write(style, attributes, \.keyword) }
}

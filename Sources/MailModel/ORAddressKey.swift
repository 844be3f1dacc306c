extension ORAddress {
  /// The attributes of X.402 §18.3; the raw value is the keyword of RFC 2156 §4.2.
  public enum Key: String, Sendable, Hashable, CaseIterable {
    case country = "C"
    case administrationDomain = "ADMD"
    case privateDomain = "PRMD"
    case networkAddress = "X121"
    case terminalID = "T-ID"
    case terminalType = "T-TY"
    case organization = "O"
    case organizationalUnit = "OU"
    case organizationalUnit1 = "OU1"
    case organizationalUnit2 = "OU2"
    case organizationalUnit3 = "OU3"
    case organizationalUnit4 = "OU4"
    case numericUserID = "UA-ID"
    case personalName = "PN"
    case surname = "S"
    case givenName = "G"
    case initials = "I"
    case generation = "GQ"
    case commonName = "CN"
    case domainDefined = "DD"
    case postalService = "PD-SERVICE"
    case postalCountry = "PD-C"
    case postalCode = "PD-CODE"
    case postalOffice = "PD-OFFICE"
    case postalOfficeNumber = "PD-OFFICE-NUM"
    case postalExtension = "PD-EXT-ADDRESS"
    case postalPerson = "PD-PN"
    case postalOrganization = "PD-O"
    case postalDeliveryExtension = "PD-EXT-DELIVERY"
    case postalAddress = "PD-ADDRESS"
    case postalStreet = "PD-STREET"
    case postalBox = "PD-BOX"
    case posteRestante = "PD-RESTANTE"
    case postalUniqueName = "PD-UNIQUE"
    case postalLocal = "PD-LOCAL"
    case postalLine1 = "PD-A1"
    case postalLine2 = "PD-A2"
    case postalLine3 = "PD-A3"
    case postalLine4 = "PD-A4"
    case postalLine5 = "PD-A5"
    case postalLine6 = "PD-A6"
    case extendedNetworkNumber = "NET-NUM"
    case extendedNetworkSubaddress = "NET-SUB"
    case presentationAddress = "NET-PSAP"

    /// The keyword of X.402 Annex F.
    public var annexFKeyword: String {
      switch self {
      case .administrationDomain: "A"
      case .privateDomain: "P"
      case .generation: "Q"
      case .networkAddress: "X.121"
      case .numericUserID: "N-ID"
      case .domainDefined: "DDA"
      case .postalService: "PD-SN"
      case .postalCode: "PD-PC"
      case .postalOffice: "PD-OF"
      case .postalOfficeNumber: "PD-OFN"
      case .postalExtension: "PD-EA"
      case .postalDeliveryExtension: "PD-ED"
      case .postalAddress: "PD-A"
      case .postalStreet: "PD-S"
      case .postalBox: "PD-B"
      case .posteRestante: "PD-R"
      case .postalUniqueName: "PD-U"
      case .postalLocal: "PD-L"
      case .extendedNetworkNumber: "E.164"
      case .presentationAddress: "PSAP"
      case .country, .terminalID, .terminalType, .organization, .organizationalUnit, .organizationalUnit1,
        .organizationalUnit2, .organizationalUnit3, .organizationalUnit4, .personalName, .surname, .givenName,
        .initials, .commonName, .postalCountry, .postalPerson, .postalOrganization, .postalLine1, .postalLine2,
        .postalLine3, .postalLine4, .postalLine5, .postalLine6, .extendedNetworkSubaddress:
        rawValue
      }
    }

    private static let byKeyword: [String: Key] = {
      var table: [String: Key] = ["DDA": .domainDefined, "PD-OFFICE NUMBER": .postalOfficeNumber]
      for key in allCases {
        table[key.rawValue] = key
        table[key.annexFKeyword] = key
      }
      return table
    }()

    /// Keywords of either source, in any case.
    init?(keyword: String) {
      guard let key = Self.byKeyword[keyword.uppercased()] else { return nil }
      self = key
    }

    /// The most characters, in a printable or teletex string and in a universal one.
    var bounds: (usual: Int, universal: Int) {
      switch self {
      case .country, .postalCountry: (3, 3)
      case .administrationDomain, .privateDomain, .postalService, .postalCode, .networkAddress: (16, 16)
      case .terminalID: (24, 24)
      case .terminalType: (8, 8)
      case .organization, .commonName: (64, 64)
      case .organizationalUnit, .organizationalUnit1, .organizationalUnit2, .organizationalUnit3,
        .organizationalUnit4, .numericUserID:
        (32, 32)
      case .personalName: (67, 139)
      case .surname: (40, 64)
      case .givenName: (16, 40)
      case .initials: (5, 16)
      case .generation: (3, 16)
      case .domainDefined: (128, 128)
      // Six lines of 30 and the bars between them.
      case .postalAddress: (185, 185)
      case .postalOffice, .postalOfficeNumber, .postalExtension, .postalPerson, .postalOrganization,
        .postalDeliveryExtension, .postalStreet, .postalBox, .posteRestante, .postalUniqueName, .postalLocal,
        .postalLine1, .postalLine2, .postalLine3, .postalLine4, .postalLine5, .postalLine6:
        (30, 30)
      case .extendedNetworkNumber: (15, 15)
      case .extendedNetworkSubaddress: (40, 40)
      case .presentationAddress: (128, 128)
      }
    }

    /// The richest string that X.411 has for it.
    var repertoire: Repertoire {
      switch self {
      case .country, .administrationDomain, .privateDomain, .networkAddress, .terminalID, .terminalType,
        .numericUserID, .postalService, .postalCountry, .postalCode, .extendedNetworkNumber, .extendedNetworkSubaddress,
        .presentationAddress:
        .printable
      case .organization, .organizationalUnit, .organizationalUnit1, .organizationalUnit2,
        .organizationalUnit3, .organizationalUnit4, .personalName, .surname, .givenName, .initials, .generation,
        .commonName, .domainDefined, .postalOffice, .postalOfficeNumber, .postalExtension, .postalPerson,
        .postalOrganization, .postalDeliveryExtension, .postalAddress, .postalStreet, .postalBox, .posteRestante,
        .postalUniqueName, .postalLocal, .postalLine1, .postalLine2, .postalLine3, .postalLine4, .postalLine5,
        .postalLine6:
        .universal
      }
    }

    var isPostal: Bool { rawValue.hasPrefix("PD-") }

    var isUnit: Bool {
      switch self {
      case .organizationalUnit, .organizationalUnit1, .organizationalUnit2, .organizationalUnit3, .organizationalUnit4:
        true
      default: false
      }
    }
  }
}

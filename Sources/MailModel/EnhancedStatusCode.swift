/// An enhanced mail system status code: class, subject, detail. RFC 3463; the registry is that of RFC 5248.
public struct EnhancedStatusCode: Hashable, Sendable {
  public enum Class: UInt8, Sendable {
    case success = 2
    case persistentTransient = 4
    case permanent = 5
  }

  public let `class`: Class
  /// 0…999.
  public let subject: UInt16
  /// 0…999.
  public let detail: UInt16

  /// Nil when a part is out of its range (RFC 3463 §2).
  public init?(class: UInt8, subject: Int, detail: Int) {
    guard let known = Class(rawValue: `class`), (0...999).contains(subject), (0...999).contains(detail) else {
      return nil
    }
    self.class = known
    self.subject = UInt16(subject)
    self.detail = UInt16(detail)
  }

  /// For codes written in the source; a part out of range is a programmer error.
  public init(_ class: Class, _ subject: UInt16, _ detail: UInt16) {
    precondition(subject <= 999 && detail <= 999, "status code part above 999")
    self.class = `class`
    self.subject = subject
    self.detail = detail
  }

  /// The same subject and detail in another class, as when repeated temporary failures become permanent.
  public func with(class: Class) -> EnhancedStatusCode { EnhancedStatusCode(`class`, subject, detail) }
}

extension EnhancedStatusCode: CustomStringConvertible, LosslessStringConvertible {
  public var description: String { "\(`class`.rawValue).\(subject).\(detail)" }

  /// Reads `class.subject.detail`; no leading zeros, nothing around it (RFC 3463 §2).
  public init?(_ text: String) {
    let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count == 3 else { return nil }
    var numbers: [Int] = []
    for part in parts {
      guard (1...3).contains(part.count), part.count == 1 || part.first != UInt8(ascii: "0") else { return nil }
      var number = 0
      for octet in part {
        guard (0x30...0x39).contains(octet) else { return nil }
        number = number * 10 + Int(octet - 0x30)
      }
      numbers.append(number)
    }
    guard numbers[0] <= 255 else { return nil }
    self.init(class: UInt8(numbers[0]), subject: numbers[1], detail: numbers[2])
  }
}

extension EnhancedStatusCode {
  /// 2.0.0, nothing further to say.
  public static let success = EnhancedStatusCode(.success, 0, 0)
  /// 5.1.1, the mailbox does not exist.
  public static let badDestinationMailbox = EnhancedStatusCode(.permanent, 1, 1)
  /// 5.1.2, the domain or system does not exist.
  public static let badDestinationSystem = EnhancedStatusCode(.permanent, 1, 2)
  /// 5.1.3, the recipient's address is not well formed.
  public static let badDestinationSyntax = EnhancedStatusCode(.permanent, 1, 3)
  /// 5.1.7, the originator's address is not well formed.
  public static let badSenderSyntax = EnhancedStatusCode(.permanent, 1, 7)
  /// 4.3.0, a fault of this system.
  public static let localFault = EnhancedStatusCode(.persistentTransient, 3, 0)
  /// 4.3.1, the mail system is full.
  public static let systemFull = EnhancedStatusCode(.persistentTransient, 3, 1)
  /// 5.3.4, the message is too big for the system.
  public static let messageTooBig = EnhancedStatusCode(.permanent, 3, 4)
  /// 5.3.5, the system is wrongly configured.
  public static let wronglyConfigured = EnhancedStatusCode(.permanent, 3, 5)
  /// 4.4.1, the next system does not answer.
  public static let noAnswer = EnhancedStatusCode(.persistentTransient, 4, 1)
  /// 4.4.2, the connection broke.
  public static let badConnection = EnhancedStatusCode(.persistentTransient, 4, 2)
  /// 5.4.4, no route to the destination.
  public static let unableToRoute = EnhancedStatusCode(.permanent, 4, 4)
  /// 5.4.6, a routing loop.
  public static let routingLoop = EnhancedStatusCode(.permanent, 4, 6)
  /// 4.4.7, the delivery time expired.
  public static let deliveryTimeExpired = EnhancedStatusCode(.persistentTransient, 4, 7)
}

import MailModel

/// Why a recipient comes to the dead-letter stage, as attributes of the recipient: the stage writes them down for people.
enum DeadLetterAttributes {
  static func make(_ because: DeliveryStatus?) -> [Attribute] {
    guard let because else { return [] }
    var attributes = [
      Attribute("dead.code", because.code.description), Attribute("dead.text", because.text),
    ]
    if let remote = because.remote {
      attributes.append(Attribute("dead.remote", "\(remote.host): \(remote.text)"))
    }
    return attributes
  }
}

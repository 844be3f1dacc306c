import CInterchange

/// A place in the stage's configuration, validated and with defaults filled in; possibly one that is not there, from
/// which every getter returns nil or nothing. Lives as long as the instance.
public struct ConfigNode: Sendable {
  // SAFETY: nodes and the table live as long as the instance and never change (interchange.h, ix_node).
  nonisolated(unsafe) let pointer: OpaquePointer?
  nonisolated(unsafe) private let functions: UnsafePointer<ix_config_functions>

  init(_ pointer: OpaquePointer?, _ functions: UnsafePointer<ix_config_functions>) {
    self.pointer = pointer
    self.functions = functions
  }

  public var isPresent: Bool { functions.pointee.kind(pointer) != 0 }

  /// A member of a record or mapping.
  public subscript(_ key: String) -> ConfigNode { ConfigNode(functions.pointee.member(pointer, key), functions) }

  /// The elements of a list, or the values of a record or mapping.
  public var elements: [ConfigNode] {
    (0..<functions.pointee.count(pointer)).map { ConfigNode(functions.pointee.element(pointer, $0), functions) }
  }

  /// The entries of a record or mapping.
  public var entries: [(key: String, value: ConfigNode)] {
    (0..<functions.pointee.count(pointer)).map {
      (String(functions.pointee.key(pointer, $0)) ?? "", ConfigNode(functions.pointee.element(pointer, $0), functions))
    }
  }

  public var text: String? { String(functions.pointee.text(pointer, ix_text(octets: nil, count: 0))) }

  /// An integer, or a size in octets.
  public var integer: Int64? {
    let value = functions.pointee.integer(pointer, Int64.min)
    return value == Int64.min ? nil : value
  }

  /// A duration in seconds, or a percentage.
  public var real: Double? {
    let value = functions.pointee.real(pointer, -.infinity)
    return value == -.infinity ? nil : value
  }

  public var boolean: Bool? { isPresent ? functions.pointee.boolean(pointer, false) : nil }
}

public import CInterchange
import MailModel
import StageKit

/// Sends messages up to a size to one port and larger ones to another.
final class SizeSorter: Stage {
  static let declaration = StageDeclaration(
    name: "sorter", kind: .filter, summary: "Sorts messages by the size of their content.",
    ports: ["small", "large"],
    settings: [Setting("limit", .size, default: "1MiB", "The largest content that is small.")])

  private let limitOctets: UInt64

  init(context: StageContext, config: ConfigNode) throws(StageFailure) {
    let limit = config["limit"].integer ?? 0
    guard limit > 0 else {
      context.complain(.error, at: config["limit"], "must be more than nothing")
      throw .configuration
    }
    limitOctets = UInt64(limit)
  }

  func submit(_ job: Job) {
    job.answerRest(.forward(port: job.contentOctets <= limitOctets ? 0 : 1))
    job.finish()
  }
}

private let module = StageModule(
  name: "size", version: "1.0", summary: "An example of a filter in Swift.", stages: [SizeSorter.self])

/// The one symbol of the module.
@_cdecl("ix_module_v1")
public func describeModule(_ hostLevel: UInt32) -> UnsafePointer<ix_module> { module.description }

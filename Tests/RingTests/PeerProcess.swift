import Platform
import Testing

/// Starts `RingPeer`, which lies beside the bundle of tests, with the two regions as descriptors 3 and 4.
func startPeer(
  requests: borrowing SharedRegion, answers: borrowing SharedRegion, capacity: Int
) throws -> ChildProcess {
  let bundle = try #require(CommandLine.arguments.first { $0.hasSuffix(".xctest") })
  let folder = bundle.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
  return try ChildProcess(
    executable: folder + "/RingPeer", arguments: ["RingPeer", "3", "4", String(capacity)],
    descriptors: [3: requests.file.rawValue, 4: answers.file.rawValue])
}

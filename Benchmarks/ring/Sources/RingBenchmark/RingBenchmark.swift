import Glibc

/// Measures the ring, one case a run, or makes the table from the lines that it and the peers have printed.
///
///     RingBenchmark stream  threads|processes BATCH COUNT     a line: stream NAME WHERE BATCH MILLIONS-A-SECOND
///     RingBenchmark wakeful threads|processes BATCH COUNT     as stream, with sleeping allowed on both sides
///     RingBenchmark ping    threads|processes COUNT           a line: ping NAME WHERE P50-NS P99-NS
///     RingBenchmark report < LINES                            Markdown: medians over the rounds, and ratios
///
/// Every octet of every descriptor is written by one side and summed by the other; a wrong sum is exit 1.
@main
struct RingBenchmark {
  static let capacity = 1024

  static func main() throws {
    let arguments = Array(CommandLine.arguments.dropFirst())
    let numbers = arguments.compactMap { Int($0) }
    switch arguments.first {
    case "stream" where numbers.count == 2:
      try stream(where: arguments[1], sleeping: false, batch: numbers[0], count: numbers[1])
    case "wakeful" where numbers.count == 2:
      try stream(where: arguments[1], sleeping: true, batch: numbers[0], count: numbers[1])
    case "ping" where numbers.count == 1: try ping(where: arguments[1], count: numbers[0])
    case "peer": try runPeer(Array(arguments.dropFirst()))
    case "report": report()
    default:
      print("usage: RingBenchmark stream|wakeful|ping|report …")
      exit(2)
    }
  }
}

func nanoseconds() -> Int {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// The sum of the eight words of the descriptors 0..<count, where word w of descriptor d is d + w.
func expectedSum(_ count: Int) -> UInt64 {
  let count = UInt64(count)
  return count &* (count &- 1) / 2 &* 8 &+ count &* 28
}

import Glibc

/// How many durable accepts a second the spool takes, beside SQLite in WAL mode and one file a message.
///
///     swift run -c release SpoolBench DIRECTORY [ROUNDS] [MESSAGES]
///
/// All take messages of 4 KiB from 16 producers: a spool and SQLite commit the 16 that are waiting together, the files
/// are written and synced by 16 threads. The contenders take turns in each round; the table gives medians.
/// The last column is what the disk wrote meanwhile, with whatever else ran, divided by the octets of content.
@main
struct SpoolBench {
  static func main() {
    let arguments = CommandLine.arguments
    guard arguments.count >= 2 else {
      print("usage: SpoolBench DIRECTORY [ROUNDS] [MESSAGES]")
      exit(2)
    }
    let rounds = arguments.count > 2 ? Int(arguments[2]) ?? 5 : 5
    let messages = arguments.count > 3 ? Int(arguments[3]) ?? 20_000 : 20_000
    let directory = "\(arguments[1])/spool-bench-\(getpid())"
    guard mkdir(directory, 0o700) == 0 else {
      perror(directory)
      exit(1)
    }
    let contenders: [(String, (String, Int, Meter) throws -> Void)] = [
      ("embedded spool", acceptIntoSpool), ("embedded spool, accepted and settled", acceptAndSettle),
      ("SQLite, WAL, synchronous=FULL", acceptIntoSQLite), ("a file a message, fsync", acceptIntoFiles),
    ]
    var results: [[Result]] = Array(repeating: [], count: contenders.count)
    for round in 0..<rounds {
      for (index, (name, body)) in contenders.enumerated() {
        let path = "\(directory)/\(round)-\(index)"
        mkdir(path, 0o700)
        do {
          let meter = Meter(messages: messages, directory: directory)
          try body(path, messages, meter)
          results[index].append(meter.stop())
        } catch {
          print("\(name): \(error)")
          exit(1)
        }
        _ = system("rm -rf '\(path)'; sync")
      }
    }
    rmdir(directory)
    print("| engine | accepts/s | CPU µs each | octets written per octet |")
    print("|---|---:|---:|---:|")
    for (index, (name, _)) in contenders.enumerated() {
      let all = results[index]
      print(
        "| \(name) | \(Int(median(all.map(\.perSecond)))) | \(tenths(median(all.map(\.processorMicroseconds)))) "
          + "| \(tenths(median(all.map(\.written)))) |")
    }
  }
}

struct Result {
  var perSecond: Double
  var processorMicroseconds: Double
  var written: Double
}

let contentOctets = 4096
let producers = 16

/// Runs from ``start()``, when a contender has prepared what a running host has ready.
final class Meter {
  private let messages: Int
  private let directory: String
  private var began = (seconds: 0.0, processor: 0.0, written: 0)

  init(messages: Int, directory: String) {
    self.messages = messages
    self.directory = directory
  }

  func start() {
    let written = octetsWritten(directory)
    began = (seconds(), processorSeconds(), written)
  }

  func stop() -> Result {
    let elapsed = seconds() - began.seconds
    let processor = processorSeconds() - began.processor
    return Result(
      perSecond: Double(messages) / elapsed, processorMicroseconds: processor * 1e6 / Double(messages),
      written: Double(octetsWritten(directory) - began.written) / Double(messages * contentOctets))
  }
}

private func seconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

private func processorSeconds() -> Double {
  var usage = rusage()
  getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
  return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
    + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
}

/// What the disk of a directory has written since it was found, by everybody (proc(5), diskstats). The process's own
/// `write_bytes` will not do: it counts a whole folio of the page cache for each page that is made dirty.
private func octetsWritten(_ directory: String) -> Int {
  sync()
  var status = stat()
  guard stat(directory, &status) == 0, let file = fopen("/proc/diskstats", "r") else { return 0 }
  defer { fclose(file) }
  var line = [CChar](repeating: 0, count: 512)
  while fgets(&line, Int32(line.count), file) != nil {
    let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let fields = text.split(whereSeparator: \.isWhitespace)
    // The halves of a device number as makedev(3) puts them together.
    let major = (status.st_dev >> 8) & 0xFFF
    let minor = (status.st_dev & 0xFF) | ((status.st_dev >> 12) & 0xFFF00)
    if fields.count > 9, UInt(fields[0]) == major, UInt(fields[1]) == minor {
      return (Int(fields[9]) ?? 0) * 512
    }
  }
  return 0
}

private func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

private func tenths(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }

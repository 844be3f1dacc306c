import Glibc

/// Reads the lines of all rounds and prints the tables.
func report() {
  var streams: [Key: [Double]] = [:]
  var pings: [Key: [(Double, Double)]] = [:]
  var names: [String] = []
  while let line = readLine() {
    let fields = line.split(separator: "\t").map(String.init)
    guard fields.count == 5 else { continue }
    if !names.contains(fields[1]) { names.append(fields[1]) }
    switch fields[0] {
    case "stream":
      streams[Key(name: fields[1], place: fields[2], batch: Int(fields[3]) ?? 0), default: []].append(
        Double(fields[4]) ?? 0)
    case "ping":
      pings[Key(name: fields[1], place: fields[2], batch: 1), default: []].append(
        (Double(fields[3]) ?? 0, Double(fields[4]) ?? 0))
    default: continue
    }
  }
  let columns = [("threads", 1), ("threads", 32), ("processes", 1), ("processes", 32)]
  print(
    "| 64-octet descriptors, millions a second | threads, batch 1 | threads, batch 32 | processes, batch 1 | processes, batch 32 |"
  )
  print("|---|---:|---:|---:|---:|")
  for name in names {
    let cells = columns.map { place, batch in
      streams[Key(name: name, place: place, batch: batch)].map { spread($0) } ?? "–"
    }
    print("| \(name) | \(cells.joined(separator: " | ")) |")
  }
  print("\nMedians, in brackets the quartiles.\n")
  print("| ratio, the ring to | threads, batch 1 | threads, batch 32 | processes, batch 1 | processes, batch 32 |")
  print("|---|---:|---:|---:|---:|")
  for name in names where name != "Ring" {
    let cells = columns.map { place, batch -> String in
      guard let own = streams[Key(name: "Ring", place: place, batch: batch)],
        let other = streams[Key(name: name, place: place, batch: batch)]
      else { return "–" }
      return text(quantile(own, 0.5) / quantile(other, 0.5), 2)
    }
    print("| \(name) | \(cells.joined(separator: " | ")) |")
  }
  print("\n| round trip, ns | threads p50 | threads p99 | processes p50 | processes p99 |")
  print("|---|---:|---:|---:|---:|")
  for name in names {
    let cells = ["threads", "processes"].flatMap { place -> [String] in
      guard let trips = pings[Key(name: name, place: place, batch: 1)] else { return ["–", "–"] }
      return [text(quantile(trips.map(\.0), 0.5), 0), text(quantile(trips.map(\.1), 0.5), 0)]
    }
    if cells.contains(where: { $0 != "–" }) { print("| \(name) | \(cells.joined(separator: " | ")) |") }
  }
}

private struct Key: Hashable {
  var name: String
  var place: String
  var batch: Int
}

private func quantile(_ values: [Double], _ part: Double) -> Double {
  values.sorted()[Int((Double(values.count - 1) * part).rounded())]
}

private func spread(_ values: [Double]) -> String {
  let digits = quantile(values, 0.5) < 10 ? 1 : 0
  return
    "\(text(quantile(values, 0.5), digits)) (\(text(quantile(values, 0.25), digits))…\(text(quantile(values, 0.75), digits)))"
}

private func text(_ value: Double, _ digits: Int) -> String {
  let scale = digits == 0 ? 1.0 : digits == 1 ? 10.0 : 100.0
  let rounded = (value * scale).rounded() / scale
  return digits == 0 ? String(Int(rounded)) : String(rounded)
}

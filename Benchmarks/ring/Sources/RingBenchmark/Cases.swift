import CAffinity
import Glibc
import Platform
import Ring

/// What a producer and a consumer do, whether in a thread or in a process.
struct Ends: @unchecked Sendable {
  let memory: UnsafeMutableRawBufferPointer

  func producer() throws -> RingProducer { try RingProducer(attaching: memory, capacity: RingBenchmark.capacity) }
  func consumer() throws -> RingConsumer { try RingConsumer(attaching: memory, capacity: RingBenchmark.capacity) }

  @inline(__always)
  private func fill(_ slot: UnsafeMutableRawPointer, _ number: UInt64) {
    slot.storeBytes(of: SIMD8<UInt64>(0, 1, 2, 3, 4, 5, 6, 7) &+ number, as: SIMD8<UInt64>.self)
  }

  func produce(sleeping: Bool, batch: Int, count: Int) throws {
    affinity_pin(0)
    var producer = try producer()
    var number: UInt64 = 0
    while number < UInt64(count) {
      if try producer.claim(batch) < batch {
        if sleeping { _ = try producer.waitForSpace(batch, until: nil) } else { producer.pause() }
        continue
      }
      for index in 0..<batch { fill(producer.slot(index), number &+ UInt64(index)) }
      number &+= UInt64(batch)
      producer.publish(batch)
      if sleeping { _ = producer.takeWakeRequest() }
    }
  }

  /// The sum of all words.
  func consume(sleeping: Bool, batch: Int, count: Int) throws -> UInt64 {
    affinity_pin(1)
    var consumer = try consumer()
    var sum = SIMD8<UInt64>()
    var left = count
    while left > 0 {
      let found = try consumer.available(batch)
      if found == 0 {
        if sleeping { _ = try consumer.wait(until: nil) } else { consumer.pause() }
        continue
      }
      for index in 0..<found { sum &+= consumer.slot(index).load(as: SIMD8<UInt64>.self) }
      consumer.release(found)
      if sleeping { _ = consumer.takeWakeRequest() }
      left -= found
    }
    return sum.wrappedSum()
  }

  /// Sends `count` descriptors one at a time and waits for each to come back; the round trips in nanoseconds.
  func call(answers: Ends, count: Int) throws -> [Int] {
    affinity_pin(0)
    var producer = try producer()
    var consumer = try answers.consumer()
    var trips: [Int] = []
    trips.reserveCapacity(count)
    for number in 0..<UInt64(count) {
      let start = nanoseconds()
      while try producer.claim(1) == 0 { producer.pause() }
      fill(producer.slot(0), number)
      producer.publish(1)
      while try consumer.available(1) == 0 { consumer.pause() }
      guard consumer.slot(0).load(as: UInt64.self) == number else { exit(1) }
      consumer.release(1)
      trips.append(nanoseconds() - start)
    }
    return trips
  }

  func answer(answers: Ends, count: Int) throws {
    affinity_pin(1)
    var consumer = try consumer()
    var producer = try answers.producer()
    for _ in 0..<count {
      while try consumer.available(1) == 0 { consumer.pause() }
      while try producer.claim(1) == 0 { producer.pause() }
      producer.slot(0).copyMemory(from: consumer.slot(0), byteCount: RingMemory.slotOctets)
      consumer.release(1)
      producer.publish(1)
    }
  }
}

func makeRegion() throws -> SharedRegion {
  let region = try SharedRegion(creating: RingMemory.octets(capacity: RingBenchmark.capacity), name: "ring-benchmark")
  RingMemory.initialize(region.memory, capacity: RingBenchmark.capacity)
  return region
}

func stream(where place: String, sleeping: Bool, batch: Int, count: Int) throws {
  let region = try makeRegion()
  let ends = Ends(memory: region.memory)
  let start: Int
  let sum: UInt64
  if place == "threads" {
    start = nanoseconds()
    let producer = try Thread.start(name: "producer") {
      do { try ends.produce(sleeping: sleeping, batch: batch, count: count) } catch { exit(1) }
    }
    sum = try ends.consume(sleeping: sleeping, batch: batch, count: count)
    producer.join()
  } else {
    // The other process counts from the first slot that arrives, so that its start is not measured.
    let peer = try startPeer(["produce", sleeping ? "1" : "0", String(batch), String(count)], [region.file.rawValue])
    var consumer = try ends.consumer()
    while try consumer.available(1) == 0 { consumer.pause() }
    start = nanoseconds()
    sum = try ends.consume(sleeping: sleeping, batch: batch, count: count)
    guard peer.wait() == .exited(code: 0) else { exit(1) }
  }
  let seconds = Double(nanoseconds() - start) / 1e9
  guard sum == expectedSum(count) else {
    print("wrong sum")
    exit(1)
  }
  let name = sleeping ? "Ring, sleep allowed" : "Ring"
  print("stream\t\(name)\t\(place)\t\(batch)\t\(Double(count) / seconds / 1e6)")
}

func ping(where place: String, count: Int) throws {
  let requests = try makeRegion()
  let answers = try makeRegion()
  let (there, back) = (Ends(memory: requests.memory), Ends(memory: answers.memory))
  let trips: [Int]
  if place == "threads" {
    let peer = try Thread.start(name: "answerer") {
      do { try there.answer(answers: back, count: count) } catch { exit(1) }
    }
    trips = try there.call(answers: back, count: count)
    peer.join()
  } else {
    let peer = try startPeer(["answer", String(count)], [requests.file.rawValue, answers.file.rawValue])
    trips = try there.call(answers: back, count: count)
    guard peer.wait() == .exited(code: 0) else { exit(1) }
  }
  let sorted = trips.sorted()
  print("ping\tRing\t\(place)\t\(sorted[count / 2])\t\(sorted[count * 99 / 100])")
}

/// This executable again, with the regions as descriptors 3 and on.
private func startPeer(_ arguments: [String], _ regions: [Int32]) throws -> ChildProcess {
  var descriptors: [Int32: Int32] = [1: 1, 2: 2]
  for (index, region) in regions.enumerated() { descriptors[Int32(3 + index)] = region }
  return try ChildProcess(
    executable: "/proc/self/exe", arguments: ["RingBenchmark", "peer"] + arguments, descriptors: descriptors)
}

/// The other process's part.
func runPeer(_ arguments: [String]) throws {
  let region = try SharedRegion(attaching: FileDescriptor(owning: 3))
  let ends = Ends(memory: region.memory)
  let numbers = arguments.dropFirst().compactMap { Int($0) }
  if arguments.first == "produce" {
    try ends.produce(sleeping: numbers[0] == 1, batch: numbers[1], count: numbers[2])
  } else {
    let answers = try SharedRegion(attaching: FileDescriptor(owning: 4))
    try ends.answer(answers: Ends(memory: answers.memory), count: numbers[0])
  }
}

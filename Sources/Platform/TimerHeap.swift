internal import MailModel

/// Timers by moment, and by number within one moment. A cancelled timer leaves its entry in the heap until its moment
/// comes or half of the heap is such entries, so that cancelling costs nothing.
struct TimerHeap {
  private struct Entry {
    let moment: MonotonicTime
    let number: UInt64

    static func < (left: Entry, right: Entry) -> Bool {
      left.moment != right.moment ? left.moment < right.moment : left.number < right.number
    }
  }

  private var entries: [Entry] = []
  private var calls: [UInt64: () -> Void] = [:]
  private var lastNumber: UInt64 = 0

  mutating func add(at moment: MonotonicTime, _ fire: @escaping () -> Void) -> TimerNumber {
    lastNumber += 1
    calls[lastNumber] = fire
    entries.append(Entry(moment: moment, number: lastNumber))
    siftUp()
    return TimerNumber(rawValue: lastNumber)
  }

  mutating func remove(_ timer: TimerNumber) -> Bool {
    guard calls.removeValue(forKey: timer.rawValue) != nil else { return false }
    if entries.count > 64, calls.count < entries.count / 2 {
      // A sorted array is a heap.
      entries = entries.filter { calls[$0.number] != nil }.sorted { $0 < $1 }
    }
    return true
  }

  /// The moment of the first live timer.
  var next: MonotonicTime? {
    mutating get {
      while let first = entries.first {
        if calls[first.number] != nil { return first.moment }
        removeFirst()
      }
      return nil
    }
  }

  /// The timers that are due, in order; each is still cancellable until ``take(_:)``.
  mutating func takeDue(at now: MonotonicTime) -> [UInt64] {
    var due: [UInt64] = []
    while let first = entries.first, !(now < first.moment) {
      removeFirst()
      if calls[first.number] != nil { due.append(first.number) }
    }
    return due
  }

  /// The call of a timer that was due, unless it has been cancelled since.
  mutating func take(_ number: UInt64) -> (() -> Void)? { calls.removeValue(forKey: number) }

  private mutating func siftUp() {
    var index = entries.count - 1
    while index > 0 {
      let parent = (index - 1) / 2
      guard entries[index] < entries[parent] else { return }
      entries.swapAt(index, parent)
      index = parent
    }
  }

  private mutating func removeFirst() {
    guard let last = entries.popLast(), !entries.isEmpty else { return }
    entries[0] = last
    var index = 0
    while true {
      var least = index
      for child in [2 * index + 1, 2 * index + 2] where child < entries.count && entries[child] < entries[least] {
        least = child
      }
      guard least != index else { return }
      entries.swapAt(index, least)
      index = least
    }
  }
}

import MailModel

/// Things to be done at a moment, earliest first; a binary heap.
struct AlarmHeap<Element> {
  private var entries: [(moment: MonotonicTime, element: Element)] = []

  var first: MonotonicTime? { entries.first?.moment }
  var count: Int { entries.count }

  mutating func add(_ element: Element, at moment: MonotonicTime) {
    entries.append((moment, element))
    var child = entries.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard entries[child].moment < entries[parent].moment else { break }
      entries.swapAt(child, parent)
      child = parent
    }
  }

  /// Removes and returns the earliest element when its moment has come.
  mutating func popDue(_ now: MonotonicTime) -> Element? {
    guard let top = entries.first, !(now < top.moment) else { return nil }
    entries.swapAt(0, entries.count - 1)
    entries.removeLast()
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < entries.count && entries[child].moment < entries[least].moment { least = child }
      guard least != parent else { break }
      entries.swapAt(parent, least)
      parent = least
    }
    return top.element
  }
}

/// The candidate that a person who wrote `word` most likely meant: at most a third of its letters away (and at least
/// one), nearest first, then in the order given. Letter case does not count as a difference.
func suggestion(for word: String, among candidates: [String]) -> String? {
  let written = Array(word.lowercased().unicodeScalars)
  // Words of a configuration are short; comparing long text would cost its square.
  guard written.count <= 64 else { return nil }
  let bound = max(1, (written.count + 1) / 3)
  var best: (distance: Int, candidate: String)?
  for candidate in candidates {
    let letters = Array(candidate.lowercased().unicodeScalars)
    guard letters.count <= 64, abs(letters.count - written.count) <= bound else { continue }
    let distance = editDistance(written, letters)
    if distance <= bound, distance < best?.distance ?? Int.max { best = (distance, candidate) }
  }
  return best?.candidate
}

/// "did you mean 'x'?", or the list when it is short enough to show, or nil.
public func suggestionHint(for word: String, among candidates: [String]) -> String? {
  if let candidate = suggestion(for: word, among: candidates) { return "did you mean \(quoted(candidate))?" }
  guard !candidates.isEmpty, candidates.count <= 12 else { return nil }
  return "one of: " + candidates.joined(separator: ", ")
}

/// Insertions, deletions, substitutions and exchanges of neighbours (optimal string alignment).
private func editDistance(_ left: [Unicode.Scalar], _ right: [Unicode.Scalar]) -> Int {
  var beforeLast: [Int] = []
  var last = Array(0...right.count)
  for row in 0..<left.count {
    var current = [row + 1]
    current.reserveCapacity(right.count + 1)
    for column in 0..<right.count {
      let isSame = left[row] == right[column]
      var cost = min(last[column + 1] + 1, current[column] + 1, last[column] + (isSame ? 0 : 1))
      if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
        cost = min(cost, beforeLast[column - 1] + 1)
      }
      current.append(cost)
    }
    beforeLast = last
    last = current
  }
  return last[right.count]
}

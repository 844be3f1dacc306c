import Foundation
import MailModel
import Testing

@testable import SMTP

// Golden dialogues: text files in Dialogues/, one run of one machine each.
//
//   # provenance, or a remark
//   role: server | client
//   set: name=value             a setting, before anything else
//   segmentation: whole         only in one piece a group (where early input matters)
//
// Then inputs, and after each run of inputs everything the machine does, in order. In text, \r \n \0 \\ and \xNN are octets.
//
//   server inputs   C: line     C-: octets, no CRLF   T: TLS established   F: TLS failed   L: connection lost   W: deadline passed
//                   V: accept | V: refuse 451 4.3.0 text   (with set: verdict=ask; otherwise contents are accepted)
//                   K: congestion reply, or nothing        P: accept or a reply, for a recipient asked about    Z: shut down
//   server outputs  S: line     E: envelope, content begins   >: the whole content   A: abandoned   T!: start TLS   P!: asked   X: closed
//   client inputs   S: line     S-: octets   M: message   B: its content (before M)   T: F: L: W: as above   Q: quit
//   client outputs  C: line     R: index what code [dsn] [host] [now]   D: message done   N: ready for next   T!: X:
struct Dialogue: CustomTestStringConvertible {
  enum Segmentation: Equatable {
    case whole
    case octets
    case random(UInt64)
  }

  struct Group {
    var inputs: [(kind: String, text: String)] = []
    var expected: [String] = []
    var line = 0
  }

  var name: String
  var role = ""
  var settings: [String: String] = [:]
  var wholeOnly = false
  var groups: [Group] = []

  var testDescription: String { name }

  static let all: [Dialogue] = {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Dialogues")
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return names.filter { $0.hasSuffix(".txt") }.sorted().map { name in
      let text = (try? String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8)) ?? ""
      return Dialogue(name: name, text: text)
    }
  }()

  init(name: String, text: String) {
    self.name = name
    var wasInput = false
    for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      guard !line.isEmpty, !line.hasPrefix("#") else { continue }
      let kind = String(line.prefix { $0 != ":" })
      let text = String(line.dropFirst(kind.count + 1).drop { $0 == " " })
      switch kind {
      case "role": role = text
      case "set":
        let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
        settings[parts[0]] = parts.count > 1 ? parts[1] : ""
      case "segmentation": wholeOnly = text == "whole"
      default:
        let inputs = role == "server" ? Self.serverInputs : Self.clientInputs
        if inputs.contains(kind) {
          if !wasInput || groups.isEmpty { groups.append(Group(line: number + 1)) }
          groups[groups.count - 1].inputs.append((kind, text))
          wasInput = true
        } else {
          if groups.isEmpty { groups.append(Group(line: number + 1)) }
          groups[groups.count - 1].expected.append(text.isEmpty ? "\(kind):" : "\(kind): \(text)")
          wasInput = false
        }
      }
    }
  }

  private static let serverInputs: Set = ["C", "C-", "T", "F", "L", "W", "V", "K", "P", "Z"]
  private static let clientInputs: Set = ["S", "S-", "M", "B", "T", "F", "L", "W", "Q"]

  /// Octets of consecutive lines are joined, then cut anew.
  func steps(_ group: Group, _ segmentation: Segmentation) -> [(kind: String, octets: [UInt8])] {
    var steps: [(kind: String, octets: [UInt8])] = []
    for (kind, text) in group.inputs {
      let isLine = kind == "C" || kind == "S"
      let octets = unescape(text) + (isLine ? [0x0D, 0x0A] : [])
      if isLine || kind.hasSuffix("-"), let last = steps.last, last.kind == "octets" {
        steps[steps.count - 1].octets += octets
      } else {
        steps.append((isLine || kind.hasSuffix("-") ? "octets" : kind, octets))
      }
    }
    return steps.flatMap { step -> [(kind: String, octets: [UInt8])] in
      guard step.kind == "octets" else { return [step] }
      switch segmentation {
      case .whole: return [step]
      case .octets: return step.octets.map { ("octets", [$0]) }
      case .random(let seed):
        var generator = SplitMix(state: seed &+ UInt64(step.octets.count))
        var pieces: [(kind: String, octets: [UInt8])] = []
        var rest = step.octets[...]
        while !rest.isEmpty {
          let piece = rest.prefix(1 + Int(generator.next() % 23))
          rest = rest.dropFirst(piece.count)
          pieces.append(("octets", Array(piece)))
        }
        return pieces
      }
    }
  }
}

func unescape(_ text: String) -> [UInt8] {
  var octets: [UInt8] = []
  var rest = Array(text.utf8)[...]
  while let octet = rest.popFirst() {
    guard octet == 0x5C, let next = rest.popFirst() else {
      octets.append(octet)
      continue
    }
    switch next {
    case UInt8(ascii: "r"): octets.append(0x0D)
    case UInt8(ascii: "n"): octets.append(0x0A)
    case UInt8(ascii: "0"): octets.append(0)
    case UInt8(ascii: "x"):
      octets.append(UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) ?? 0)
      rest = rest.dropFirst(2)
    default: octets.append(next)
    }
  }
  return octets
}

func escape(_ octets: some Sequence<UInt8>) -> String {
  octets.map { octet in
    switch octet {
    case 0x0D: "\\r"
    case 0x0A: "\\n"
    case 0x00: "\\0"
    case 0x5C: "\\\\"
    case 0x20...0x7E: String(UnicodeScalar(octet))
    default: "\\x" + (octet < 16 ? "0" : "") + String(octet, radix: 16, uppercase: true)
    }
  }.joined()
}

/// Makes lines of what a machine sends, among its other doings.
struct Transcript {
  private(set) var lines: [String] = []
  private var partial: [UInt8] = []
  let mark: String

  init(_ mark: String) { self.mark = mark }

  mutating func send(_ octets: [UInt8]) {
    for octet in octets {
      partial.append(octet)
      if partial.suffix(2) == [0x0D, 0x0A] {
        lines.append(partial.count == 2 ? "\(mark):" : "\(mark): \(escape(partial.dropLast(2)))")
        partial = []
      }
    }
  }

  mutating func note(_ line: String) { lines.append(line) }

  mutating func take() -> [String] {
    defer { lines = [] }
    return partial.isEmpty ? lines : lines + ["partial: \(escape(partial))"]
  }
}

@Suite struct DialogueTests {
  @Test(arguments: Dialogue.all)
  func `a dialogue goes as written however it is cut`(dialogue: Dialogue) {
    var segmentations: [Dialogue.Segmentation] = [.whole]
    if !dialogue.wholeOnly { segmentations += [.octets] + (0..<20).map { .random($0) } }
    for segmentation in segmentations {
      let mismatch =
        dialogue.role == "server"
        ? ServerPlayer(dialogue).play(dialogue, segmentation) : ClientPlayer(dialogue).play(dialogue, segmentation)
      if let mismatch {
        Issue.record("\(segmentation): \(mismatch)")
        return
      }
    }
  }

  @Test func `there are dialogues`() { #expect(Dialogue.all.count >= 30) }
}

/// Plays one side's inputs to a machine.
protocol DialoguePlayer {
  var transcript: Transcript { get set }
  mutating func input(_ kind: String, _ octets: [UInt8])
  mutating func begin()
}

extension DialoguePlayer {
  /// Nil when all went as written.
  func play(_ dialogue: Dialogue, _ segmentation: Dialogue.Segmentation) -> String? {
    var player = self
    player.begin()
    for group in dialogue.groups {
      for (kind, octets) in dialogue.steps(group, segmentation) { player.input(kind, octets) }
      let seen = player.transcript.take()
      if seen != group.expected {
        return "\(dialogue.name):\(group.line)\nexpected\n  \(group.expected.joined(separator: "\n  "))\nseen\n  "
          + seen.joined(separator: "\n  ")
      }
    }
    return nil
  }
}

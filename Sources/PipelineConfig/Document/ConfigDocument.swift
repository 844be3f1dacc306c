/// One YAML file as a tree of nodes with marks.
///
/// The language is a part of YAML 1.1 small enough that every file means one thing: one document; no anchors, aliases,
/// tags or merge keys; scalar keys, each once; spaces for indentation; no more than ``ConfigLimits`` allows. The bounds
/// are checked at each event as libyaml delivers it, so that a hostile file costs no more than an honest one. What is
/// merely forbidden is complained about and reading goes on, so that one run shows all of it; only what leaves no tree
/// to go on with (text that is not YAML, an alias, a broken bound) ends it.
public struct ConfigDocument: Sendable {
  public let root: ConfigNode

  /// Reads the octets of a file.
  ///
  /// - Parameters:
  ///   - file: The name that complaints show.
  ///   - diagnostics: Receives the source text for rendering, and every complaint.
  /// - Returns: nil when there is no tree to go on with; an error is then among the diagnostics. A tree may come
  ///   together with errors.
  public static func parse(_ octets: [UInt8], file: String, diagnostics: inout Diagnostics) -> ConfigDocument? {
    var reader = DocumentReader(octets, file: file)
    return reader.read(&diagnostics).map(ConfigDocument.init(root:))
  }

  public static func parse(_ text: String, file: String, diagnostics: inout Diagnostics) -> ConfigDocument? {
    parse(Array(text.utf8), file: file, diagnostics: &diagnostics)
  }
}

/// Builds the tree from events with a stack of open collections, never by recursion.
package struct DocumentReader {
  private struct Frame {
    var mark: ConfigMark
    var isMapping: Bool
    /// This collection is itself a key, which is complained about; what it holds is dropped.
    var isKey = false
    var nodes: [ConfigNode] = []
    var entries: [ConfigEntry] = []
    var keys: [String: ConfigMark] = [:]
    /// The key whose value comes next; its text is nil when the entry is to be dropped.
    var pendingKey: (text: String?, mark: ConfigMark)?
  }

  private let file: String
  private let source: SourceText
  private let events: YAMLEventReader?
  private var stack: [Frame] = []
  private var root: ConfigNode?
  private var nodeCount = 0
  private var lineChecked = 0
  private var hasAlias = false

  /// For tests of the bounds: how much work libyaml was allowed to do.
  package var eventCount: Int { events?.eventCount ?? 0 }
  package var charactersScanned: Int { events?.charactersScanned ?? 0 }

  package init(_ octets: [UInt8], file: String) {
    self.file = file
    let hasMark = octets.starts(with: [0xEF, 0xBB, 0xBF])
    let octets = hasMark ? Array(octets.dropFirst(3)) : octets
    let isTooLong = octets.count > ConfigLimits.fileOctetsMax
    source = SourceText(isTooLong ? [] : octets)
    events = isTooLong ? nil : YAMLEventReader(octets)
  }

  package mutating func read(_ diagnostics: inout Diagnostics) -> ConfigNode? {
    if events != nil { diagnostics.add(source: source, file: file) }
    guard let events else {
      diagnostics.error(
        "the file is larger than \(ConfigLimits.fileOctetsMax) octets", at: ConfigMark(file: file, line: 1, column: 1))
      return nil
    }
    do throws(YAMLSyntaxError) {
      while true {
        let event = try events.next()
        if case .streamEnd = event.kind { break }
        guard take(event, &diagnostics) else { return nil }
      }
    } catch {
      complain(of: error, &diagnostics)
      return nil
    }
    guard let root else {
      diagnostics.error("the file says nothing", at: ConfigMark(file: file, line: 1, column: 1))
      return nil
    }
    return hasAlias ? nil : root
  }

  /// Returns false when reading cannot go on.
  private mutating func take(_ event: YAMLEvent, _ diagnostics: inout Diagnostics) -> Bool {
    let mark = ConfigMark(file: file, line: event.line, column: event.column)
    refuseTab(at: mark, &diagnostics)
    refuseProperties(of: event, at: mark, &diagnostics)
    switch event.kind {
    case .streamStart, .streamEnd, .documentEnd: return true
    case .documentStart:
      guard root == nil else {
        diagnostics.error("a second document begins here; a configuration file is one document", at: mark)
        return false
      }
      return true
    case .alias:
      diagnostics.error("aliases (*name) are not allowed", at: mark, hint: "write the value again")
      hasAlias = true
      return add(.scalar(ConfigScalar("")), at: mark, &diagnostics)
    case .scalar(let text, let isPlain):
      if isAwaitingKey { return addKey(text, isPlain: isPlain, at: mark, &diagnostics) }
      return add(.scalar(ConfigScalar(text, style: isPlain ? .plain : .quoted)), at: mark, &diagnostics)
    case .sequenceStart: return open(isMapping: false, at: mark, &diagnostics)
    case .mappingStart: return open(isMapping: true, at: mark, &diagnostics)
    case .sequenceEnd, .mappingEnd:
      guard let frame = stack.popLast() else { return true }
      if frame.isKey {
        stack[stack.count - 1].pendingKey = (nil, frame.mark)
        return true
      }
      return add(frame.isMapping ? .mapping(frame.entries) : .sequence(frame.nodes), at: frame.mark, &diagnostics)
    }
  }

  private var isAwaitingKey: Bool { stack.last.map { $0.isMapping && $0.pendingKey == nil } ?? false }

  private mutating func open(isMapping: Bool, at mark: ConfigMark, _ diagnostics: inout Diagnostics) -> Bool {
    guard stack.count < ConfigLimits.depthMax else {
      diagnostics.error("lists and mappings are nested deeper than \(ConfigLimits.depthMax)", at: mark)
      return false
    }
    var frame = Frame(mark: mark, isMapping: isMapping)
    if isAwaitingKey {
      diagnostics.error(
        "a key must be a single word, not \(isMapping ? "a mapping" : "a list")", at: mark,
        hint: "text with { or [ at its start must be quoted")
      frame.isKey = true
    }
    stack.append(frame)
    return true
  }

  private mutating func addKey(
    _ text: String, isPlain: Bool, at mark: ConfigMark, _ diagnostics: inout Diagnostics
  ) -> Bool {
    guard countNode(at: mark, &diagnostics) else { return false }
    let last = stack.count - 1
    var kept: String? = text
    if text == "<<", isPlain {
      diagnostics.error("merge keys (<<) are not allowed", at: mark, hint: "write the settings again")
      kept = nil
    } else if let earlier = stack[last].keys[text] {
      diagnostics.error("key \(quoted(text)) is already set in line \(earlier.line)", at: mark)
      kept = nil
    } else if text.isEmpty {
      diagnostics.error("a key is empty", at: mark)
      kept = nil
    } else if text.contains("${") {
      diagnostics.error("substitution is for values, not for keys", at: mark)
    }
    if let kept { stack[last].keys[kept] = mark }
    stack[last].pendingKey = (kept, mark)
    return true
  }

  private mutating func add(
    _ content: ConfigNode.Content, at mark: ConfigMark, _ diagnostics: inout Diagnostics
  ) -> Bool {
    guard countNode(at: mark, &diagnostics) else { return false }
    let node = ConfigNode(content, at: mark)
    guard !stack.isEmpty else {
      root = node
      return true
    }
    let last = stack.count - 1
    if !stack[last].isMapping {
      stack[last].nodes.append(node)
    } else if let key = stack[last].pendingKey {
      if let text = key.text { stack[last].entries.append(ConfigEntry(key: text, keyMark: key.mark, value: node)) }
      stack[last].pendingKey = nil
    } else {
      // Only an alias comes here: it stands where a key belongs, and has been complained about.
      stack[last].pendingKey = (nil, mark)
    }
    return true
  }

  private mutating func countNode(at mark: ConfigMark, _ diagnostics: inout Diagnostics) -> Bool {
    nodeCount += 1
    guard nodeCount <= ConfigLimits.nodesMax else {
      diagnostics.error("the file holds more than \(ConfigLimits.nodesMax) values", at: mark)
      return false
    }
    return true
  }

  /// libyaml refuses a tab as indentation in block style with a text that few understand, and takes it between brackets.
  private mutating func refuseTab(at mark: ConfigMark, _ diagnostics: inout Diagnostics) {
    guard mark.line != lineChecked else { return }
    lineChecked = mark.line
    var column = 1
    for scalar in source.line(mark.line).unicodeScalars {
      if scalar == "\t" {
        diagnostics.error(tabText, at: ConfigMark(file: file, line: mark.line, column: column), hint: tabHint)
        return
      }
      guard scalar == " " else { return }
      column += 1
    }
  }

  private func refuseProperties(of event: YAMLEvent, at mark: ConfigMark, _ diagnostics: inout Diagnostics) {
    if event.hasAnchor { diagnostics.error("anchors (&name) are not allowed", at: mark, hint: "write the value again") }
    if event.hasTag {
      diagnostics.error("tags (!name) are not allowed", at: mark, hint: "text that begins with ! must be quoted")
    }
  }

  private func complain(of error: YAMLSyntaxError, _ diagnostics: inout Diagnostics) {
    if let offset = error.octetOffset {
      let position = source.position(ofOctet: offset)
      let mark = ConfigMark(file: file, line: position.line, column: position.column)
      diagnostics.error("the file is not UTF-8 text without control characters: \(error.text)", at: mark)
      return
    }
    var mark = ConfigMark(file: file, line: error.line, column: error.column)
    if source.scalar(line: mark.line, column: mark.column) == "\t" {
      diagnostics.error(tabText, at: mark, hint: tabHint)
      return
    }
    if mark.line > source.lineCount || (mark.line > 1 && source.line(mark.line).isEmpty) {
      mark = ConfigMark(file: file, line: min(mark.line, source.lineCount), column: 1)
    }
    diagnostics.error("this is not YAML: \(error.text)", at: mark)
  }
}

private let tabText = "a tab is used for indentation"
private let tabHint = "use spaces"

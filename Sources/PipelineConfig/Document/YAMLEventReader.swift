private import CYAML

/// One step of libyaml's event stream, in our own types. A position counts from 1.
struct YAMLEvent {
  enum Kind {
    case streamStart, streamEnd, documentStart, documentEnd, alias
    case scalar(text: String, isPlain: Bool)
    case sequenceStart, sequenceEnd, mappingStart, mappingEnd
  }
  var kind: Kind
  var line: Int
  var column: Int
  var hasAnchor = false
  var hasTag = false
}

/// What libyaml says about text that is not YAML. It stops at the first.
struct YAMLSyntaxError: Error {
  var text: String
  var line: Int
  var column: Int
  /// Octets before what could not be read as characters, when that was the trouble; the position is then unknown.
  var octetOffset: Int?
}

/// libyaml's parser over octets in memory. The only file that sees libyaml.
final class YAMLEventReader {
  // SAFETY: libyaml keeps pointers into its parser and into the input, so both have addresses of their own from
  // initialization until `deinit`, and nobody else sees them.
  private let parser: UnsafeMutablePointer<yaml_parser_t>
  private let input: UnsafeMutableBufferPointer<UInt8>
  private var isInitialized = false
  private(set) var eventCount = 0

  init(_ octets: [UInt8]) {
    parser = .allocate(capacity: 1)
    parser.initialize(to: yaml_parser_t())
    input = .allocate(capacity: octets.count)
    _ = input.initialize(from: octets)
    guard yaml_parser_initialize(parser) == 1 else { return }
    isInitialized = true
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
    yaml_parser_set_input_string(parser, UnsafePointer(input.baseAddress), input.count)
  }

  deinit {
    if isInitialized { yaml_parser_delete(parser) }
    parser.deallocate()
    input.deallocate()
  }

  /// Characters that the scanner has consumed; it looks ahead by no more than 1,024 for a key.
  var charactersScanned: Int { isInitialized ? Int(clamping: parser.pointee.mark.index) : 0 }

  /// The next event. After `streamEnd` or an error there is none.
  func next() throws(YAMLSyntaxError) -> YAMLEvent {
    guard isInitialized else { throw YAMLSyntaxError(text: "no memory for the YAML parser", line: 1, column: 1) }
    var event = yaml_event_t()
    guard yaml_parser_parse(parser, &event) == 1 else { throw syntaxError() }
    // SAFETY: the strings of an event belong to it and are copied before it is deleted.
    defer { yaml_event_delete(&event) }
    eventCount += 1
    var result = YAMLEvent(
      kind: .streamEnd, line: Int(clamping: event.start_mark.line) &+ 1,
      column: Int(clamping: event.start_mark.column) &+ 1)
    switch event.type {
    case YAML_STREAM_START_EVENT: result.kind = .streamStart
    case YAML_DOCUMENT_START_EVENT: result.kind = .documentStart
    case YAML_DOCUMENT_END_EVENT: result.kind = .documentEnd
    case YAML_ALIAS_EVENT: result.kind = .alias
    case YAML_SCALAR_EVENT:
      let scalar = event.data.scalar
      let text = String(decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
      result.kind = .scalar(text: text, isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE)
      result.hasAnchor = scalar.anchor != nil
      result.hasTag = scalar.tag != nil
    case YAML_SEQUENCE_START_EVENT:
      result.kind = .sequenceStart
      result.hasAnchor = event.data.sequence_start.anchor != nil
      result.hasTag = event.data.sequence_start.tag != nil
    case YAML_SEQUENCE_END_EVENT: result.kind = .sequenceEnd
    case YAML_MAPPING_START_EVENT:
      result.kind = .mappingStart
      result.hasAnchor = event.data.mapping_start.anchor != nil
      result.hasTag = event.data.mapping_start.tag != nil
    case YAML_MAPPING_END_EVENT: result.kind = .mappingEnd
    default: result.kind = .streamEnd
    }
    return result
  }

  private func syntaxError() -> YAMLSyntaxError {
    let state = parser.pointee
    var text = state.problem.map { String(cString: $0) } ?? "it cannot be read"
    if let context = state.context.map({ String(cString: $0) }) {
      let line = Int(clamping: state.context_mark.line) &+ 1
      text += " (\(context)" + (state.context_mark.line == state.problem_mark.line ? ")" : " from line \(line))")
    }
    return YAMLSyntaxError(
      text: text, line: Int(clamping: state.problem_mark.line) &+ 1,
      column: Int(clamping: state.problem_mark.column) &+ 1,
      octetOffset: state.error == YAML_READER_ERROR ? Int(clamping: state.problem_offset) : nil)
  }
}

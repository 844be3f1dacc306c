public import MailModel

/// How a worker tells the host what its stage finds wrong with its settings.
extension WireWriter {
  public mutating func write(_ diagnostic: Diagnostic) {
    write(diagnostic.severity.rawValue)
    write(diagnostic.mark.file)
    write(UInt32(clamping: diagnostic.mark.line))
    write(UInt32(clamping: diagnostic.mark.column))
    write(diagnostic.text)
    write(diagnostic.hint)
  }
}

extension WireReader {
  public mutating func readDiagnostic() throws(WireCodingError) -> Diagnostic {
    guard let severity = Diagnostic.Severity(rawValue: try read(UInt8.self)) else { throw .invalid("severity") }
    let mark = ConfigMark(
      file: try readString(max: 4096), line: Int(try read(UInt32.self)), column: Int(try read(UInt32.self)))
    return Diagnostic(severity, try readString(max: 64 * 1024), at: mark, hint: try readOptionalString())
  }
}

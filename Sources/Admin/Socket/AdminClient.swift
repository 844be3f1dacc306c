internal import JSONText
internal import Platform

/// The command line's end of the admin socket.
struct AdminClient {
  private let channel: LineChannel
  private static let waitSeconds = 30.0
  private static let bodySeconds = 120.0

  init(path: String) throws(AdminFailure) {
    do throws(UnixStream.ConnectError) {
      channel = LineChannel(try UnixStream.connect(to: path))
    } catch {
      switch error {
      case .nobodyAnswers: throw AdminFailure("the host does not run: nobody answers at \(path)", .hostNotRunning)
      case .pathTooLong(let octetsMax):
        throw AdminFailure("\(path): a socket's path has at most \(octetsMax) octets", .configuration)
      case .system(let error): throw AdminFailure("\(path): \(error)")
      }
    }
  }

  /// Asks, and hands over each row of the answer.
  func ask(
    _ verb: AdminVerb, _ members: [(String, JSONValue)] = [], envelope: [UInt8] = [], content: [UInt8] = [],
    _ body: (JSONValue) -> Void
  ) throws(AdminFailure) {
    var members = [("verb", JSONValue.string(verb.rawValue))] + members
    if verb == .inject {
      members += [("envelope", .integer(envelope.count)), ("content", .integer(content.count))]
    }
    do throws(LineChannel.Trouble) {
      try channel.write(.object(members), seconds: Self.waitSeconds)
      if verb == .inject { try channel.write(envelope + content, seconds: Self.bodySeconds) }
    } catch {
      // The host may have said why it did not take it all; else reading ends in the same way.
    }
    while let row = try nextRow() { body(row) }
  }

  /// Nil at the end of the answer.
  private func nextRow() throws(AdminFailure) -> JSONValue? {
    let line: [UInt8]
    do throws(LineChannel.Trouble) {
      line = try channel.readLine(
        octetsMax: AdminLimits.answerOctetsMax, idleSeconds: Self.waitSeconds, lineSeconds: Self.waitSeconds)
    } catch {
      switch error {
      case .ended: throw AdminFailure("the host ended the connection", .temporary)
      case .timedOut: throw AdminFailure("the host does not answer", .temporary)
      case .tooLong: throw AdminFailure("the host's answer is too long")
      }
    }
    let row: JSONValue
    do throws(JSONError) {
      row = try JSONValue(
        parsing: line, limits: JSONLimits(octetsMax: AdminLimits.answerOctetsMax, valuesMax: 1_000_000))
    } catch { throw AdminFailure("the host's answer is no JSON: \(error)") }
    if let failure = AdminFailure(row) { throw failure }
    return row["end"]?.boolean == true ? nil : row
  }
}

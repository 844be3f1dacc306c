internal import DeadLetterStore
internal import Glibc
internal import PipelineConfig

/// Opening the dead-letter store that the pipeline file names; the host need not run.
enum DeadLetterAccess {
  static let all = Option("all", .flag, "Every letter.")

  static func with(
    _ arguments: Arguments, _ console: Console,
    _ body: (DeadLetterStore, PipelineFile) throws(DeadLetterError) -> ExitCode
  ) -> ExitCode {
    guard let file = PipelinePath.read(arguments, console) else { return .configuration }
    guard let path = file.stage(PipelineGraph.deadID)?.config?["path"]?.text else {
      console.error("\(file.path): stage \(PipelineGraph.deadID) has no config: path:")
      return .configuration
    }
    do throws(DeadLetterError) {
      return try body(try DeadLetterStore(path: path), file)
    } catch {
      return tell(error, path: path, console)
    }
  }

  private static func tell(_ error: DeadLetterError, path: String, _ console: Console) -> ExitCode {
    console.error("\(path): \(words(error))")
    return error == .busy ? .temporary : .failed
  }

  static func words(_ error: DeadLetterError) -> String {
    switch error {
    case .quota(let what): "the store is full: \(what)"
    case .busy: "another process is writing to the store"
    case .noSuchLetter: "no such letter"
    case .io(let call): call.errno == ENOENT ? "there are no dead letters" : call.description
    case .damaged(let what): "damaged: \(Shown.text(what))"
    case .incomplete(let octets, let announced): "\(octets) octets of content instead of \(announced)"
    }
  }

  /// The letters that operands or `--all` name; nil when they make no sense, and that is written.
  static func chosen(
    _ arguments: Arguments, _ store: DeadLetterStore, _ console: Console
  ) throws(DeadLetterError) -> [LetterID]? {
    guard arguments.has(all) != !arguments.operands.isEmpty else {
      console.error("identifiers or --all, and not both")
      return nil
    }
    if arguments.has(all) { return try store.list().map(\.id) }
    var ids: [LetterID] = []
    for text in arguments.operands {
      guard let id = LetterID(text) else {
        console.error("'\(Shown.text(text))' is not a letter: an identifier and a number, as dead list shows them")
        return nil
      }
      ids.append(id)
    }
    return ids
  }

  /// Does something with each letter, going on after a failure.
  static func each(
    _ ids: [LetterID], _ console: Console, _ body: (LetterID) throws(DeadLetterError) -> Bool
  ) -> (count: Int, exit: ExitCode) {
    var count = 0
    var exit = ExitCode.done
    for id in ids {
      do throws(DeadLetterError) {
        guard try body(id) else { return (count, .temporary) }
        count += 1
        if count % 50 == 0 { console.progress("\(count) of \(ids.count) letters") }
      } catch {
        console.error("\(id): \(words(error))")
        exit = error == .busy ? .temporary : .failed
      }
    }
    console.endProgress()
    return (count, exit)
  }
}

internal import Glibc
internal import Pipeline
internal import PipelineConfig
internal import Platform

extension Verb {
  static let run = Verb(
    name: "run", summary: "runs the host in the foreground",
    text: """
      Checks everything first, as `interchange check` does, and starts nothing when there is an error. Then it replays the
      spool, starts the stages and logs to standard error, one line an event. SIGTERM and SIGINT stop it within five
      seconds; whatever is not finished by then is in the spool and goes on with the next start. A second host on the same
      spool is refused.
      """,
    options: [.config],
    examples: [
      ("interchange run", "Runs ./pipeline.yaml, or else /etc/interchange/pipeline.yaml."),
      ("interchange run -c gw.yaml 2>>gw.log", "Another file, and the log kept."),
    ]
  ) { arguments, console in
    Backtraces.turnOffInThisProcess()
    // A peer that goes away is an error of the call, not a reason to end.
    signal(SIGPIPE, SIG_IGN)
    let (pipeline, diagnostics) = PipelinePath.check(arguments)
    console.complain(diagnostics.render())
    guard let pipeline else { return .configuration }
    let log = EventLog()
    func refuse(_ reason: String) -> ExitCode {
      log.write(.error, stage: nil, nil, "cannot start: \(reason)")
      return .failed
    }
    let gateway: Gateway
    do throws(GatewayError) { gateway = try Gateway(pipeline, log: log) } catch { return refuse("\(error)") }
    let socket = pipeline.file.admin.socket
    let server: AdminServer
    do throws(AdminFailure) {
      server = try AdminServer(path: socket, GatewayResponder(control: GatewayControl(gateway))) {
        log.write(.info, stage: nil, nil, $0)
      }
    } catch { return refuse(error.text) }
    do throws(SystemError) { try server.start() } catch { return refuse("\(error)") }
    defer { server.stop() }
    log.write(.info, stage: nil, nil, "interchange \(Version.text) runs \(pipeline.file.path) as \(pipeline.file.node)")
    if let source = pipeline.graph.nodes.first(where: { $0.role == .source }) {
      let node = pipeline.file.node
      log.write(
        .info, stage: nil, nil,
        "try: printf 'Subject: hello\\n\\nhello\\n' | interchange inject - --at \(source.id) --from you@\(node) --to you@\(node)"
      )
    }
    if let reason = gateway.run() {
      log.write(.error, stage: nil, nil, "ended: \(reason)")
      return .failed
    }
    log.write(.info, stage: nil, nil, "stopped")
    return .done
  }
}

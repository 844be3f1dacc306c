internal import Admin
internal import Glibc
internal import StageHost

/// One binary: what people type, and two hidden verbs that children of the host are started with.
@main
struct Main {
  static func main() {
    let arguments = Array(CommandLine.arguments.dropFirst())
    switch arguments.first {
    // A child that looks at a module in the host's place.
    case "probe": exit(ModuleProbe.childMain(arguments: Array(arguments.dropFirst())))
    // A child that runs one stage.
    case "worker": exit(WorkerMain.run())
    case nil, .some: exit(CommandLineInterface.run(arguments).rawValue)
    }
  }
}

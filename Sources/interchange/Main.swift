internal import Glibc
internal import StageHost

@main
struct Main {
  static func main() {
    let arguments = Array(CommandLine.arguments.dropFirst())
    // Hidden: a child that looks at a module in the host's place (ModuleProbe).
    if arguments.first == "probe" { exit(ModuleProbe.childMain(arguments: Array(arguments.dropFirst()))) }
  }
}

internal import Glibc
internal import Platform
internal import StageHost

extension Verb {
  private static let language = Option(
    "lang", .choice(StageTemplate.Language.allCases.map(\.rawValue)), isRequired: true, "The language.")
  private static let name = Option("name", .text("WORD"), "The module's name; else the last part of DIR.")

  static let stageNew = Verb(
    name: "stage new", summary: "writes the beginning of a stage of your own, which builds as it is",
    operands: [Operand(name: "DIR")], options: [language, name],
    examples: [("interchange stage new --lang c disclaimer", "Files in ./disclaimer, and the line that builds them.")]
  ) { arguments, console in
    let directory = arguments.operands[0]
    let word = arguments.text(name) ?? directory.split(separator: "/").last.map(String.init) ?? ""
    guard let language = arguments.text(language).flatMap({ StageTemplate.Language(rawValue: $0) }),
      let template = StageTemplate(
        language, name: word, includeDirectory: SourceTree.includeDirectory, packageDirectory: SourceTree.directory)
    else {
      console.error("'\(Shown.text(word))' is no name for a module: letters, digits, _ and -, a letter first")
      return .usage
    }
    do throws(SystemError) { try template.write(to: directory) } catch {
      console.error("\(Shown.text(directory)): \(error.errno == EEXIST ? "its files exist already" : "\(error)")")
      return .failed
    }
    for file in template.files { console.line("\(Shown.text(directory))/\(file.path)") }
    console.line("\nbuild:  cd \(Shown.text(directory)) && \(template.buildCommand)")
    console.line("check:  interchange stage check \(Shown.text(directory))/\(template.library)")
    return .done
  }
}

/// Where this program's own source and headers lie.
enum SourceTree {
  /// The directory above the build directory that the program runs from, else the installed one.
  static var directory: String {
    var candidate = ModuleSearch.executableDirectory()
    while candidate.count > 1 {
      if access("\(candidate)/include/interchange/interchange.h", R_OK) == 0 { return candidate }
      guard let slash = candidate.lastIndex(of: "/") else { break }
      candidate = String(candidate[..<slash])
    }
    return "/usr/share/interchange"
  }

  static var includeDirectory: String {
    let directory = directory
    return directory == "/usr/share/interchange" ? "/usr/include" : "\(directory)/include"
  }
}

import Glibc
import PipelineConfig
import Testing

/// A directory of its own for one test, with files of given modes; removed at the end.
final class ScratchDirectory {
  let path: String

  init() {
    var template = Array("/tmp/pipeline-config-XXXXXX".utf8CString)
    path = template.withUnsafeMutableBufferPointer { buffer in
      buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) } ?? "/nonexistent"
    }
  }

  func add(_ name: String, _ text: String, mode: mode_t) {
    let descriptor = open("\(path)/\(name)", O_CREAT | O_WRONLY | O_TRUNC, 0o600)
    _ = Array(text.utf8).withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    fchmod(descriptor, mode)
    close(descriptor)
  }

  deinit {
    if let directory = opendir(path) {
      while let entry = readdir(directory) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
          $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        unlink("\(path)/\(name)")
      }
      closedir(directory)
    }
    rmdir(path)
  }
}

struct SubstitutionTests {
  private func substitute(
    _ text: String, environment: [String: String] = [:], secrets: String? = nil
  ) -> (root: ConfigNode?, diagnostics: Diagnostics) {
    var diagnostics = Diagnostics()
    let root = ConfigDocument.parse(text, file: "p.yaml", diagnostics: &diagnostics)?.root
    let substitution = Substitution(environment: environment, secretsDirectory: secrets)
    let result = root.map { substitution.apply(to: $0, diagnostics: &diagnostics) }
    return (result, diagnostics)
  }

  @Test func `a variable stands in one string and cannot change the structure`() {
    let (root, diagnostics) = substitute(
      "a: x-${env:A}-y\nb: \"$${env:A} $5\"\n", environment: ["A": "1\nb: [2]${env:B}"])
    #expect(diagnostics.isEmpty)
    #expect(root?["a"]?.text == "x-1\nb: [2]${env:B}-y")
    #expect(root?["b"]?.text == "${env:A} $5")
  }

  @Test func `an unset variable is an error at its value`() {
    #expect(
      substitute("a:\n  - ${env:HOME_OF_NOBODY}\n").diagnostics.render() == """
        p.yaml:2:5: error: environment variable 'HOME_OF_NOBODY' is not set
          2 |   - ${env:HOME_OF_NOBODY}
            |     ^

        """)
  }

  @Test(arguments: [
    ("${A}", "'${A}' is neither ${env:NAME} nor ${secret:NAME}"), ("${env:A", "'${' has no '}'"),
    ("${secret:../x}", "'../x' is not a name"), ("${secret:.x}", "'.x' is not a name"), ("${env:}", "'' is not a name"),
    ("${secret:x}", "there is no directory of secrets to find 'x' in"),
  ])
  func `a reference that means nothing is an error`(text: String, complaint: String) {
    #expect(substitute("a: \(text)").diagnostics.all.map(\.text) == [complaint])
  }

  @Test func `a number may come from a variable, in quotes or not`() {
    let (root, _) = substitute("{ sessions: \"${env:N}\" }", environment: ["N": "7"])
    var diagnostics = Diagnostics()
    let value = SettingValidator.validate(
      root, against: [SettingDeclaration("sessions", .integer())], owner: .nowhere, diagnostics: &diagnostics)
    #expect(value.integer("sessions") == 7)
    #expect(diagnostics.isEmpty)
  }

  @Test func `a secret is read without its newline and appears in no rendering`() throws {
    let directory = ScratchDirectory()
    directory.add("db", "hunter2\n", mode: 0o400)
    let (root, diagnostics) = substitute(
      "{ a: \"p:${secret:db}\", b: x, c: [\"${secret:db}\"] }", secrets: directory.path)
    #expect(diagnostics.isEmpty)
    let node = try #require(root)
    #expect(node["a"]?.text == "p:hunter2")
    var complaints = Diagnostics()
    let value = SettingValidator.validate(
      node,
      against: [
        SettingDeclaration("a", .string), SettingDeclaration("b", .string), SettingDeclaration("c", .any),
      ], owner: .nowhere, diagnostics: &complaints)
    #expect(value.string("a") == "p:hunter2")
    var dumped = ""
    dump(value, to: &dumped)
    dump(node, to: &dumped)
    for shown in ["\(value)", "\(node)", String(reflecting: value), String(reflecting: node), dumped] {
      #expect(!shown.contains("hunter2"), "\(shown)")
    }
    #expect("\(value)" == "{a: <secret>, b: x, c: [<secret>]}")
  }

  @Test func `a secret that does not fit is not quoted in the complaint`() {
    let directory = ScratchDirectory()
    directory.add("db", "hunter2", mode: 0o600)
    var (root, diagnostics) = substitute("a: ${secret:db}\nb: ${secret:db}\nc: ${secret:db}\n", secrets: directory.path)
    _ = SettingValidator.validate(
      root,
      against: [
        SettingDeclaration("a", .integer()), SettingDeclaration("b", .choice(["hunted"])),
        SettingDeclaration("c", .list(of: .string)),
      ], owner: .nowhere, diagnostics: &diagnostics)
    #expect(diagnostics.all.count == 3)
    #expect(!diagnostics.render().contains("hunter2"))
    #expect(!diagnostics.renderJSON().contains("hunter2"))
  }

  @Test(arguments: [0o440, 0o404, 0o644, 0o700, 0o610] as [mode_t])
  func `a secret that others could read is refused`(mode: mode_t) {
    let directory = ScratchDirectory()
    directory.add("db", "hunter2", mode: mode)
    let text = substitute("a: ${secret:db}", secrets: directory.path).diagnostics.all.first?.text ?? ""
    #expect(text == "secret 'db' has mode 0\(String(mode, radix: 8)): others could read it")
  }

  @Test func `a secret that is a link, a directory or absent is refused`() {
    let directory = ScratchDirectory()
    directory.add("real", "x", mode: 0o400)
    symlink("\(directory.path)/real", "\(directory.path)/link")
    for (name, complaint) in [
      ("link", "secret 'link' cannot be read: Too many levels of symbolic links"),
      ("none", "secret 'none' cannot be read: No such file or directory"),
    ] {
      #expect(substitute("a: ${secret:\(name)}", secrets: directory.path).diagnostics.all.map(\.text) == [complaint])
    }
  }
}

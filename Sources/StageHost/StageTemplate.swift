internal import Glibc
public import Platform

/// The beginning of a stage of one's own: files that build as they are, and the line that builds them.
public struct StageTemplate: Sendable {
  public enum Language: String, Sendable, CaseIterable {
    case c
    case swift
  }

  public struct File: Hashable, Sendable {
    /// Relative to the directory of the stage.
    public var path: String
    public var text: String
  }

  public var language: Language
  /// Of the module; a word for pipeline.yaml.
  public var name: String
  /// Where `interchange/interchange.h` lies, for C.
  public var includeDirectory: String
  /// The source tree of Interchange, for Swift.
  public var packageDirectory: String

  /// Nil when `name` is no word for pipeline.yaml: letters, digits, `_` and `-`, a letter first.
  public init?(_ language: Language, name: String, includeDirectory: String, packageDirectory: String) {
    guard ModuleReader.isName(name), name.utf8.count <= ModuleLimits.nameOctetsMax else { return nil }
    self.language = language
    self.name = name
    self.includeDirectory = includeDirectory
    self.packageDirectory = packageDirectory
  }

  /// The library that building leaves behind, relative to the directory.
  public var library: String {
    switch language {
    case .c: "lib\(name).so"
    case .swift: ".build/release/lib\(name).so"
    }
  }

  /// To be given in the directory.
  public var buildCommand: String {
    switch language {
    case .c:
      "cc -std=c11 -O2 -Wall -Wextra -shared -fPIC -fvisibility=hidden -Wl,-z,nodelete "
        + "-I \(Self.shellWord(includeDirectory)) -o lib\(name).so \(name).c"
    case .swift: "swift build -c release"
    }
  }

  public var files: [File] {
    switch language {
    case .c: [File(path: "\(name).c", text: cSource), File(path: "README.md", text: readme)]
    case .swift:
      [
        File(path: "Package.swift", text: swiftManifest),
        File(path: "Sources/\(swiftName)/\(swiftName).swift", text: swiftSource),
        File(path: "stage.map", text: "{ global: ix_module_v1; local: *; };\n"),
        File(path: "README.md", text: readme),
      ]
    }
  }

  /// Writes the files. The directory may exist, the files may not.
  ///
  /// - Throws: ``SystemError`` of `mkdir`, `open` (EEXIST: nothing is overwritten) or `write`. What was written stays.
  public func write(to directory: String) throws(SystemError) {
    for file in files {
      var folder = directory
      try Self.makeDirectory(folder)
      for part in file.path.split(separator: "/").dropLast() {
        folder += "/\(part)"
        try Self.makeDirectory(folder)
      }
      let number = open("\(directory)/\(file.path)", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
      guard number >= 0 else { throw .last("open") }
      let descriptor = FileDescriptor(owning: number)
      var octets = Array(file.text.utf8)[...]
      while !octets.isEmpty {
        let count = octets.withUnsafeBytes { Glibc.write(descriptor.rawValue, $0.baseAddress, $0.count) }
        guard count > 0 else { throw .last("write") }
        octets = octets.dropFirst(count)
      }
    }
  }

  private static func makeDirectory(_ path: String) throws(SystemError) {
    guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw .last("mkdir") }
  }

  /// A path as one word of a shell's line.
  private static func shellWord(_ text: String) -> String {
    let isPlain = text.utf8.allSatisfy { octet in
      (0x30...0x39).contains(octet) || (0x41...0x5A).contains(octet) || (0x61...0x7A).contains(octet)
        || "/._-+".utf8.contains(octet)
    }
    return isPlain && !text.isEmpty
      ? text : "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
  }

  /// The name of the target and its class: `mail-room` is `MailRoom`.
  var swiftName: String {
    name.split { $0 == "-" || $0 == "_" }.map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
  }

  // MARK: Texts

  private var readme: String {
    """
    # \(name)

    A stage for Interchange. Build it, and let it be examined:

    ```sh
    \(buildCommand)
    interchange stage check \(library)
    ```

    Then name it in `pipeline.yaml`. A bare file name is looked for beside the host and among the installed modules; the file
    and its directories must be writable by nobody but root or the host's user.

    ```yaml
    modules:
      \(name): { file: /path/to/lib\(name).so }
    stages:
      check: { use: \(name).filter, config: { limit: 10MiB }, to: route }
    ```

    """
  }

  private var cSource: String {
    """
    /* \(name): refuses messages beyond a size. The manual is interchange/interchange.h. */
    #include <interchange/interchange.h>

    #include <stdlib.h>

    #define LITERAL(literal) {(literal), sizeof(literal) - 1}

    struct ix_instance {
      const ix_host *host;
      const ix_job_functions *job;
      uint64_t limit_octets;
    };

    static ix_status create(const ix_stage_class *stage_class, const ix_host *host, const ix_node *node,
                            ix_instance **instance) {
      const ix_config_functions *config = host->get_extension(host, IX_CONFIG);
      const ix_job_functions *job = host->get_extension(host, IX_JOB);
      ix_instance *self = calloc(1, sizeof *self);
      (void)stage_class;
      if (!self || !config || !job) {
        free(self);
        return IX_FAILED;
      }
      self->host = host;
      self->job = job;
      self->limit_octets = (uint64_t)config->integer(config->member(node, "limit"), 0);
      *instance = self;
      return IX_OK;
    }

    static ix_status start(ix_instance *self) {
      (void)self;
      return IX_OK;
    }

    static void submit(ix_instance *self, ix_job *job) {
      ix_answer answer = {.size = sizeof answer, .kind = IX_FORWARD, .port = 0};
      if (self->job->content_octets(job) > self->limit_octets) {
        ix_answer refusal = {.size = sizeof refusal,
                             .kind = IX_REFUSED,
                             .status_class = 5,
                             .status_subject = 3,
                             .status_detail = 4,
                             .text = LITERAL("the message is too big")};
        answer = refusal;
      }
      self->job->answer_rest(job, &answer);
      self->job->finish(job);
    }

    static void stop(ix_instance *self) { (void)self; }

    static void destroy(ix_instance *self) { free(self); }

    static const ix_text ports[] = {LITERAL("out")};

    static const ix_setting settings[] = {{
        .size = sizeof(ix_setting),
        .name = LITERAL("limit"),
        .kind = IX_SETTING_SIZE,
        .default_text = LITERAL("10MiB"),
        .summary = LITERAL("The largest content that passes."),
    }};

    static const ix_stage_class stages[] = {{
        .size = sizeof(ix_stage_class),
        .name = LITERAL("filter"),
        .kind = IX_FILTER,
        .summary = LITERAL("Refuses messages beyond a size."),
        .ports = ports,
        .port_count = 1,
        .settings = settings,
        .setting_count = 1,
        .setting_stride = sizeof(ix_setting),
        .create = create,
        .start = start,
        .submit = submit,
        .stop = stop,
        .destroy = destroy,
    }};

    static const ix_module module = {
        .size = sizeof(ix_module),
        .level = IX_LEVEL,
        .name = LITERAL("\(name)"),
        .version = LITERAL("0.1"),
        .summary = LITERAL("Refuses messages beyond a size."),
        .stages = stages,
        .stage_count = 1,
        .stage_stride = sizeof(ix_stage_class),
    };

    const ix_module *ix_module_v1(uint32_t host_level) {
      (void)host_level;
      return &module;
    }

    """
  }

  /// A Swift string literal.
  private static func literal(_ text: String) -> String { text.debugDescription }

  private var swiftManifest: String {
    let identity = packageDirectory.split(separator: "/").last.map { $0.lowercased() } ?? "interchange"
    return """
      // swift-tools-version: 6.0
      import PackageDescription

      let package = Package(
        name: "\(name)",
        products: [.library(name: "\(name)", type: .dynamic, targets: ["\(swiftName)"])],
        dependencies: [.package(path: \(Self.literal(packageDirectory)))],
        targets: [
          .target(
            name: "\(swiftName)",
            dependencies: [.product(name: "StageKit", package: \(Self.literal(identity)))],
            linkerSettings: [
              // One exported symbol, and a library that stays: casts to protocols crash after unloading.
              .unsafeFlags([
                "-Xlinker", "--version-script=\\(Context.packageDirectory)/stage.map", "-Xlinker", "-z", "-Xlinker",
                "nodelete",
              ])
            ])
        ])

      """
  }

  private var swiftSource: String {
    """
    import CInterchange
    import MailModel
    import StageKit

    /// Refuses messages beyond a size.
    final class \(swiftName): Stage {
      static let declaration = StageDeclaration(
        name: "filter", kind: .filter, summary: "Refuses messages beyond a size.", ports: ["out"],
        settings: [Setting("limit", .size, default: "10MiB", "The largest content that passes.")])

      private let limitOctets: UInt64

      init(context: StageContext, config: ConfigNode) throws(StageFailure) {
        limitOctets = UInt64(max(0, config["limit"].integer ?? 0))
      }

      func submit(_ job: Job) {
        if job.contentOctets <= limitOctets {
          job.answerRest(.forward(port: 0))
        } else {
          job.answerRest(.failed(DeliveryStatus(.messageTooBig, "the message is too big")))
        }
        job.finish()
      }
    }

    private let module = StageModule(
      name: "\(name)", version: "0.1", summary: "Refuses messages beyond a size.", stages: [\(swiftName).self])

    /// The one symbol of the module.
    @_cdecl("ix_module_v1")
    public func describeModule(_ hostLevel: UInt32) -> UnsafePointer<ix_module> { module.description }

    """
  }
}

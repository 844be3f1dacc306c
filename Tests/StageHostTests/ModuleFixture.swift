import Foundation
import Testing

@testable import StageHost

/// A directory of a test's own, in which modules are built with cc and other files laid; gone when the test is over.
final class ModuleFixture {
  let directory: String

  init() throws {
    var template = Array("/tmp/interchange-modules-XXXXXX".utf8CString)
    directory = try #require(
      template.withUnsafeMutableBufferPointer { mkdtemp($0.baseAddress!).map { String(cString: $0) } })
  }

  deinit { try? FileManager.default.removeItem(atPath: directory) }

  func path(_ name: String) -> String { "\(directory)/\(name)" }

  @discardableResult
  func write(_ name: String, _ octets: [UInt8], mode: Int = 0o644) throws -> String {
    try Data(octets).write(to: URL(fileURLWithPath: path(name)))
    chmod(path(name), mode_t(mode))
    return path(name)
  }

  func read(_ name: String) throws -> [UInt8] { try Array(Data(contentsOf: URL(fileURLWithPath: path(name)))) }

  /// Builds a shared library of C text.
  @discardableResult
  func build(
    _ name: String, _ source: String = ModuleFixture.source, defining definitions: [String] = [],
    flags: [String] = ["-fvisibility=hidden"]
  ) throws -> String {
    try write("\(name).c", Array(source.utf8))
    let result = try run(
      "cc",
      ["-std=c11", "-shared", "-fPIC", "-Wall", "-Wno-unused", "-Werror", "-I", Self.include] + flags
        + definitions.map { "-D\($0)" } + ["-o", path(name), path("\(name).c")])
    try #require(result.status == 0, "\(result.output)")
    return path(name)
  }

  func run(_ command: String, _ arguments: [String]) throws -> (status: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [command] + arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: output, as: UTF8.self))
  }

  /// The root of the package, from where this file was compiled.
  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().path
  /// The `interchange` executable, which `swift build` leaves beside the test bundle.
  static let host = "\(ModuleSearch.executableDirectory())/interchange"
  static let include = "\(root)/include"

  /// A module with one filter, which definitions turn bad in one way each.
  static let source = """
    #include <interchange/interchange.h>
    #include <stdlib.h>
    #include <unistd.h>
    #ifndef LEVEL
    #define LEVEL IX_LEVEL
    #endif
    #ifndef MODULE_NAME
    #define MODULE_NAME "good"
    #endif
    #define TEXT(literal) {literal, sizeof(literal) - 1}
    struct ix_instance { const ix_host *host; const ix_job_functions *jobs; };
    static ix_status create(const ix_stage_class *c, const ix_host *host, const ix_node *config, ix_instance **out) {
      (void)c; (void)config;
      *out = calloc(1, sizeof **out);
      (*out)->host = host;
      (*out)->jobs = host->get_extension(host, IX_JOB);
    #ifdef CRASH_CREATE
      abort();
    #endif
      return IX_OK;
    }
    static ix_status start(ix_instance *instance) { (void)instance; return IX_OK; }
    static void submit(ix_instance *instance, ix_job *job) {
    #ifdef CRASH_SUBMIT
      abort();
    #endif
    #ifndef NO_ANSWER
      ix_answer answer = {.size = sizeof answer, .kind = IX_FORWARD};
      instance->jobs->answer_rest(job, &answer);
    #endif
    #ifndef NEVER_FINISH
      instance->jobs->finish(job);
    #endif
    }
    static void stop(ix_instance *instance) { (void)instance; }
    static void destroy(ix_instance *instance) {
    #ifdef LEAK_DESCRIPTOR
      (void)!dup(0);
    #endif
      free(instance);
    }
    static const ix_text choices[] = {TEXT("red"), TEXT("green")};
    static const ix_setting element[] = {{.size = sizeof(ix_setting), .name = TEXT("element"), .kind = IX_SETTING_STRING}};
    static const ix_setting settings[] = {
      {.size = sizeof(ix_setting), .name = TEXT("limit"), .kind = IX_SETTING_SIZE, .default_text = TEXT("10MiB"),
       .summary = TEXT("Largest content."), .minimum = 1, .maximum = 1e9},
      {.size = sizeof(ix_setting), .name = TEXT("colour"), .kind = IX_SETTING_CHOICE, .choices = choices,
       .choice_count = 2, .default_text = TEXT("red")},
      {.size = sizeof(ix_setting), .name = TEXT("words"), .kind = IX_SETTING_LIST, .children = element,
       .child_count = 1, .child_stride = sizeof(ix_setting)},
      {.size = sizeof(ix_setting), .name = TEXT("key"), .kind = IX_SETTING_STRING, .flags = IX_SETTING_SECRET},
    #ifdef BAD_DEFAULT
      {.size = sizeof(ix_setting), .name = TEXT("wait"), .kind = IX_SETTING_DURATION, .default_text = TEXT("soon")},
    #endif
    #ifdef BAD_KIND
      {.size = sizeof(ix_setting), .name = TEXT("odd"), .kind = 77},
    #endif
    #ifdef REQUIRED
      {.size = sizeof(ix_setting), .name = TEXT("must"), .kind = IX_SETTING_STRING, .flags = IX_SETTING_REQUIRED},
    #endif
    };
    static const ix_text ports[] = {TEXT("out"), TEXT("other")};
    static const ix_stage_class stages[] = {{
      .size = sizeof(ix_stage_class), .name = TEXT("filter"), .kind = IX_FILTER, .summary = TEXT("Lets all pass."),
      .ports = ports, .port_count = 2, .settings = settings, .setting_count = sizeof settings / sizeof *settings,
      .setting_stride = sizeof(ix_setting), .create = create, .start = start,
    #ifndef NO_SUBMIT
      .submit = submit,
    #endif
      .stop = stop, .destroy = destroy}};
    static const ix_module module = {
    #ifdef SMALL_MODULE
      .size = 24,
    #else
      .size = sizeof(ix_module),
    #endif
      .level = LEVEL, .name = TEXT(MODULE_NAME), .version = TEXT("1.2"), .summary = TEXT("For tests."),
    #ifdef NULL_STAGES
      .stages = NULL,
    #elif defined(WILD_STAGES)
      .stages = (const ix_stage_class *)8,
    #else
      .stages = stages,
    #endif
    #ifdef MANY_STAGES
      .stage_count = SIZE_MAX,
    #else
      .stage_count = 1,
    #endif
    #ifdef SMALL_STRIDE
      .stage_stride = sizeof(ix_stage_class) - 8
    #else
      .stage_stride = sizeof(ix_stage_class)
    #endif
    };
    #ifdef UNDEFINED
    void nobody_defines_this(void);
    #endif
    #ifdef CRASH_CONSTRUCTOR
    __attribute__((constructor)) static void begin(void) { *(volatile int *)0 = 1; }
    #endif
    #ifdef HANG_CONSTRUCTOR
    __attribute__((constructor)) static void begin(void) { for (;;) pause(); }
    #endif
    #ifdef EXIT_CONSTRUCTOR
    __attribute__((constructor)) static void begin(void) { _exit(0); }
    #endif
    #ifdef NO_SYMBOL
    IX_EXPORT const void *another_symbol(void);
    const void *another_symbol(void) { return &module; }
    #else
    const ix_module *ix_module_v1(uint32_t level) {
      (void)level;
    #ifdef UNDEFINED
      nobody_defines_this();
    #endif
    #ifdef CRASH_ENTRY
      abort();
    #endif
    #ifdef NULL_MODULE
      (void)module;
      return NULL;
    #else
      return &module;
    #endif
    }
    #endif
    #ifdef EXTRA_SYMBOL
    IX_EXPORT void another(void);
    void another(void) {}
    #endif
    """
}

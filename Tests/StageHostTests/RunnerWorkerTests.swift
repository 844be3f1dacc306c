import Glibc
import MailModel
import PipelineConfig
import Platform
import Spoke
import Testing

@testable import StageHost

/// A worker process with the host's end of its spoke.
private final class WorkerFixture {
  let modules: ModuleFixture
  let loop: EventLoop
  let region: SpokeRegion
  let host: SpokeHostEnd
  let stageBell: EventFD
  let worker: WorkerProcess
  private(set) var end: WorkerProcess.End?
  private let deadline = MonotonicTime.now().advanced(bySeconds: 60)
  var contents: [UInt64: [UInt8]] = [:]

  static func setup(_ modulePath: String, _ directory: String, stage: String = "worker") -> WorkerSetup {
    let mark = ConfigMark(file: "p.yaml", line: 3, column: 5)
    let count = ConfigValue.Entry(key: "count", keyMark: mark, value: ConfigValue(.integer(7), at: mark))
    return WorkerSetup(
      modulePath: modulePath, stageName: stage,
      stage: StageSetup(
        instanceID: "acme", nodeName: "gw1.example.com", stateDirectory: "\(directory)/state/acme",
        config: ConfigValue(.mapping([count]), at: mark), contentOctetsMax: 1 << 20))
  }

  init(defining definitions: [String] = [], stage: String = "worker", path: String? = nil) throws {
    modules = try ModuleFixture()
    loop = try EventLoop()
    stageBell = try EventFD()
    region = try SpokeRegion(creatingWithChunks: 16, name: "test")
    host = try SpokeHostEnd(region, stageBell: stageBell.rawValue)
    let module = try path ?? modules.build("worker.so", workerSource, defining: definitions)
    worker = try WorkerProcess(
      executable: ModuleFixture.host, setup: Self.setup(module, modules.directory, stage: stage), region: region,
      stageBell: stageBell.rawValue, hostBell: loop.doorbellDescriptor)
    try loop.watch(worker.processDescriptor, .readable) { [unowned self] _ in
      loop.unwatch(worker.processDescriptor)
      end = worker.poll()
    }
  }

  func send(_ frame: DownFrame) throws {
    try host.send(frame)
    try host.endCycle()
  }

  func job(_ number: UInt64, _ address: String, octets: UInt64 = 0, extents: [ContentExtent] = []) throws {
    try send(
      .job(
        JobFrame(
          job: number, queueID: QueueID(rawValue: number), attempt: 1,
          acceptedAt: WallTime(millisecondsSinceEpoch: 0),
          envelope: Envelope(reversePath: nil, recipients: [Recipient(.smtp(address))]), contentOctets: octets,
          extents: extents)))
  }

  /// The next frame that is not a piece; nil when the process has ended and everything was read.
  func next() throws -> UpFrame? {
    while true {
      let isOver = end != nil
      host.awake()
      while let frame = try host.receive() {
        guard case .piece(let draft, let chunk, let octets) = frame else {
          try host.endCycle()
          return frame
        }
        contents[draft, default: []] += region.chunk(chunk)!.prefix(Int(octets))
        try host.send(.piecesTaken([chunk]))
      }
      try host.endCycle()
      if isOver { return nil }
      if try end == nil && host.prepareToSleep() { try loop.runOnce(timeoutSeconds: 60) }
      try #require(MonotonicTime.now() < deadline, "the worker does nothing")
    }
  }

  func waitForEnd() throws -> WorkerProcess.End? {
    while try next() != nil {}
    return end
  }
}

@Suite struct RunnerWorkerTests {
  @Test func `a worker runs a module over the spoke and reads segments that it is sent`() throws {
    let fixture = try WorkerFixture()
    #expect(try fixture.next() == .ready)
    let segment = try SharedRegion(creating: 100_000, name: "segment")
    let octets = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
    UnsafeMutableRawBufferPointer(start: segment.base, count: octets.count).copyBytes(from: octets)
    let extents = [
      ContentExtent(segment: 3, offset: 1000, count: 50_000), ContentExtent(segment: 3, offset: 0, count: 500),
    ]
    // The job is quicker than the segment.
    try fixture.job(1, "copy@example.com", octets: 50_500, extents: extents)
    try fixture.worker.sendSegment(3, segment.file.rawValue)
    #expect(!fixture.worker.isBlocked)
    guard case .outcome(let outcome) = try fixture.next() else {
      Issue.record("no outcome")
      return
    }
    #expect(outcome.runs == [.init(count: 1, answer: .moved(emission: 0))])
    let draft = try #require(outcome.emissions.first?.draft)
    #expect(fixture.contents[draft] == Array(octets[1000..<51_000]) + Array(octets[..<500]))
    try fixture.worker.forgetSegment(3)
    try fixture.send(.stop)
    #expect(try fixture.next() == .stopped)
    #expect(try fixture.waitForEnd() == .exited(.stopped))
  }

  @Test func `a worker has nothing open but what it was given, and gains no privileges`() throws {
    let secret = try SharedRegion(creating: 1, name: "secret-of-the-host")
    setenv("INTERCHANGE_TEST_SECRET", "1", 1)
    let fixture = try WorkerFixture()
    #expect(try fixture.next() == .ready)
    try fixture.job(1, "inside@example.com")
    guard case .log(_, _, let line) = try fixture.next() else {
      Issue.record("no log")
      return
    }
    #expect(line == "open: no secret; environment: no secret; NoNewPrivs: 1; SIGTERM ignored: 1; SIGPIPE ignored: 1")
    withExtendedLifetime(secret.octets) {}
    try fixture.send(.stop)
    #expect(try fixture.waitForEnd() == .exited(.stopped))
  }

  @Test func `a crash, an exit and a hang are told apart`() throws {
    let crash = try WorkerFixture()
    try crash.job(1, "crash@example.com")
    #expect(try crash.waitForEnd() == .signalled(SIGSEGV))
    let exit = try WorkerFixture()
    try exit.job(1, "exit@example.com")
    #expect(try exit.waitForEnd() == .exitedOtherwise(code: 7))
    let hang = try WorkerFixture()
    #expect(try hang.next() == .ready)
    try hang.job(1, "hang@example.com")
    hang.worker.terminate(afterSeconds: 0.01, on: hang.loop)
    #expect(try hang.waitForEnd() == .signalled(SIGKILL))
  }

  @Test func `a module that cannot be used says why`() throws {
    let missing = try WorkerFixture(path: "/nonexistent/module.so")
    guard case .startFailed(let line)? = try missing.next() else {
      Issue.record("started")
      return
    }
    #expect(line.contains("/nonexistent/module.so") && line.contains("No such file"))
    #expect(try missing.waitForEnd() == .exited(.moduleFailed))
    let other = try WorkerFixture(stage: "nothing")
    guard case .startFailed(let text)? = try other.next() else {
      Issue.record("started")
      return
    }
    #expect(text.hasSuffix("has no stage nothing"))
    #expect(try other.waitForEnd() == .exited(.moduleFailed))
    let create = try WorkerFixture(defining: ["BAD_CREATE"])
    #expect(try create.next() == .diagnostic(severity: 4, line: 3, column: 5, "seven is too many"))
    #expect(try create.waitForEnd() == .exited(.createFailed))
    let start = try WorkerFixture(defining: ["BAD_START"])
    #expect(try start.next() == .startFailed("the stage did not start (IX_FAILED)"))
    #expect(try start.waitForEnd() == .exited(.startFailed))
  }

  @Test func `a worker ends when the host's end of the control socket closes`() throws {
    let fixture = try WorkerFixture()
    #expect(try fixture.next() == .ready)
    shutdown(fixture.worker.controlDescriptor, Int32(SHUT_RDWR))
    #expect(try fixture.waitForEnd() == .exited(.hostGone))
  }

  @Test func `a host that dies takes its workers along`() throws {
    // A worker without a word from a host: its control socket is closed at once.
    let (ours, theirs) = try UnixSocket.pair()
    let process = try ChildProcess(
      executable: ModuleFixture.host, arguments: ["interchange", "worker"],
      descriptors: [1: 2, 2: 2, 3: theirs.rawValue])
    shutdown(ours.rawValue, Int32(SHUT_RDWR))
    #expect(process.wait(timeoutSeconds: 60) == .exited(code: WorkerExit.hostGone.rawValue))
    let alone = try ChildProcess(
      executable: ModuleFixture.host, arguments: ["interchange", "worker"], descriptors: [1: 2, 2: 2])
    #expect(alone.wait(timeoutSeconds: 60) == .exited(code: WorkerExit.setupRefused.rawValue))
  }

  @Test func `a stage is asked about its configuration and never started`() throws {
    let modules = try ModuleFixture()
    func check(_ definitions: [String], secondsMax: Double = 30) throws -> StageCheck.Finding {
      let module = try modules.build("check.so", workerSource, defining: definitions)
      return try StageCheck.diagnostics(
        executable: ModuleFixture.host, WorkerFixture.setup(module, modules.directory), secondsMax: secondsMax)
    }
    #expect(try check(["BAD_START"]) == .init(diagnostics: [], failure: nil))
    let complaint = Diagnostic(.error, "seven is too many", at: ConfigMark(file: "p.yaml", line: 3, column: 5))
    #expect(
      try check(["BAD_CREATE"])
        == .init(diagnostics: [complaint], failure: "the configuration was refused (IX_INVALID)"))
    #expect(try check(["CRASH_CREATE"]) == .init(diagnostics: [], failure: "the stage crashed with signal 11"))
    let hang = try check(["HANG_CREATE"], secondsMax: 0.2)
    #expect(hang.failure == "the stage did not judge its configuration within 0.2 s")
  }
}

/// A filter that does what its first recipient says.
private let workerSource = """
  #define _GNU_SOURCE
  #include <dirent.h>
  #include <interchange/interchange.h>
  #include <signal.h>
  #include <stdio.h>
  #include <stdlib.h>
  #include <string.h>
  #include <unistd.h>
  #define TEXT(literal) {literal, sizeof(literal) - 1}
  static const ix_host *host;
  static const ix_job_functions *jobs;
  static const ix_draft_functions *drafts;
  static int dummy;
  static ix_status create(const ix_stage_class *c, const ix_host *h, const ix_node *config, ix_instance **instance) {
    host = h;
    jobs = h->get_extension(h, IX_JOB);
    drafts = h->get_extension(h, IX_DRAFT);
    const ix_config_functions *settings = h->get_extension(h, IX_CONFIG);
    if (settings->integer(settings->member(config, "count"), 0) != 7) return IX_FAILED;
  #ifdef CRASH_CREATE
    raise(SIGSEGV);
  #endif
  #ifdef HANG_CREATE
    for (;;) pause();
  #endif
  #ifdef BAD_CREATE
    const ix_diagnostics_functions *diagnostics = h->get_extension(h, IX_DIAGNOSTICS);
    diagnostics->report(h, IX_ERROR, settings->member(config, "count"), (ix_text)TEXT("seven is too many"));
    return IX_INVALID;
  #endif
    *instance = (ix_instance *)&dummy;
    return IX_OK;
  }
  static ix_status start(ix_instance *instance) {
  #ifdef BAD_START
    return IX_FAILED;
  #endif
    return IX_OK;
  }
  static bool is(ix_text text, const char *word) {
    return text.count >= strlen(word) && memcmp(text.octets, word, strlen(word)) == 0;
  }
  static void copy(ix_job *job) {
    ix_draft *draft = drafts->create(host);
    drafts->copy_envelope(draft, job);
    ix_recipient recipient = {.size = sizeof recipient};
    jobs->recipient(job, 0, &recipient);
    drafts->add_recipient(draft, &recipient);
    uint64_t offset = 0;
    ix_span span;
    while (jobs->content(job, offset, &span) == IX_OK && span.count > 0) {
      if (drafts->write_waiting(draft, span) != IX_OK) break;
      offset += span.count;
    }
    uint32_t number;
    if (jobs->emit(job, draft, 0, &number) != IX_OK) return;
    ix_answer answer = {.size = sizeof answer, .kind = IX_MOVED, .draft = number};
    jobs->answer(job, 0, &answer);
  }
  static void inside(ix_job *job) {
    char line[256], link[256], path[64];
    int secrets = 0, privileges = -1;
    for (int fd = 0; fd < 256; fd++) {
      snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
      ssize_t count = readlink(path, link, sizeof link - 1);
      if (count < 0) continue;
      link[count] = 0;
      if (strstr(link, "secret")) secrets++;
    }
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status)) sscanf(line, "NoNewPrivs: %d", &privileges);
    if (status) fclose(status);
    struct sigaction term, pipe;
    sigaction(SIGTERM, NULL, &term);
    sigaction(SIGPIPE, NULL, &pipe);
    int count = snprintf(line, sizeof line, "open: %s; environment: %s; NoNewPrivs: %d; SIGTERM ignored: %d; SIGPIPE ignored: %d",
                         secrets ? "a secret" : "no secret", getenv("INTERCHANGE_TEST_SECRET") ? "a secret" : "no secret", privileges, term.sa_handler == SIG_IGN,
                         pipe.sa_handler == SIG_IGN);
    const ix_log_functions *log = host->get_extension(host, IX_LOG);
    log->log(host, IX_WARNING, job, (ix_text){line, (size_t)count});
  }
  static void submit(ix_instance *instance, ix_job *job) {
    ix_recipient recipient = {.size = sizeof recipient};
    jobs->recipient(job, 0, &recipient);
    if (is(recipient.address, "copy")) copy(job);
    if (is(recipient.address, "inside")) inside(job);
    if (is(recipient.address, "crash")) raise(SIGSEGV);
    if (is(recipient.address, "exit")) exit(7);
    if (is(recipient.address, "hang")) for (;;) pause();
    ix_answer answer = {.size = sizeof answer, .kind = IX_FORWARD};
    jobs->answer_rest(job, &answer);
    jobs->finish(job);
  }
  static void stop(ix_instance *instance) {}
  static void destroy(ix_instance *instance) {}
  static const ix_text ports[] = {TEXT("out")};
  static const ix_setting settings[] = {
      {.size = sizeof(ix_setting), .name = TEXT("count"), .kind = IX_SETTING_INTEGER, .summary = TEXT("A number."),
       .child_stride = sizeof(ix_setting)}};
  static const ix_stage_class stage = {
      .size = sizeof(ix_stage_class), .name = TEXT("worker"), .kind = IX_FILTER, .summary = TEXT("A test."),
      .ports = ports, .port_count = 1, .settings = settings, .setting_count = 1, .setting_stride = sizeof(ix_setting),
      .create = create, .start = start, .submit = submit, .stop = stop, .destroy = destroy};
  static const ix_module module = {
      .size = sizeof(ix_module), .level = IX_LEVEL, .name = TEXT("test"), .version = TEXT("1"),
      .summary = TEXT("A test."), .stages = &stage, .stage_count = 1, .stage_stride = sizeof(ix_stage_class)};
  IX_EXPORT const ix_module *ix_module_v1(uint32_t level) { return &module; }
  """

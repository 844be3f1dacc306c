internal import CUnbound
internal import Platform
internal import StageKit

/// Looks names up by libunbound without blocking: its answers are awaited on the stage's event loop.
/// Thread: stage. (libunbound works on one thread of its own, which never calls us.)
final class Resolver {
  /// RFC 1035 §3.2.2, RFC 3596 §2.1.
  enum RecordType: Int32 {
    case address = 1
    case mailExchange = 15
    case address6 = 28
  }

  enum Answer: Equatable {
    /// RDATA of each record; names in it are not compressed.
    case records([[UInt8]])
    /// The name is there, records of this type are not.
    case noData
    case noSuchName
    /// SERVFAIL, no answer, or an answer that does not validate: nothing is known.
    case failed(String)
  }

  private final class Query {
    weak var resolver: Resolver?
    var number: Int32 = 0
    var deadline: Int64 = .max
    let completion: (Answer) -> Void

    init(_ resolver: Resolver, _ completion: @escaping (Answer) -> Void) {
      self.resolver = resolver
      self.completion = completion
    }
  }

  private let context: StageContext
  private let unbound: OpaquePointer
  private var watch: Watch?
  private var queries: [ObjectIdentifier: Query] = [:]
  /// After which a lookup is given up.
  private let lookupSeconds: Double

  /// - Parameter servers: Recursive servers as `address` or `address@port`; none: those of resolv.conf(5).
  /// - Throws: a line for the operator.
  init(_ context: StageContext, servers: [String], lookupSeconds: Double = 30) throws(StageFailure) {
    guard let unbound = ub_ctx_create() else { throw .failed("libunbound: out of memory") }
    self.context = context
    self.unbound = unbound
    self.lookupSeconds = lookupSeconds
    func check(_ result: Int32, _ what: String) throws(StageFailure) {
      guard result == 0 else { throw .failed("libunbound: \(what): \(String(cString: ub_strerror(result)))") }
    }
    do throws(StageFailure) {
      // A stage may not write to standard error, where libunbound logs otherwise.
      try check(ub_ctx_debugout(unbound, nil), "log")
      // A thread, because a fork of a process with threads is not sound.
      try check(ub_ctx_async(unbound, 1), "thread")
      try check(ub_ctx_set_option(unbound, "do-not-query-localhost:", "no"), "localhost")
      if servers.isEmpty {
        // A machine without the file has no servers set, and libunbound then asks the root's.
        _ = ub_ctx_resolvconf(unbound, nil)
        _ = ub_ctx_hosts(unbound, nil)
      }
      for server in servers { try check(ub_ctx_set_fwd(unbound, server), server) }
    } catch {
      ub_ctx_delete(unbound)
      throw error
    }
  }

  func start() throws(StageFailure) {
    // Starts libunbound's thread, whose pipe is then there to be watched.
    watch = context.watch(ub_fd(unbound), .readable) { [unowned self] _ in ub_process(self.unbound) }
    guard watch != nil else { throw .failed("libunbound: no descriptor to wait for") }
  }

  /// Calls `completion` once, later.
  /// - Parameter name: ASCII, without or with a final dot.
  func look(up name: String, _ type: RecordType, _ completion: @escaping (Answer) -> Void) {
    let query = Query(self, completion)
    query.deadline = context.monotonicNanoseconds + Int64(lookupSeconds * 1e9)
    queries[ObjectIdentifier(query)] = query
    let inClass: Int32 = 1
    // SAFETY: `queries` keeps the query until it is answered, or cancelled, after which libunbound does not call.
    let result = ub_resolve_async(
      unbound, name, type.rawValue, inClass, Unmanaged.passUnretained(query).toOpaque(),
      { user, error, result in
        defer { ub_resolve_free(result) }
        guard let user else { return }
        let query = Unmanaged<Query>.fromOpaque(user).takeUnretainedValue()
        query.resolver?.finish(query, Resolver.answer(error, result))
      }, &query.number)
    guard result != 0 else { return }
    let line = String(cString: ub_strerror(result))
    _ = context.timer(after: 0) { [weak self] in self?.finish(query, .failed(line)) }
  }

  /// Once a second.
  func tick(_ now: Int64) {
    for query in queries.values where now >= query.deadline {
      // libunbound may have answered already, into the pipe; it drops that.
      _ = ub_cancel(unbound, query.number)
      finish(query, .failed("no answer from the name servers"))
    }
  }

  private func finish(_ query: Query, _ answer: Answer) {
    guard queries.removeValue(forKey: ObjectIdentifier(query)) != nil else { return }
    query.completion(answer)
  }

  private static func answer(_ error: Int32, _ result: UnsafeMutablePointer<ub_result>?) -> Answer {
    guard error == 0, let result = result?.pointee else { return .failed(String(cString: ub_strerror(error))) }
    if result.bogus != 0 { return .failed(result.why_bogus.map { String(cString: $0) } ?? "the answer is not genuine") }
    switch result.rcode {
    case 0: break
    case 3: return .noSuchName
    default: return .failed("the name servers answered with code \(result.rcode)")
    }
    guard result.havedata != 0, let data = result.data, let lengths = result.len else {
      return result.nxdomain != 0 ? .noSuchName : .noData
    }
    var records: [[UInt8]] = []
    var index = 0
    while let record = data[index], records.count < recordsMax {
      // SAFETY: libunbound says that data[i] has len[i] octets.
      records.append(Array(UnsafeRawBufferPointer(start: record, count: Int(max(0, lengths[index])))))
      index += 1
    }
    return records.isEmpty ? .noData : .records(records)
  }

  private static let recordsMax = 1000

  deinit {
    watch?.cancel()
    // Waits for libunbound's thread, which stops at once.
    ub_ctx_delete(unbound)
  }
}

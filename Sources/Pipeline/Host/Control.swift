public import Platform
import Synchronization

/// Looking at a running gateway and giving it orders, from any thread but the hub's.
///
/// Every call posts a closure to the hub, waits for at most ``waitSeconds`` and gets plain values back. What walks the
/// queue does so in pieces of at most ``messagesPerVisit`` messages or ``recipientsPerVisit`` recipients a visit, so that
/// viewing a queue of any length never holds up the mail in it (failure mode K2). A call that was given up before the hub
/// came to it does nothing.
public final class GatewayControl: Sendable {
  public let gateway: Gateway
  private let waitSeconds: Double

  public static let waitSeconds = 5.0
  static let messagesPerVisit = 500
  static let recipientsPerVisit = 20_000

  public init(_ gateway: Gateway, waitSeconds: Double = GatewayControl.waitSeconds) {
    self.gateway = gateway
    self.waitSeconds = waitSeconds
  }

  /// Runs `body` on the hub's thread and returns what it returns.
  func ask<Value: Sendable>(_ body: @escaping (Hub, Now) -> Value) throws(ControlError) -> Value {
    try askLater { hub, now, answer in answer.give(body(hub, now)) }
  }

  /// Runs `body` on the hub's thread, which gives its answer then or later, when something has become durable.
  func askLater<Value: Sendable>(
    _ body: @escaping (Hub, Now, ControlAnswer<Value>) -> Void
  ) throws(ControlError) -> Value {
    let answer = try ControlAnswer<Value>()
    let isPosted = gateway.hub.post { hub, now in
      if answer.begin() { body(hub, now, answer) }
    }
    guard isPosted else { throw .stopping }
    return try answer.wait(waitSeconds)
  }
}

/// Why a call to ``GatewayControl`` came to nothing.
public enum ControlError: Error, Equatable, Sendable {
  /// The hub did not come to it in time; nothing was done.
  case busy
  /// The hub has begun, and what it does is not durable yet; it may still happen.
  case undecided
  case stopping
  /// The spool refused; nothing was done.
  case refused(String)
  case noSuchMessage
  case noSuchStage(String)
  case system(SystemError)
}

extension ControlError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .busy: "the gateway is busy"
    case .undecided: "the gateway is busy: the change is not durable yet, and may still happen"
    case .stopping: "the gateway is stopping"
    case .refused(let reason): reason
    case .noSuchMessage: "no such message is in the queue"
    case .noSuchStage(let id): "the pipeline has no stage '\(id)'"
    case .system(let error): "\(error)"
    }
  }

  /// It may work later.
  public var isTemporary: Bool {
    switch self {
    case .busy, .undecided, .stopping, .system: true
    case .refused, .noSuchMessage, .noSuchStage: false
    }
  }
}

/// Where the hub leaves an answer, and the asking thread waits for it.
final class ControlAnswer<Value: Sendable>: Sendable {
  private enum State: Sendable {
    case waiting
    case begun
    case given(Value)
    case abandoned
  }

  private let state = Mutex(State.waiting)
  private let bell: EventFD

  init() throws(ControlError) {
    do throws(SystemError) { bell = try EventFD() } catch { throw .system(error) }
  }

  /// False when nobody waits any more. Hub's thread.
  func begin() -> Bool {
    state.withLock { state in
      guard case .waiting = state else { return false }
      state = .begun
      return true
    }
  }

  /// Hub's thread.
  func give(_ value: Value) {
    state.withLock { $0 = .given(value) }
    bell.signal()
  }

  func wait(_ seconds: Double) throws(ControlError) -> Value {
    _ = bell.wait(timeoutSeconds: seconds)
    let result: Result<Value, ControlError> = state.withLock { state in
      defer { if case .given = state {} else { state = .abandoned } }
      switch state {
      case .given(let value): return .success(value)
      case .begun: return .failure(.undecided)
      case .waiting, .abandoned: return .failure(.busy)
      }
    }
    return try result.get()
  }
}

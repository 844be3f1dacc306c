import MailModel
import Platform
import Spoke

/// The hub's side of one running instance of a stage. A stage that is started again gets a new link with a new number,
/// so that nothing an old process said is taken for the new one's word.
final class StageLink {
  let number: UInt64
  let lane: Int
  let end: SpokeHostEnd
  let process: any StageProcess
  var phase = Phase.starting
  /// It broke the protocol: nothing that it says counts until its process has ended.
  var isBroken = false
  /// Segments whose descriptor the process has.
  var segments: Set<UInt32> = []
  /// Octets of each unfinished draft.
  var draftOctets: [UInt64: UInt64] = [:]
  /// The last health line; nil is well.
  var health: String?

  enum Phase: Equatable {
    case starting
    case up
    /// Told to stop.
    case stopping
    /// Has said that nothing more will come.
    case stopped
  }

  init(number: UInt64, lane: Int, end: SpokeHostEnd, process: any StageProcess) {
    self.number = number
    self.lane = lane
    self.end = end
    self.process = process
  }
}

/// What runs an instance: a worker process, or a thread of the host.
protocol StageProcess: AnyObject {
  /// Gives the process a segment to read contents from, before the job that needs it.
  func give(segment: UInt32, descriptor: Int32) throws(SystemError)
  /// The segment is freed; whoever still maps it keeps the file system from having its space back.
  func forget(segment: UInt32) throws(SystemError)
  /// Ends it at once. A thread cannot be ended; it is left alone.
  func kill()
  /// The stage has said that nothing more will come.
  func hasStopped()
}

/// Makes the process of a stage: a worker or a thread. `ended` is called on the hub's thread, once, with the reason; nil
/// when it ended in good order.
typealias StageStarter = (
  _ lane: Int, _ region: SpokeRegion, _ loop: EventLoop, _ ended: @escaping (String?) -> Void
) throws -> (process: any StageProcess, stageBell: Int32)

/// How long to wait before a stage is started again: longer each time it ends soon after it started.
struct StartThrottle {
  private var recent: [MonotonicTime] = []

  /// 5 starts in 30 s, then one every 30 s (faults.md S-17); 0.1 s, 0.2 s, 0.4 s, … before that.
  mutating func delaySeconds(_ now: MonotonicTime) -> Double {
    recent.removeAll { now.seconds(since: $0) > 30 }
    recent.append(now)
    return recent.count >= 5 ? 30 : 0.1 * Double(1 << (recent.count - 1))
  }
}

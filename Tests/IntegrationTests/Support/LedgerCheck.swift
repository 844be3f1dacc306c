import Foundation
import Testing

/// What `interchange ledger --json` says, in recipients.
struct LedgerAccount: Decodable {
  var recovered, accepted, generated: Int
  var delivered, relayed, transferred, expanded, failed, dead, moved, deleted: Int
  var queued, deferred, held: Int
  var difference: Int

  var entered: Int { recovered + accepted + generated }
  var ended: Int { delivered + relayed + transferred + expanded + failed + dead + moved + deleted }
  var live: Int { queued + deferred + held }
}

extension GatewayProcess {
  func ledger(_ location: SourceLocation = #_sourceLocation) throws -> LedgerAccount {
    // Exit code 1 would be a difference.
    let text = try ask(["ledger", "--json"], location)
    let account = try Peers.decode(LedgerAccount.self, try #require(text.split(separator: "\n").last.map(String.init)))
    #expect(account.difference == 0, "\(account)", sourceLocation: location)
    #expect(account.entered == account.ended + account.live, "\(account)", sourceLocation: location)
    return account
  }

  /// Proves promise 1, at every moment until nothing is on its way any more, and then too.
  ///
  /// - Parameter accepted: Recipients of accepted messages since the host started.
  @discardableResult
  func expectBalance(
    accepted: Int? = nil, _ location: SourceLocation = #_sourceLocation
  ) throws -> LedgerAccount {
    let deadline = Date(timeIntervalSinceNow: Program.patience)
    var account = try ledger(location)
    // An outcome is counted when it is on the disk, which nothing tells from outside.
    while account.queued + account.deferred > 0, Date() < deadline { account = try ledger(location) }
    #expect(account.queued + account.deferred == 0, "\(account)", sourceLocation: location)
    if let accepted { #expect(account.accepted == accepted, "\(account)", sourceLocation: location) }
    return account
  }
}

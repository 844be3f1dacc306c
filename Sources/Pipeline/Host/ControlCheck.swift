public import PipelineConfig
import Platform
import StageHost

/// Asking the stages themselves about their configuration, before anything runs.
extension LoadedPipeline {
  /// Makes each stage once, in a process of its own that is ended again, and collects what it says of its configuration.
  /// Nothing is listened on, no message is touched. Blocks for as long as the stages take, each at most
  /// `StageCheck.secondsMax`.
  ///
  /// - Parameter executable: What answers for `interchange worker`.
  public func checkStages(executable: String = "/proc/self/exe") -> Diagnostics {
    var diagnostics = Diagnostics()
    for node in graph.nodes {
      guard case .module(let name, let stage) = node.entry.use, let module = modules[name] else { continue }
      do throws(SystemError) {
        let finding = try StageCheck.diagnostics(
          executable: executable, WorkerSetup(modulePath: module.path, stageName: stage, stage: setup(of: node)))
        for diagnostic in finding.diagnostics { diagnostics.add(diagnostic) }
        if let failure = finding.failure {
          diagnostics.error("stage \(node.id) would not start: \(failure)", at: node.entry.useMark)
        }
      } catch { diagnostics.error("stage \(node.id) cannot be asked: \(error)", at: node.entry.useMark) }
    }
    return diagnostics
  }

  private func setup(of node: GraphNode) -> StageSetup {
    StageSetup(
      instanceID: node.id, nodeName: file.node, stateDirectory: "\(file.spool.path)/state/\(node.id)",
      config: node.settings, contentOctetsMax: UInt64(file.spool.messageOctetsMax))
  }
}

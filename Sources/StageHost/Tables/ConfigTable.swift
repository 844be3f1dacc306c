internal import CInterchange
internal import MailModel
internal import Spoke

extension HostTables {
  // SAFETY: as for the other tables.
  nonisolated(unsafe) static let config = eternal(
    ix_config_functions(
      size: MemoryLayout<ix_config_functions>.size,
      kind: { ConfigTreeNode.of($0)?.kind ?? 0 },
      member: { node, key in key.flatMap { ConfigTreeNode.of(node)?.member($0)?.pointer } },
      count: { ConfigTreeNode.of($0)?.children.count ?? 0 },
      element: { node, index in
        guard let children = ConfigTreeNode.of(node)?.children, children.indices.contains(index) else { return nil }
        return children[index].node.pointer
      },
      key: { node, index in
        guard let children = ConfigTreeNode.of(node)?.children, children.indices.contains(index) else {
          return ix_text.absent
        }
        return children[index].key
      },
      text: { ConfigTreeNode.of($0)?.text ?? $1 },
      integer: { ConfigTreeNode.of($0)?.integer ?? $1 },
      real: { ConfigTreeNode.of($0)?.real ?? $1 },
      boolean: { ConfigTreeNode.of($0)?.boolean ?? $1 },
      position: { pointer, file, line, column in
        let node = ConfigTreeNode.of(pointer)
        file?.pointee = node?.file ?? ix_text.absent
        line?.pointee = UInt32(clamping: node?.mark.line ?? 0)
        column?.pointee = UInt32(clamping: node?.mark.column ?? 0)
      },
      node_name: { HostBlock.runner($0)?.nodeName.text ?? ix_text.absent },
      instance_id: { HostBlock.runner($0)?.instanceID.text ?? ix_text.absent },
      state_directory: { HostBlock.runner($0)?.stateDirectory.text ?? ix_text.absent }))

  nonisolated(unsafe) static let diagnostics = eternal(
    ix_diagnostics_functions(
      size: MemoryLayout<ix_diagnostics_functions>.size,
      report: { host, severity, node, text in
        guard let runner = HostBlock.runner(host) else { return }
        let mark = (ConfigTreeNode.of(node) ?? runner.configTree).mark
        runner.link.send(
          .diagnostic(
            severity: UInt8(min(max(severity, IX_DEBUG.rawValue), IX_ERROR.rawValue)),
            line: UInt32(clamping: mark.line), column: UInt32(clamping: mark.column),
            Handed.line(text, octetsMax: RunnerLimits.lineOctetsMax)))
      }))

  nonisolated(unsafe) static let log = eternal(
    ix_log_functions(
      size: MemoryLayout<ix_log_functions>.size,
      log: { host, severity, job, text in
        guard let runner = HostBlock.runner(host) else { return }
        let severity = min(max(severity, IX_DEBUG.rawValue), IX_ERROR.rawValue)
        // A host that is behind is not to drown in chatter.
        if severity < IX_WARNING.rawValue && runner.link.spoke.isBlocked { return }
        runner.link.send(
          .log(
            severity: UInt8(severity), JobInHand.table.find(job)?.job.frame.queueID,
            Handed.line(text, octetsMax: RunnerLimits.lineOctetsMax)))
      }))

  nonisolated(unsafe) static let metrics = eternal(
    ix_metrics_functions(
      size: MemoryLayout<ix_metrics_functions>.size,
      add: { host, name, delta in HostBlock.runner(host)?.count(name, delta, isGauge: false) },
      set: { host, name, value in HostBlock.runner(host)?.count(name, value, isGauge: true) }))
}

extension StageRunner {
  fileprivate func count(_ name: ix_text, _ value: Int64, isGauge: Bool) {
    do throws(CallRefusal) {
      guard let name = try Handed.text(name, octetsMax: RunnerLimits.metricOctetsMax), isMetricName(name) else {
        throw .invalid("the name is not lower case words joined by dots")
      }
      guard ledger.count(name, value, isGauge: isGauge) else { throw .invalid("too many names: \(name)") }
    } catch {
      if case .invalid(let line) = error {
        breach("metrics", line)
      } else {
        breach("metrics", "a name that is too long")
      }
    }
  }
}

/// Lower case words, in which digits, `-` and `_` may follow a letter, joined by dots.
private func isMetricName(_ name: String) -> Bool {
  var isStart = true
  for octet in name.utf8 {
    switch octet {
    case 0x61...0x7A: isStart = false
    case 0x30...0x39, UInt8(ascii: "_"), UInt8(ascii: "-"): if isStart { return false }
    case UInt8(ascii: "."):
      if isStart { return false }
      isStart = true
    default: return false
    }
  }
  return !isStart
}

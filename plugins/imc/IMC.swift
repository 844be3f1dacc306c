public import CInterchange
internal import StageKit

// One room for SMTP's two ends; README.md beside this file says how they behave.

@_cdecl("ix_module_v1")
public func ix_module_v1(_ hostLevel: UInt32) -> UnsafePointer<ix_module> { module.description }

private let module = StageModule(
  name: "imc", version: "0.1", summary: "Internet mail: SMTP in and out.", stages: [Source.self, Sink.self])

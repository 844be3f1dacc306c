// swift-tools-version: 6.0
import PackageDescription

/// Imports point downwards only; `docs/architecture.md` draws the layers.
let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6), .enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("InternalImportsByDefault"),
]

/// Set by script/tsan: the version script of the plugins also reaches the bundle of tests, where it would hide the
/// sanitizer's `malloc` from the Swift library.
let sanitizing = Context.environment["INTERCHANGE_SANITIZING"] != nil

/// A connector or stage: one shared library that exports `ix_module_v1` and stays loaded.
func plugin(_ name: String, folder: String, _ dependencies: [Target.Dependency]) -> Target {
  .target(
    name: name, dependencies: ["StageKit", "MailModel"] + dependencies, path: "plugins/\(folder)",
    exclude: ["README.md"],
    swiftSettings: strict,
    linkerSettings: sanitizing
      ? []
      : [.unsafeFlags(["-Xlinker", "--version-script=script/stage.map", "-Xlinker", "-z", "-Xlinker", "nodelete"])])
}

func library(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = []) -> Target {
  .testTarget(
    name: "\(name)Tests", dependencies: [.target(name: name)] + dependencies, exclude: exclude, swiftSettings: strict)
}

let package = Package(
  name: "interchange",
  products: [
    .executable(name: "interchange", targets: ["interchange"]),
    .library(name: "StageKit", targets: ["StageKit", "MailModel"]),
    // For Benchmarks/ring, which measures the library that the host links.
    .library(name: "Ring", targets: ["Ring", "Platform"]),
    .library(name: "imc", type: .dynamic, targets: ["IMC"]),
    .library(name: "address-validator", type: .dynamic, targets: ["AddressValidator"]),
    .library(name: "dead-letter", type: .dynamic, targets: ["DeadLetter"]),
    .library(name: "example-swift", type: .dynamic, targets: ["ExampleSwift"]),
  ],
  targets: [
    // Layer 0: C.
    .systemLibrary(name: "CInterchange", path: "include"),
    .target(name: "CPlatform", cSettings: [.define("_GNU_SOURCE")]),
    .systemLibrary(name: "CLtdl", providers: [.apt(["libltdl-dev"])]),
    .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
    .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
    .target(name: "CTLS", dependencies: ["COpenSSL"]),
    .systemLibrary(name: "CUnbound", providers: [.apt(["libunbound-dev"])]),
    .systemLibrary(name: "CIDN2", providers: [.apt(["libidn2-dev"])]),
    .systemLibrary(name: "CXXHash", pkgConfig: "libxxhash", providers: [.apt(["libxxhash-dev"])]),
    // Layer 1: values, system calls, the ring.
    library("MailModel"),
    library("JSONText"),
    library("Platform", ["CPlatform", "MailModel"]),
    library("Ring", ["CPlatform", "Platform", "MailModel"]),
    // Layer 2: the spool, the configuration, the faces of the ABI, formats and protocols without I/O.
    library("Spool", ["MailModel", "Platform", "CXXHash"]),
    library("SpoolTesting", ["Platform"]),  // A disk in memory for tests; in no product.
    library("PipelineConfig", ["MailModel", "JSONText", "CYAML"]),
    library("StageKit", ["MailModel", "CInterchange"]),
    library("Spoke", ["MailModel", "Platform", "Ring"]),
    library("SMTP", ["MailModel"]),
    library("InternetMessage", ["MailModel"]),
    library("DeadLetterStore", ["MailModel", "Platform"]),
    library("AddressCheck", ["MailModel", "CIDN2"]),
    // Layer 3.
    library("Reports", ["MailModel", "InternetMessage"]),
    library("StageHost", ["MailModel", "Platform", "Ring", "Spoke", "PipelineConfig", "CInterchange", "CLtdl"]),
    // Layer 4.
    library("Pipeline", ["MailModel", "Platform", "Ring", "Spoke", "Spool", "PipelineConfig", "Reports", "StageHost"]),
    library(
      "Admin",
      [
        "MailModel", "JSONText", "Platform", "CPlatform", "Spool", "PipelineConfig", "StageHost", "Pipeline",
        "DeadLetterStore",
      ]),
    // Layer 5.
    .executableTarget(
      name: "interchange", dependencies: ["Admin", "Pipeline", "StageHost", "PipelineConfig"], swiftSettings: strict),
    // Plugins: they and the host meet only in include/.
    plugin("IMC", folder: "imc", ["SMTP", "InternetMessage", "AddressCheck", "Platform", "CTLS", "CUnbound"]),
    plugin("AddressValidator", folder: "address-validator", ["AddressCheck", "CInterchange"]),
    plugin("DeadLetter", folder: "dead-letter", ["DeadLetterStore", "Platform", "CInterchange"]),
    plugin("ExampleSwift", folder: "examples/swift", []),
    // Tests: one folder a target, and the cross-cutting suites.
    tests("MailModel"), tests("Platform", ["MailModel"]), tests("Ring", ["Platform", "MailModel", "RingPeer"]),
    tests("Spool", ["MailModel", "Platform", "SpoolTesting"]),
    tests("PipelineConfig", ["MailModel"]), tests("StageKit", ["MailModel", "CInterchange"]),
    tests("Spoke", ["MailModel", "Platform", "Ring"]),
    tests("SMTP", ["MailModel"], exclude: ["Dialogues"]), tests("InternetMessage", ["MailModel"]),
    tests("DeadLetterStore", ["MailModel", "Platform"]),
    tests("Reports", ["MailModel"]), tests("StageHost", ["MailModel", "Platform", "PipelineConfig", "Spoke", "StageKit", "CInterchange"]),
    tests("Pipeline", ["MailModel", "Platform", "Spoke", "Spool", "SpoolTesting", "PipelineConfig"]), tests("Admin", ["MailModel", "JSONText", "Platform", "Pipeline"]),
    tests("JSONText"),
    tests("IMC", ["SMTP", "MailModel", "Platform", "CInterchange"]),
    tests("AddressCheck", ["MailModel", "StageHost", "PipelineConfig"]),
    .executableTarget(
      name: "RingPeer", dependencies: ["Ring", "Platform", "MailModel"], path: "Tests/RingPeer", swiftSettings: strict),
    .testTarget(
      name: "ABITests", dependencies: ["StageHost", "PipelineConfig", "CInterchange"],
      exclude: ["layout-level0.txt", "level0-x86_64.abi"], swiftSettings: strict),
    .testTarget(
      name: "IntegrationTests", dependencies: ["MailModel", "Platform"], exclude: ["Peers"], swiftSettings: strict),
  ]
)

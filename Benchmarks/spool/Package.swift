// swift-tools-version: 6.0
import PackageDescription

// A package of its own, so that the product needs no SQLite. The targets below Sources are links to the product's.
let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6), .enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("InternalImportsByDefault"),
]

let package = Package(
  name: "spool-bench",
  targets: [
    .target(name: "CPlatform", cSettings: [.define("_GNU_SOURCE")]),
    .systemLibrary(name: "CXXHash", pkgConfig: "libxxhash", providers: [.apt(["libxxhash-dev"])]),
    .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
    .target(name: "MailModel", swiftSettings: strict),
    .target(name: "Platform", dependencies: ["CPlatform", "MailModel"], swiftSettings: strict),
    .target(name: "Spool", dependencies: ["MailModel", "Platform", "CXXHash"], swiftSettings: strict),
    .executableTarget(
      name: "SpoolBench", dependencies: ["Spool", "MailModel", "Platform", "CPlatform", "CSQLite"],
      swiftSettings: strict),
  ]
)

// swift-tools-version: 6.0
import PackageDescription

let package = Package(
  name: "ring-benchmark",
  dependencies: [.package(name: "interchange", path: "../..")],
  targets: [
    .target(name: "CAffinity"),
    .executableTarget(
      name: "RingBenchmark", dependencies: ["CAffinity", .product(name: "Ring", package: "interchange")],
      swiftSettings: [.swiftLanguageMode(.v6)])
  ]
)

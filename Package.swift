// swift-tools-version: 6.2
// Malmoi: one target per idea. The map of who may know whom is docs/ARCHITECTURE.md.
import PackageDescription

let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")
let orderedCollections = Target.Dependency.product(name: "OrderedCollections", package: "swift-collections")

let package = Package(
  name: "malmoi",
  platforms: [.macOS(.v15)],
  products: [
    .library(name: "Malmoi", targets: ["Malmoi"]),
    .executable(name: "malmoi", targets: ["MalmoiCommand"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    .package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.5.0"),
  ],
  targets: [
    // The loops are useless unoptimised, and a debug build must still run a real model.
    .target(name: "CKernels", cSettings: [.unsafeFlags(["-O3"])]),
    .target(name: "Tensors", dependencies: ["CKernels"]),
    .target(name: "JSON", dependencies: [orderedCollections]),
    .target(name: "Tokenization", dependencies: ["JSON"]),
    .target(name: "TokenizerTraining", dependencies: ["JSON", "Tokenization"]),
    .target(name: "ChatTemplates", dependencies: ["JSON", orderedCollections]),
    .target(name: "Randomness"),
    .target(name: "Conversations", dependencies: ["ChatTemplates", "Tokenization", orderedCollections]),
    // Debian: zlib1g-dev; part of macOS.
    .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),
    .target(
      name: "TrainingData",
      dependencies: ["CZlib", "ChatTemplates", "Conversations", "JSON", "Randomness", "Tokenization", crypto]),
    .target(name: "Layers", dependencies: ["Tensors"]),
    .target(name: "Checkpoints", dependencies: ["JSON", "Layers", "Tensors", "Tokenization", orderedCollections]),
    .target(name: "Models", dependencies: ["JSON", "Layers", "Checkpoints"]),
    .target(
      name: "Adapters", dependencies: [
        "Checkpoints", "JSON", "Layers", "Models", "Randomness", "Tensors", "Tokenization", orderedCollections,
      ]),
    .target(name: "Generation", dependencies: ["Models", "Randomness", "Tokenization", orderedCollections]),
    .target(
      name: "Training",
      dependencies: [
        "Adapters", "Checkpoints", "JSON", "Layers", "Models", "Randomness", "Tensors", "Tokenization",
        "TokenizerTraining", "TrainingData", crypto, orderedCollections, yams,
      ]),
    .target(name: "Quantization", dependencies: ["Checkpoints", "Generation", "Layers", "Models", "Tensors"]),
    .target(name: "Tracking", dependencies: ["JSON", orderedCollections]),
    .target(name: "Hub", dependencies: [crypto]),
    .target(
      name: "Malmoi",
      dependencies: [
        "Adapters", "ChatTemplates", "Checkpoints", "Conversations", "Generation", "Hub", "Models", "Tensors",
        "Tokenization",
      ]),
    // Debian: libedit-dev; part of macOS.
    .systemLibrary(name: "CEditLine", providers: [.apt(["libedit-dev"])]),
    .executableTarget(
      name: "MalmoiCommand",
      dependencies: [
        "Adapters", "CEditLine", "Checkpoints", "Generation", "JSON", "Layers", "Malmoi", "Models", "Quantization",
        "Tensors", "Tokenization", "TokenizerTraining", "Tracking", "Training", "TrainingData", argumentParser,
      ]),
    .executableTarget(name: "ChatExample", dependencies: ["Malmoi"], path: "Examples/Chat"),
    // For development: throws damaged input at whatever reads files and templates of strangers.
    .executableTarget(
      name: "Fuzz",
      dependencies: [
        "ChatTemplates", "Checkpoints", "Generation", "JSON", "Layers", "Malmoi", "Models", "Randomness", "Tensors",
        "Tokenization", argumentParser,
      ]),
    .target(
      name: "TestSupport", dependencies: ["Checkpoints", "Hub", "Models", "Tensors", "Tokenization"],
      path: "Tests/TestSupport"),
    .testTarget(name: "JSONTests", dependencies: ["JSON"]),
    .testTarget(name: "TensorsTests", dependencies: ["Tensors", "TestSupport"], exclude: ["Fixtures"]),
    .testTarget(name: "TokenizationTests", dependencies: ["Tokenization", "TestSupport"], exclude: ["Fixtures"]),
    .testTarget(
      name: "TokenizerTrainingTests", dependencies: ["JSON", "TokenizerTraining", "TestSupport"],
      exclude: ["Fixtures"]),
    .testTarget(name: "ChatTemplatesTests", dependencies: ["ChatTemplates", "TestSupport"], exclude: ["Fixtures"]),
    .testTarget(
      name: "TrainingDataTests",
      dependencies: [
        "CZlib", "ChatTemplates", "JSON", "Randomness", "Tokenization", "TrainingData", "TestSupport",
      ],
      exclude: ["Fixtures"]),
    .testTarget(name: "CheckpointsTests", dependencies: ["Checkpoints", "TestSupport"], exclude: ["Fixtures"]),
    .testTarget(name: "TrackingTests", dependencies: ["JSON", "Tracking", "TestSupport"]),
    .testTarget(name: "HubTests", dependencies: ["Hub", "TestSupport"]),
    .testTarget(name: "ModelsTests", dependencies: ["Models", "TestSupport"], exclude: ["Fixtures"]),
    .testTarget(
      name: "AdaptersTests", dependencies: ["Adapters", "Generation", "TestSupport"], exclude: ["Fixtures"]),
    .testTarget(name: "GenerationTests", dependencies: ["Adapters", "Generation", "TestSupport"]),
    .testTarget(
      name: "QuantizationTests", dependencies: ["Quantization", "TestSupport"], exclude: ["Fixtures"]),
    .testTarget(
      name: "TrainingTests",
      dependencies: [
        "Adapters", "Checkpoints", "JSON", "Layers", "Models", "Tensors", "Training", "TrainingData", "TestSupport",
      ],
      exclude: ["Fixtures"]),
    .testTarget(name: "MalmoiTests", dependencies: ["Malmoi", "TestSupport"]),
    .testTarget(
      name: "CommandTests",
      dependencies: ["Checkpoints", "JSON", "MalmoiCommand", "Tensors", "TestSupport", "Tracking"]),
  ],
  swiftLanguageModes: [.v6],
)

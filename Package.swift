// swift-tools-version:6.1
import PackageDescription

/// Imports point down only; the floors are drawn in Documentation/Tour.md.
let package = Package(
    name: "carousel",
    products: [
        .executable(name: "carousel", targets: ["CarouselCLI"]),
        .library(name: "Carousel", targets: ["Carousel"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        // Floor 0: kernel text, C interop, hot CPU loops.
        .target(name: "CKernels", path: "Kernels"),
        .target(name: "COpenCL", linkerSettings: [.linkedLibrary("dl")]),
        .target(name: "CVector",
                linkerSettings: [.linkedLibrary("dl"), .linkedLibrary("m"), .linkedLibrary("pthread")]),
        .target(name: "CICU", linkerSettings: [.linkedLibrary("_FoundationICU")]),
        .target(name: "CEmbeddedData"),
        // Stands before the C library's allocation functions, so only the program links it.
        .target(name: "CAllocations"),

        // Floor 1: tensors, batches, operation contracts, errors.
        .target(name: "CarouselCore"),

        // Floor 1½: implementations of the contracts.
        .target(name: "CarouselCPU", dependencies: ["CarouselCore", "CVector"]),
        .target(name: "CarouselOpenCL", dependencies: ["CarouselCore", "COpenCL", "CKernels"]),
        .target(name: "CarouselReference", dependencies: ["CarouselCore"]),

        // Floor 2: layers, models, optimizers | files to text to batches.
        .target(name: "CarouselNN", dependencies: ["CarouselCore"]),
        .target(name: "CarouselData", dependencies: ["CarouselCore", "CICU", "CEmbeddedData"]),

        // Floors 3 to 5.
        .target(name: "CarouselTraining",
                dependencies: ["CarouselNN", "CarouselData", "CarouselReference", .product(name: "Yams", package: "Yams")]),
        .target(name: "Carousel",
                dependencies: ["CarouselTraining", "CarouselCPU", "CarouselOpenCL", "CarouselReference"]),
        .executableTarget(name: "CarouselCLI",
                          dependencies: ["Carousel", "CAllocations", .product(name: "ArgumentParser", package: "swift-argument-parser")]),

        // Built with everything else, so that it cannot grow stale.
        .executableTarget(name: "SentimentExample", dependencies: ["Carousel"], path: "Examples/SentimentExample"),

        // Feeds damaged input to every reader; see Documentation/Checking.md.
        .executableTarget(name: "Fuzz", dependencies: ["Carousel", .product(name: "ArgumentParser", package: "swift-argument-parser")],
                          path: "Tests/Fuzz"),

        // Tests: one target per module, one conformance suite over all devices, one that runs the program.
        .testTarget(name: "CarouselCoreTests", dependencies: ["CarouselCore"]),
        .testTarget(name: "CarouselCPUTests", dependencies: ["CarouselCPU", "CVector"]),
        .testTarget(name: "CarouselOpenCLTests", dependencies: ["CarouselOpenCL"]),
        .testTarget(name: "CarouselReferenceTests", dependencies: ["CarouselReference"]),
        .testTarget(name: "CarouselNNTests", dependencies: ["CarouselNN", "CarouselReference", "CarouselCPU"]),
        .testTarget(name: "CarouselDataTests", dependencies: ["CarouselData"],
                    resources: [.copy("Samples")]),
        .testTarget(name: "CarouselTrainingTests", dependencies: ["Carousel"]),
        .testTarget(name: "AuditTests", dependencies: ["Carousel"]),
        .testTarget(name: "ConformanceTests", dependencies: ["Carousel"], resources: [.copy("Golden")]),
        .testTarget(name: "ProgramTests", dependencies: ["CarouselCLI", "CAllocations"]),
        .testTarget(name: "FuzzTests", dependencies: ["Fuzz"]),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .c2x
)

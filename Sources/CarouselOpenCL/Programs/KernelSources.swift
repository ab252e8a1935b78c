import CarouselCore
import CKernels
import Foundation

/// Text of the kernel files: embedded, or from the folder named by `CAROUSEL_KERNEL_DIRECTORY`, whose files
/// replace embedded ones of the same name (for people who work on kernels).
struct KernelSources {
    /// nil = embedded files only.
    let directory: String?
    /// Texts that go before both, by file.
    let edited: [String: String]

    init(environment: [String: String], edited: [String: String] = [:]) {
        let path = environment["CAROUSEL_KERNEL_DIRECTORY"] ?? ""
        directory = path.isEmpty ? nil : path
        self.edited = edited
    }

    /// `common.cl` and `families.cl` followed by `files`.
    func program(_ files: [String]) throws -> String {
        try (["common.cl", "families.cl"] + files).map { "#line 1 \"\($0)\"\n" + (try text($0)) }.joined(separator: "\n")
    }

    /// The text of one file.
    func text(_ file: String) throws -> String {
        if let text = edited[file] { return text }
        if let directory {
            let path = directory + "/" + file
            if FileManager.default.fileExists(atPath: path) {
                do {
                    return try String(contentsOfFile: path, encoding: .utf8)
                } catch {
                    throw CarouselError(.missingInput, "cannot read the kernel file named by CAROUSEL_KERNEL_DIRECTORY",
                                        at: path)
                }
            }
        }
        let embedded = carousel_kernel_named(file)
        guard embedded.length > 0 else { throw CarouselError(.internalError, "no kernel file \(file)") }
        return embedded.text.withMemoryRebound(to: UInt8.self, capacity: embedded.length) {
            String(decoding: UnsafeBufferPointer(start: $0, count: embedded.length), as: UTF8.self)
        }
    }
}

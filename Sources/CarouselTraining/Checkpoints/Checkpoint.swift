import CarouselCore
import CarouselNN
import Foundation

/// The description of a checkpoint, `step-00000120.json`: one line of JSON, and on the next line its SHA-256, so that
/// a damaged description is noticed too. It is written after the tensors it describes, which makes them complete.
struct CheckpointManifest: Codable, Sendable, Equatable {
    /// Of this layout.
    static let format = "carousel-checkpoint/1"

    var format = Self.format
    var state: TrainingState
    var configuration: RunConfiguration
    var data: DataFingerprint
    /// The file of the tensors, beside the description.
    var tensors: String
    /// Its size and SHA-256.
    var bytes: Int
    var sha256: String

    init(state: TrainingState, configuration: RunConfiguration, data: DataFingerprint, tensors: String, bytes: Int, sha256: String) {
        self.state = state
        self.configuration = configuration
        self.data = data
        self.tensors = tensors
        self.bytes = bytes
        self.sha256 = sha256
    }

    /// The file's text.
    func encoded() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        let line = String(decoding: try encoder.encode(self), as: UTF8.self)
        return line + "\n" + SHA256.hexadecimal(of: line) + "\n"
    }

    /// Reads a description.
    /// - Throws: `badData` saying what is wrong with it.
    init(data: Data, name: String) throws {
        func bad(_ message: String) -> CarouselError { CarouselError(.badData, message, at: name) }
        guard let text = String(validating: data, as: UTF8.self) else { throw bad("is not UTF-8 text") }
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count == 3, lines[2].isEmpty else { throw bad("is cut short or not a checkpoint") }
        guard SHA256.hexadecimal(of: String(lines[0])) == lines[1] else { throw bad("is damaged: its SHA-256 does not fit") }
        struct Format: Decodable { var format: String }
        let bytes = Data(lines[0].utf8)
        if let other = try? JSONDecoder().decode(Format.self, from: bytes).format, other != Self.format {
            throw bad("is of the format \(other), this program reads \(Self.format)")
        }
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        do {
            self = try decoder.decode(Self.self, from: bytes)
        } catch {
            throw bad("is not a checkpoint's description: \(error)")
        }
        let state = state
        // No run has as many steps as would overflow what is computed from them.
        let most = 1 << 48
        guard (0...most).contains(state.step), (0...state.step).contains(state.stepInEpoch), (0...state.step).contains(state.epoch),
              state.records.map(\.epoch) == Array(1..<state.records.count + 1), state.records.count == state.epoch,
              state.best.map({ (1...max(1, state.epoch)).contains($0.epoch) }) ?? true, (0...most).contains(state.epochTokens), self.bytes >= 0,
              state.lossScale.map({ (0x1p-24...0x1p24).contains($0.scale) && (0...most).contains($0.goodSteps) }) ?? true,
              !tensors.contains("/"), tensors.hasSuffix(".safetensors") else {
            throw bad("does not describe a training")
        }
    }
}

/// A checkpoint that was read and found whole.
struct Checkpoint {
    var manifest: CheckpointManifest
    /// Where the tensors are, and that file's bytes (mapped, not copied).
    var path: String
    var tensors: Data
    /// Steps of newer checkpoints that are damaged.
    var passedOver: [Int] = []
}

/// The flat buffers a checkpoint holds, by the prefix of their tensors' names.
struct CheckpointBuffers {
    /// `weights`, `optimizer.m`, `average`, `best`, …
    var named: [(prefix: String, tensor: Tensor)]
}

/// Where an unfinished run stands, for people and tools.
public struct CheckpointSummary: Codable, Sendable {
    /// Steps done.
    public var step: Int
    /// Epochs finished.
    public var epoch: Int
    /// The file of its tensors.
    public var path: String
    /// Newer checkpoints that are damaged: which file, and why.
    public var damaged: [String]
}

extension RunFolder {
    /// The newest whole checkpoint of the run; nil where there is none.
    /// - Throws: `badData` when there are checkpoints, but none is whole.
    public func newestCheckpoint() throws -> CheckpointSummary? {
        try CheckpointFolder(in: self).newest().map { checkpoint, damaged in
            CheckpointSummary(step: checkpoint.manifest.state.step, epoch: checkpoint.manifest.state.epoch, path: checkpoint.path,
                              damaged: damaged.map { "\($0)" })
        }
    }
}

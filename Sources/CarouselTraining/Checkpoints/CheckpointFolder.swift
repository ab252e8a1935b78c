import CarouselCore
import CarouselNN
import Foundation
import Glibc

/// The checkpoints of a run, in the folder `checkpoints` of its run folder.
///
/// A checkpoint is two files, `step-00000120.safetensors` and `step-00000120.json`. Each is written under a temporary
/// name, flushed and renamed; the description comes last and names size and hash of the tensors; older checkpoints
/// go only when it is there.
struct CheckpointFolder {
    /// Complete checkpoints that are kept: should the newest be damaged, there is one more.
    static let kept = 2

    let path: String

    init(in folder: RunFolder) { path = folder.path + "/checkpoints" }

    /// Steps of the descriptions that are there, newest first; whether they are whole is not known yet.
    /// - Throws: `cannotCreateOutput` (73) for a folder that cannot be listed: it must not count as an empty one.
    func steps() throws -> [Int] {
        guard access(path, F_OK) == 0 else { return [] }
        return try DurableFile.entries(of: path).compactMap(Self.step).sorted(by: >)
    }

    static func name(step: Int) -> String {
        let digits = String(step)
        return "step-" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits
    }

    /// The step in `step-00000120.json`.
    private static func step(_ name: String) -> Int? {
        guard name.hasPrefix("step-"), name.hasSuffix(".json"), let step = Int(name.dropFirst(5).dropLast(5)), step >= 0,
              name == Self.name(step: step) + ".json" else { return nil }
        return step
    }

    // MARK: Writing

    /// Writes a checkpoint and removes older ones.
    /// - Parameter damaged: steps of checkpoints that are known not to be whole, to be removed too.
    /// - Throws: `inputOutput` (74) or `cannotCreateOutput` (73); the checkpoints are then as before.
    func write(state: TrainingState, configuration: RunConfiguration, data: DataFingerprint, store: ParameterStore,
               buffers: CheckpointBuffers, damaged: [Int] = []) throws {
        try DurableFile.makeFolder(path)
        let name = Self.name(step: state.step), tensors = unusedName(name)
        var bytes = 0, hash = ""
        try DurableFile.replace(tensors, in: path) { output in
            let entries = buffers.named.flatMap { buffer in
                store.parameters.map { (name: buffer.prefix + "." + $0.name, shape: $0.shape) }
            }
            let header = try Safetensors.header(float32: entries, metadata: ["format": "pt", "carousel.step": String(state.step)])
            try header.withUnsafeBytes { try output.write($0) }
            for buffer in buffers.named {
                // One buffer at a time on the host; a large model has several times its size in moments.
                let values = try store.backend.readFloats(buffer.tensor) // sync point
                try values.withUnsafeBytes { all in
                    for parameter in store.parameters {
                        let range = 4 * parameter.offset ..< 4 * (parameter.offset + parameter.shape.count)
                        try output.write(UnsafeRawBufferPointer(rebasing: all[range]))
                    }
                }
            }
            bytes = output.count
            hash = output.hash.hexadecimal()
        }
        let manifest = CheckpointManifest(state: state, configuration: configuration, data: data, tensors: tensors, bytes: bytes, sha256: hash)
        let text = try manifest.encoded()
        try DurableFile.replace(name + ".json", in: path) { try $0.write(text) }
        try prune(newest: state.step, damaged: damaged)
    }

    /// A file of tensors never changes once it is there, so a second checkpoint of a step needs a name of its own: the
    /// description that is still in force goes with the first.
    private func unusedName(_ name: String) -> String {
        let names = [name + ".safetensors"] + (2...9).map { "\(name)-\($0).safetensors" }
        return names.first { access(path + "/" + $0, F_OK) != 0 } ?? names[0]
    }

    /// Removes all but the newest complete checkpoints, tensors without a description, and half-written files.
    private func prune(newest: Int, damaged: [Int]) throws {
        var files: Set<String> = []
        var left = Self.kept
        for step in try steps() where step <= newest && !damaged.contains(step) && left > 0 {
            let name = Self.name(step: step) + ".json"
            guard let data = FileManager.default.contents(atPath: path + "/" + name),
                  let manifest = try? CheckpointManifest(data: data, name: name) else { continue }
            files.formUnion([name, manifest.tensors])
            left -= 1
        }
        for file in try DurableFile.entries(of: path) where isOwn(file) && !files.contains(file) { unlink(path + "/" + file) }
    }

    private func isOwn(_ file: String) -> Bool {
        let name = file.hasPrefix(".") ? String(file.dropFirst()) : file
        return name.hasPrefix("step-") && (name.contains(".safetensors") || name.contains(".json"))
    }

    /// Removes all checkpoints.
    /// - Throws: `cannotCreateOutput` (73).
    func remove() throws {
        guard access(path, F_OK) == 0 else { return }
        for file in try DurableFile.entries(of: path) where isOwn(file) {
            guard unlink(path + "/" + file) == 0 else {
                throw DurableFile.refusal(path + "/" + file, "cannot remove the file: \(DurableFile.systemMessage())")
            }
        }
        rmdir(path) // Only where nothing else is in it.
    }

    // MARK: Reading

    /// The newest checkpoint that is whole, and what is wrong with newer ones; nil where there is none at all.
    /// - Throws: `badData` when there are checkpoints, but none is whole.
    func newest() throws -> (checkpoint: Checkpoint, damaged: [CarouselError])? {
        var damaged: [CarouselError] = [], passedOver: [Int] = []
        for step in try steps() {
            do {
                var checkpoint = try read(step: step)
                checkpoint.passedOver = passedOver
                return (checkpoint, damaged)
            } catch let error as CarouselError {
                damaged.append(error)
                passedOver.append(step)
            }
        }
        guard let first = damaged.first else { return nil }
        throw CarouselError(.badData, "no checkpoint is whole: " + damaged.map { "\($0.location ?? path): \($0.message)" }.joined(separator: "; "),
                            at: first.location, hint: "copy the folder again from where it was whole, or start anew with --force")
    }

    /// Reads one checkpoint and verifies sizes and hashes.
    /// - Throws: `badData`, `missingInput`, `inputOutput`.
    func read(step: Int) throws -> Checkpoint {
        let name = path + "/" + Self.name(step: step) + ".json"
        guard let data = FileManager.default.contents(atPath: name) else {
            throw CarouselError(.inputOutput, "cannot be read", at: name)
        }
        let manifest = try CheckpointManifest(data: data, name: name)
        guard manifest.state.step == step else {
            throw CarouselError(.badData, "describes step \(manifest.state.step)", at: name)
        }
        let file = path + "/" + manifest.tensors
        let tensors: Data
        do {
            tensors = try Data(contentsOf: URL(fileURLWithPath: file), options: .mappedIfSafe)
        } catch {
            throw CarouselError(.badData, "cannot be read: \(error.localizedDescription)", at: file)
        }
        guard tensors.count == manifest.bytes else {
            throw CarouselError(.badData, "has \(tensors.count) bytes instead of \(manifest.bytes)", at: file)
        }
        var hash = SHA256()
        tensors.withUnsafeBytes { hash.update($0) }
        guard hash.hexadecimal() == manifest.sha256 else {
            throw CarouselError(.badData, "is damaged: its SHA-256 does not fit", at: file)
        }
        return Checkpoint(manifest: manifest, path: file, tensors: tensors)
    }
}

extension Checkpoint {
    /// Writes the checkpoint's tensors into flat buffers.
    /// - Throws: `badData` naming a tensor that is missing or of another shape.
    func load(into buffers: CheckpointBuffers, store: ParameterStore) throws {
        for buffer in buffers.named {
            let prefix = buffer.prefix + "."
            // One buffer at a time: all of them together are several times the model.
            let file = try Safetensors(data: tensors, name: path) { $0.hasPrefix(prefix) }
            let tensors = file.tensors.map { HostTensor(name: String($0.name.dropFirst(prefix.count)), shape: $0.shape, values: $0.values) }
            try store.load(tensors, from: path, into: buffer.tensor)
        }
    }
}

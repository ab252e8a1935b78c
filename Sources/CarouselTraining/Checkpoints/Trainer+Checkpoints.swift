import CarouselCore
import CarouselData
import CarouselNN
import Glibc

extension Trainer {
    /// All flat buffers a continuation depends on.
    func buffers(best: BestModel) throws -> CheckpointBuffers {
        var named: [(prefix: String, tensor: Tensor)] = [("weights", try model.store.weights)]
        for (name, moment) in try optimizer.moments.sorted(by: { $0.key < $1.key }) { named.append(("optimizer.\(name)", moment)) }
        if let average = try average { named.append(("average", average)) }
        if best.best != nil { named.append(("best", best.kept)) }
        return CheckpointBuffers(named: named)
    }

    /// The newest whole checkpoint of the folder; nil where the run was killed before its first.
    /// - Throws: `badData` when no checkpoint is whole or the data has changed, `badConfiguration` when the
    ///   configuration has.
    func newestCheckpoint(observe: (TrainingEvent) -> Void) throws -> Checkpoint? {
        guard let folder else { return nil }
        guard let (checkpoint, damaged) = try CheckpointFolder(in: folder).newest() else {
            observe(.resumed(ResumeRecord(step: 0, epoch: 0, damaged: [], changes: [])))
            return nil
        }
        let manifest = checkpoint.manifest
        try configuration.requireSame(as: manifest.configuration, in: folder.path)
        let differences = fingerprint.differences(from: manifest.data)
        guard differences.isEmpty else {
            throw CarouselError(.badData, "the data is not what the run began with: " + differences.joined(separator: "; "), at: folder.path,
                                hint: "give the data of the run, or start another run with another --output")
        }
        let state = manifest.state, now = session(firstStep: state.step)
        let changes = state.sessions.last.map { now.changes(from: $0) } ?? []
        observe(.resumed(ResumeRecord(step: state.step, epoch: state.epoch, damaged: damaged.map { "\($0)" }, changes: changes)))
        return checkpoint
    }

    /// This process and what it computes with.
    func session(firstStep: Int) -> TrainingSession {
        let info = backend.info
        let plans = model.layers.compactMap { layer in layer.plan(batch: configuration.training.batchSize).map { "\(layer.name): \($0)" } }
        return TrainingSession(firstStep: firstStep, device: info.selector, name: info.name, driver: info.driver,
                               program: Self.program, details: info.details, plans: plans)
    }

    private static let program: String = {
        var status = stat()
        guard stat("/proc/self/exe", &status) == 0 else { return "unknown" }
        return "\(status.st_size) bytes of \(status.st_mtim.tv_sec)"
    }()

    /// SHA-256 of the weights, and of their average where one is kept. A sync point.
    func weightsHash() throws -> String { try hash([model.store.weights] + (try average.map { [$0] } ?? [])) }

    /// SHA-256 of the optimizer's moments, by name. A sync point.
    func optimizerHash() throws -> String { try hash(try optimizer.moments.sorted { $0.key < $1.key }.map(\.value)) }

    private func hash(_ buffers: [Tensor]) throws -> String {
        var hash = SHA256()
        for buffer in buffers { try backend.readFloats(buffer).withUnsafeBytes { hash.update($0) } }
        return hash.hexadecimal()
    }
}

extension TrainingSession {
    /// What can change the last digits: `what: before then, after now`.
    func changes(from last: TrainingSession) -> [String] {
        func change(_ what: String, _ then: String, _ now: String) -> [String] { then == now ? [] : ["\(what): \(then) then, \(now) now"] }
        let devices = change("device", "\(last.device), \(last.name)", "\(device), \(name)")
        guard devices.isEmpty else { return devices }
        // Tuning rows never change a bit.
        func lasting(_ details: [String]) -> String { details.filter { !$0.hasPrefix("tuning") }.joined(separator: ", ") }
        return change("driver", last.driver, driver) + change("program", last.program, program)
            + change("details", lasting(last.details), lasting(details))
    }
}

extension RunConfiguration {
    /// - Throws: `badConfiguration` naming every key whose value is another than in `start`.
    public func requireSame(as start: RunConfiguration, in folder: String) throws {
        let differences = try differences(from: start)
        guard !differences.isEmpty else { return }
        throw CarouselError(.badConfiguration, "the run was begun with another configuration: " + differences.joined(separator: "; "),
                            at: folder, hint: "leave these options out to continue the run, or start another run with another --output")
    }

    /// `key: value then, value now` for every value that differs from those of `start`.
    public func differences(from start: RunConfiguration) throws -> [String] {
        func values(_ configuration: RunConfiguration) throws -> [(key: String, value: String)] {
            var result: [(key: String, value: String)] = []
            func walk(_ node: ConfigurationNode, _ path: [String]) {
                switch node.value {
                case .null: result.append((path.joined(separator: "."), "null"))
                case .bool(let value): result.append((path.joined(separator: "."), "\(value)"))
                case .text(let text): result.append((path.joined(separator: "."), text))
                // 0.01, where the encoder has 1e-2.
                case .number(let text): result.append((path.joined(separator: "."), Int(text) == nil ? Double(text).map { "\($0)" } ?? text : text))
                case .list(let nodes): for (index, child) in nodes.enumerated() { walk(child, path + [String(index)]) }
                case .mapping(let entries): for entry in entries { walk(entry.node, path + [entry.key]) }
                }
            }
            walk(try ConfigurationNode(encoding: configuration, source: "configuration"), [])
            return result
        }
        let then = try values(start), now = try values(self)
        let old = Dictionary(then, uniquingKeysWith: { first, _ in first }), new = Dictionary(now, uniquingKeysWith: { first, _ in first })
        let keys = then.map(\.key) + now.map(\.key).filter { old[$0] == nil }
        return keys.filter { old[$0] != new[$0] }.map { "\($0): \(old[$0] ?? "nothing") then, \(new[$0] ?? "nothing") now" }
    }
}

import Foundation

/// The memory of this machine, or of the container this process lives in.
public enum HostMemory {
    /// Bytes that can still be used without swapping: what the kernel calls available, or less where a control
    /// group or `ulimit -v` limits this process. 0 = unknown.
    public static var available: Int { available(root: "/", limit: addressSpaceLeft(root: "/")) }

    /// - Parameters:
    ///   - root: folder that holds `proc` and `sys`.
    ///   - limit: bytes left by limits of the process itself, nil = none.
    static func available(root: String, limit: Int?) -> Int {
        var candidates: [Int] = limit.map { [$0] } ?? []
        if let kibibytes = field("MemAvailable:", in: root + "proc/meminfo") { candidates.append(kibibytes * 1024) }
        candidates += controlGroupFolders(root: root).compactMap(left)
        return candidates.min().map { max(1, $0) } ?? 0
    }

    /// What a control group leaves: limit − usage, where cached files count as free, since they give way.
    private static func left(in folder: String) -> Int? {
        let names = [("memory.max", "memory.current", "inactive_file"),
                     ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")]
        for (limit, usage, cached) in names {
            guard let most = number(folder + limit), let used = number(folder + usage) else { continue }
            return most - used + (field(cached, in: folder + "memory.stat") ?? 0)
        }
        return nil
    }

    /// Folders of this process' control groups, version 2 and version 1, up to the root of each: every level limits.
    private static func controlGroupFolders(root: String) -> [String] {
        var folders: [String] = []
        for line in (text(root + "proc/self/cgroup") ?? "").split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            let base: String
            if parts[1].isEmpty { base = root + "sys/fs/cgroup" }
            else if parts[1].split(separator: ",").contains("memory") { base = root + "sys/fs/cgroup/memory" }
            else { continue }
            var path = parts[2].split(separator: "/").map(String.init)
            while true {
                folders.append(([base] + path).joined(separator: "/") + "/")
                if path.isEmpty { break }
                path.removeLast()
            }
        }
        return folders
    }

    /// What `ulimit -v` leaves; nil without a limit.
    private static func addressSpaceLeft(root: String) -> Int? {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0, limit.rlim_cur < UInt64(Int.max),
              let pages = text(root + "proc/self/statm")?.split(separator: " ").first.flatMap({ Int($0) }) else { return nil }
        return Int(limit.rlim_cur) - pages * Int(sysconf(Int32(_SC_PAGESIZE)))
    }

    /// Files below `/proc` and `/sys` have no size, so they are read until they end; nil where there is none.
    private static func text(_ path: String) -> String? { try? String(contentsOfFile: path, encoding: .utf8) }

    /// A file with one number; nil for `max`, and for the number that means no limit.
    private static func number(_ path: String) -> Int? {
        guard let value = text(path).flatMap({ Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) }) else { return nil }
        return value < 1 << 60 ? value : nil
    }

    /// The first number behind `name` at the beginning of a line.
    private static func field(_ name: String, in path: String) -> Int? {
        for line in (text(path) ?? "").split(separator: "\n") {
            let parts = line.split(separator: " ")
            if parts.count > 1, parts[0] == name { return Int(parts[1]) }
        }
        return nil
    }
}

import Foundation

/// Where things are kept that can be made again: built OpenCL programs, the results of automatic audits.
public enum CacheFolder {
    /// `$XDG_CACHE_HOME/carousel` or `~/.cache/carousel`; nil where neither is known or `CAROUSEL_KERNEL_CACHE` is `off`.
    public static func root(environment: [String: String]) -> URL? {
        if environment[EnvironmentSettings.kernelCache.rawValue] == "off" { return nil }
        if let base = environment["XDG_CACHE_HOME"], base.hasPrefix("/") {
            return URL(fileURLWithPath: base).appendingPathComponent("carousel")
        }
        if let home = environment["HOME"], home.hasPrefix("/") {
            return URL(fileURLWithPath: home).appendingPathComponent(".cache/carousel")
        }
        return nil
    }
}

import Carousel
import Foundation

// Reports of benchmarks, as `carousel bench --compare` reads them.

extension FuzzReader {
    /// Two reports of the same command, one without facts.
    private static let reports = [
        """
        {"format": "carousel-bench/1", "command": "layers", "machine": {"program": "carousel", "processor": "p", "cores": 2, "device": "cpu",
          "device_name": "d", "driver": "", "threads": 2, "plan": "standard", "tuning": ""}, "peak": 234.5, "peak_method": "m",
          "rows": [{"key": "a", "milliseconds": 1.5, "minimum": 1, "samples": 3, "gigaflops": 12, "share": 0.5, "bytes": 4096, "planned_bytes": 4000},
                   {"key": "b", "milliseconds": "inf", "minimum": 0, "samples": 0}],
          "facts": [{"name": "f", "value": 1e3, "unit": "MiB"}], "notes": ["n"]}
        """,
        """
        {"format": "carousel-bench/1", "command": "layers", "machine": {"program": "", "processor": "", "cores": 0, "device": "", "device_name": "",
          "driver": "", "threads": 0, "plan": "", "tuning": ""}, "rows": [], "facts": [], "notes": []}
        """,
    ]

    /// A file of `--compare`.
    static func benchReport(_ scratch: String) throws -> FuzzReader {
        let path = scratch + "/report.json"
        let words = ["\"format\"", "\"rows\"", "\"key\"", "\"milliseconds\"", "\"bytes\"", "null", "true", "1e999", "-1", "9223372036854775808", "\"nan\"", "[", "]", "{", "}", ",", ":"]
        return FuzzReader(name: "bench-report", samples: reports.map { Array($0.utf8) },
                          hostile: ["", "[]", "{\"format\": \"carousel-bench/2\"}", "{\"format\": \"carousel-bench/1\"}", String(repeating: "[", count: 20_000),
                                    reports[0].replacing("\"layers\"", with: "\"step\"")].map { Array($0.utf8) },
                          tokens: words, refusals: [.badData]) { input, _ in
            try write(input, path)
            let report = try BenchReport.load(path, command: "layers")
            _ = report.lines()
            let comparison = BenchComparison(old: report, new: report)
            _ = comparison.lines()
            try Violation.require(comparison.onlyOld.isEmpty && comparison.onlyNew.isEmpty && comparison.warnings.isEmpty, "a report differs from itself")
            try write(Array(try report.json().utf8), path)
            try Violation.require(try BenchReport.load(path, command: "layers").rows.count == report.rows.count, "what is written does not read back as the same")
        }
    }
}

/// Named rows of numbers that say how a device cuts its work, none of which changes a result by a bit.
public protocol TuningRow: Sendable, Hashable {
    /// What `CAROUSEL_TUNING` calls it.
    var name: String { get }
    /// One row per name; the first is used where nothing is said.
    static var table: [Self] { get }
}

extension TuningRow {
    /// - Parameter name: nil or empty = the first row.
    /// - Throws: `badConfiguration` for a name that is not in the table.
    public static func named(_ name: String?) throws -> Self {
        guard let name, !name.isEmpty else { return table[0] }
        if let row = table.first(where: { $0.name == name }) { return row }
        throw CarouselError(.badConfiguration, "\(EnvironmentSettings.tuning.rawValue) is \"\(name)\"", hint: table.map(\.name).joined(separator: ", "))
    }
}

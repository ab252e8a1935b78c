/// The report as one HTML page without outside resources.
public enum AuditPage {
    public static func html(_ report: AuditReport) -> String { "" }
}

/// Short lists of words that carry grammar rather than meaning. Words that negate, contrast or grade
/// (not, no, never, n't, but, very, too; 不 没 无 别 未 但 很 太) are left in the texts on purpose.
enum StopWordLists {
    static let english = """
        a an the this that these those i me my mine we us our ours you your yours he him his she her hers it its \
        they them their theirs am is are was were be been being do does did have has had having will would shall \
        of to in on at by for from with as into about and or if then than so there here who whom which what when where \
        's 're 've 'll 'd 'm
        """
    static let chinese = """
        的 了 是 在 我 我们 你 你们 他 他们 她 她们 它 它们 和 与 及 或 就 都 而 着 也 这 那 这个 那个 这些 那些 \
        一个 一 个 之 于 以 把 被 让 给 对 从 到 向 为 所 其 吧 呢 吗 啊 呀 哦 嗯 地 得
        """

    /// The list as a table for look-ups; nil for `none`.
    static func table(_ kind: StopWords) -> TokenTable? {
        let list: String
        switch kind {
        case .none: return nil
        case .english: list = english
        case .chinese: list = chinese
        }
        var table = TokenTable()
        for word in list.split(whereSeparator: { $0 == " " || $0 == "\n" }) { _ = table.insert(String(word)) }
        return table
    }
}

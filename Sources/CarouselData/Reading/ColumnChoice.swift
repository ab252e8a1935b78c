import CarouselCore

/// Which columns (or keys) of a source hold the text and the label.
struct ColumnChoice {
    static let usualTexts = ["text", "review", "content", "sentence", "comment", "tweet", "message", "title", "body",
                             "question", "phrase", "document", "reviews", "texts", "文本", "评论", "内容", "句子"]
    static let usualLabels = ["label", "sentiment", "class", "category", "target", "emotion", "polarity", "labels",
                              "rating", "stars", "score", "intent", "language", "y", "标签", "类别", "情感"]

    /// The source as `file:line`.
    let location: String
    /// The names there are, or nil when the first row is data.
    let names: [String]?
    let count: Int
    /// What the source calls its columns: `column` or `key`.
    let noun: String

    /// The position of the column `asked` for, by name or by number from 1.
    /// - Throws: `badData` naming the columns there are.
    func find(_ asked: String, option: String) throws -> Int {
        if let names {
            if let index = names.firstIndex(of: asked) { return index }
            if let index = names.firstIndex(where: { $0.lowercased() == asked.lowercased() }) { return index }
        }
        if let number = Int(asked) {
            guard (1...max(count, 1)).contains(number), number <= count else {
                throw CarouselError(.badData, "there is no \(noun) number \(number); there are \(count)", at: location,
                                    hint: "set \(Self.setting(option)) to a number from 1 to \(count)")
            }
            return number - 1
        }
        guard let names else {
            throw CarouselError(.badData, "there is no \(noun) '\(asked)' because the file has no header", at: location,
                                hint: "give \(Self.setting(option)) as a number from 1 to \(count), or set data.header to yes")
        }
        throw CarouselError(.badData, "there is no \(noun) '\(asked)'; the \(noun)s are: \(Self.list(names))",
                            at: location, hint: "set \(Self.setting(option)) to one of them, or to a number from 1 to \(count)")
    }

    /// Names for a message: what is long or many is cut.
    static func list(_ names: [String]) -> String {
        names.prefix(20).map { $0.count > 40 ? $0.prefix(40) + "…" : $0 }.joined(separator: ", ") + (names.count > 20 ? ", …" : "")
    }

    /// A key as the program takes it: `text_column` → `--text-column`; without an option of its own `data.series_column`.
    static func setting(_ key: String) -> String {
        switch key {
        case "text_column": "--text-column"
        case "label_column": "--label-column"
        default: "data." + key
        }
    }

    /// The first of the usual names that is there, then a name that ends in one (`airline_sentiment`).
    func findUsual(_ usual: [String]) -> Int? {
        guard let lowered = names?.map({ $0.lowercased() }) else { return nil }
        for name in usual { if let index = lowered.firstIndex(of: name) { return index } }
        for name in usual.prefix(8) { if let index = lowered.firstIndex(where: { $0.hasSuffix("_" + name) }) { return index } }
        return nil
    }

    /// The columns of text and label; the label is nil when there is none and none is needed.
    /// - Throws: `badData` when a column cannot be told.
    func choose(_ options: ReadOptions) throws -> (text: Int, label: Int?) {
        var text = try options.textColumn.map { try find($0, option: "text_column") } ?? findUsual(Self.usualTexts)
        var label: Int?
        if let asked = options.labelColumn {
            // The options of the training data may be used on data without labels.
            label = options.requiresLabels ? try find(asked, option: "label_column") : try? find(asked, option: "label_column")
        } else {
            label = findUsual(Self.usualLabels)
        }
        if count == 2 {
            // With two columns, knowing one is knowing both.
            if let known = text, label == nil, options.labelColumn == nil, options.requiresLabels || names == nil { label = 1 - known }
            if let known = label, text == nil { text = 1 - known }
        }
        if count == 1, !options.requiresLabels { text = text ?? 0 }
        if label == text, options.labelColumn == nil || !options.requiresLabels { label = nil }
        guard let text else { throw unknown("text", "text_column") }
        guard label != nil || !options.requiresLabels else { throw unknown("label", "label_column") }
        guard label != text else {
            throw CarouselError(.badData, "text and label would both be \(noun) \(text + 1)", at: location,
                                hint: "set --text-column and --label-column to different \(noun)s")
        }
        return (text, label)
    }

    private func unknown(_ what: String, _ option: String) -> CarouselError {
        let found = names.map { "the \(noun)s are: \(Self.list($0))" } ?? "the first row does not look like a header"
        return CarouselError(.badData, "cannot tell which \(noun) holds the \(what); \(found)", at: location,
                             hint: "set \(Self.setting(option)) to a \(noun)'s name or to its number from 1 to \(count)")
    }
}

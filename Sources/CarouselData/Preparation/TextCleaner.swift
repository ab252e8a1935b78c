enum TextCleaner {
    static func clean(_ text: UnsafeBufferPointer<UInt8>, _ configuration: PreparationConfiguration, into result: inout [UInt8]) {
        result.removeAll(keepingCapacity: true)
        result.append(contentsOf: text)
    }
}

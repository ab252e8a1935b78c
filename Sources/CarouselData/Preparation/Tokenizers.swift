enum WordTokenizer { static func tokens(_ bytes: UnsafeBufferPointer<UInt8>, _ emit: (Range<Int>) -> Void) {} }
enum CharacterTokenizer { static func tokens(_ bytes: UnsafeBufferPointer<UInt8>, _ emit: (Range<Int>) -> Void) {} }
enum WordSegmenter {
    static func requireWorking() throws {}
    struct Scratch { mutating func tokens(_ bytes: UnsafeBufferPointer<UInt8>, _ emit: (Range<Int>) -> Void) {} }
}
enum TokenizerChoice { static func choose(for texts: [String]) -> TokenizerKind { .words } }

import CarouselCore

/// Compile-time parameters of a kernel file (its `#ifndef` names), in the order given.
struct KernelDefines: Hashable, ExpressibleByDictionaryLiteral {
    /// `-D NAME=value …`
    let options: String

    init(dictionaryLiteral elements: (String, Int)...) {
        options = elements.map { "-D \($0)=\($1)" }.joined(separator: " ")
    }

    /// In the order of their names.
    init(_ values: [String: Int]) {
        options = values.sorted { $0.key < $1.key }.map { "-D \($0.key)=\($0.value)" }.joined(separator: " ")
    }
}

extension Activation {
    /// The number `common.cl` knows it by.
    var kernelNumber: Int {
        switch self {
        case .linear: 0
        case .tanh: 1
        case .sigmoid: 2
        case .relu: 3
        case .hardSigmoid: 4
        }
    }
}

extension Precision {
    /// The number `common.cl` knows it by.
    var kernelNumber: Int {
        switch self {
        case .float32: 0
        case .bfloat16: 1
        case .float16: 2
        }
    }
}

import CarouselCore

/// Layers one behind the other. Recurrent layers that stand directly on top of each other run as a wavefront over layers and
/// time where the device wants that (`RecurrentStack`), to the same bits.
public struct LayerChain {
    public let layers: [any Layer]
    /// By the place of their first layer.
    private let stacks: [Int: RecurrentStack]
    private let backend: any Backend

    public init(_ layers: [any Layer], on backend: any Backend) {
        self.layers = layers
        self.backend = backend
        var stacks: [Int: RecurrentStack] = [:], first = 0
        while first < layers.count {
            let members = layers[first...].prefix { ($0 as? Recurrent)?.runsForwardAlone ?? false }.compactMap { $0 as? Recurrent }
            if members.count > 1, backend.overlaps { stacks[first] = RecurrentStack(members, on: backend) }
            first += max(1, members.count)
        }
        self.stacks = stacks
    }

    /// What the last layer hands on.
    /// - Parameter observer: hears the layers' spans; a wavefront is one span.
    public func forward(_ value: LayerValue, _ context: PassContext, observer: (any SpanObserver)?) throws -> LayerValue {
        for layer in layers { layer.forget() }
        var value = value, place = 0
        while place < layers.count {
            if let stack = stacks[place], let steps = try stack.prepare(value, context) {
                value = try observer.span(.forward(place, stack.name)) { try stack.forward(value, steps: steps) }
                place += stack.layers.count
            } else {
                value = try observer.span(.forward(place, layers[place].name)) { try layers[place].forward(value, context) }
                place += 1
            }
        }
        return value
    }

    /// Adds the gradients of all parameters, and returns that of the first layer's input, nil where nobody needs it.
    public func backward(_ gradient: LayerGradient, _ context: PassContext, observer: (any SpanObserver)?) throws -> LayerGradient? {
        let starts = stacks.filter { $0.value.isPrepared }
        var next: LayerGradient? = gradient, place = layers.count
        while place > 0, let gradient = next {
            if let (first, stack) = starts.first(where: { $0.key + $0.value.layers.count == place }) {
                next = try observer.span(.backward(first, stack.name)) { try stack.backward(gradient) }
                place = first
            } else {
                place -= 1
                next = try observer.span(.backward(place, layers[place].name)) { try layers[place].backward(gradient, context) }
            }
        }
        try backend.join()
        return next
    }
}

/// Rows of numbers that lie `pitch` floats apart: float32, or bfloat16 where products round to it anyway (`CVector`'s compact form).
struct OperandRows {
    var base: UnsafePointer<Float>
    var pitch: Int
    var isBfloat16 = false

    /// The same rows from column `column` on.
    func from(column: Int) -> OperandRows {
        let offset = column * (isBfloat16 ? MemoryLayout<UInt16>.stride : MemoryLayout<Float>.stride)
        var part = self
        part.base = (UnsafeRawPointer(base) + offset).assumingMemoryBound(to: Float.self)
        return part
    }
}

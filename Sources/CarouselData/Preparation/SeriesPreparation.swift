import CarouselCore

/// Standardises the channels of numeric sequences with figures from the training part; saved with the model.
public struct SeriesPreparation: Codable, Sendable, Equatable {
    /// F means.
    public var mean: [Float]
    /// F standard deviations; a channel that never changes has 1.
    public var deviation: [Float]
    /// F names, or empty.
    public var channels: [String]
    /// Steps beyond this number are cut at the end; 0 = keep all.
    public var maximumLength: Int

    /// Figures as they were saved with a model.
    public init(mean: [Float], deviation: [Float], channels: [String] = [], maximumLength: Int = 0) {
        self.mean = mean
        self.deviation = deviation
        self.channels = channels
        self.maximumLength = maximumLength
    }

    enum CodingKeys: String, CodingKey { case mean, deviation, channels, maximumLength = "maximum_length" }

    /// F.
    public var width: Int { mean.count }

    /// Means and deviations over all steps of all series, summed in Double in two passes.
    public static func fit(_ data: SeriesDataSet, maximumLength: Int = 0) -> SeriesPreparation {
        let width = data.width
        var sums = [Double](repeating: 0, count: width), squares = sums
        var steps = 0
        for series in data.series {
            for (i, value) in series.enumerated() { sums[i % width] += Double(value) }
            steps += series.count / max(width, 1)
        }
        let means = sums.map { steps == 0 ? 0 : $0 / Double(steps) }
        for series in data.series {
            for (i, value) in series.enumerated() {
                let distance = Double(value) - means[i % width]
                squares[i % width] += distance * distance
            }
        }
        let deviations = squares.map { sum -> Float in
            let deviation = steps == 0 ? 0 : (sum / Double(steps)).squareRoot()
            return deviation > 1e-12 ? Float(deviation) : 1
        }
        return SeriesPreparation(mean: means.map(Float.init), deviation: deviations, channels: data.channels,
                                 maximumLength: maximumLength)
    }

    /// (value − mean) / deviation per channel, cut to `maximumLength` steps; each result is T × F, row-major.
    /// - Throws: `badData` when the data have another number of channels.
    public func apply(_ data: SeriesDataSet) throws -> [[Float]] {
        guard data.width == width else {
            throw CarouselError(.badData, "the series have \(data.width) channels, the model was trained with \(width)",
                                at: data.origin.path, hint: "give the same channels in the same order as in training")
        }
        guard deviation.count == width, width > 0 else {
            throw CarouselError(.badData, "\(width) means but \(deviation.count) deviations", at: "series preparation",
                                hint: "restore the model's files; they are not meant to be edited by hand")
        }
        return data.series.map { series in
            let steps = series.count / width
            let kept = maximumLength > 0 ? min(steps, maximumLength) : steps
            var result = [Float](repeating: 0, count: kept * width)
            for i in result.indices { result[i] = (series[i] - mean[i % width]) / deviation[i % width] }
            return result
        }
    }
}

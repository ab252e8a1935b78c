// Trains on a few labelled sentences and labels new ones:
//   swift run -c release SentimentExample
import Carousel

let praise = ["great", "lovely", "superb"], blame = ["awful", "boring", "sad"]
let things = ["film", "book", "song", "meal", "story", "game", "play", "room"]
var reviews = TextDataSet(name: "reviews", texts: [], labels: [])
for thing in things {
    for word in praise + blame {
        reviews.texts.append("what a \(word) \(thing)")
        reviews.labels.append(praise.contains(word) ? "positive" : "negative")
    }
}

var configuration = try RunConfiguration.resolve(preset: "bilstm")
try configuration.set("model.layers=[{embedding: {units: 8}}, {lstm: {units: 16}}]")
try configuration.set("training.learning_rate=0.02")
let trainer = try Trainer(configuration: configuration, data: TrainingData(train: .text(reviews)),
                          backend: Device.open("auto"), folder: nil)
let result = try trainer.run { event in
    if case .epoch(let record) = event { print("epoch \(record.epoch): loss \(record.trainingLoss)") }
}
let classifier = Classifier(configuration: configuration, labels: trainer.labels, preparation: trainer.preparation, model: trainer.model)
for (text, answer) in zip(["a lovely room", "a boring play"], try classifier.predict(["a lovely room", "a boring play"])) {
    print(text, "→", answer.label, answer.probabilities)
}

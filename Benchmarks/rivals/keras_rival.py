"""Keras on TensorFlow as a competitor.

Modes: `padded` pads every batch on the left to the model's maximum length, as `pad_sequences` does, without a mask: the usual
way, and the fastest, since a mask costs Keras a selection per step. `buckets` pads on the left to the batch's own longest row. With
`-jit` the step is compiled by XLA, `-bfloat16` sets the policy mixed_bfloat16.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from batches import Array, TrainingBatches  # noqa: E402
from model import Unsupported, plan  # noqa: E402
from worker import serve  # noqa: E402

CELLS = {"rnn": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM, "gru": keras.layers.GRU}


class Limit(keras.callbacks.Callback):
    """Ends `fit` after the batch at which it is told to."""

    def __init__(self, proceed: Callable[[int], bool]) -> None:
        super().__init__()
        self.proceed = proceed

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if not self.proceed(batch):
            self.model.stop_training = True


class KerasRival:
    """A Keras model in training with `fit`."""

    modes: tuple[str, ...] = ("padded", "buckets", "padded-jit", "buckets-bfloat16")

    def load(self, data: TrainingBatches, mode: str) -> None:
        keras.backend.clear_session()
        self.plan = plan(data.configuration, data.vocabulary, data.classes)
        self.data, self.mode = data, mode
        length = data.maximum_length
        self.tokens = {"train": data.train.padded(length, left=True), "held out": data.held_out.padded(length, left=True)}
        keras.utils.set_random_seed(self.plan.seed)
        keras.mixed_precision.set_global_policy("mixed_bfloat16" if mode.endswith("-bfloat16") else "float32")
        steps = length if mode.startswith("padded") else None
        layers = [keras.Input((steps,), dtype="int32"), keras.layers.Embedding(self.plan.vocabulary, self.plan.embedding)]
        last = len(self.plan.layers) - 1
        layers += [CELLS[layer.cell](layer.units, return_sequences=place < last) for place, layer in enumerate(self.plan.layers)]
        layers.append(keras.layers.Dense(self.plan.outputs, dtype="float32"))
        self.model = keras.Sequential(layers)
        binary = self.plan.outputs == 1
        self.model.compile(
            optimizer=keras.optimizers.Adam(self.plan.learning_rate, self.plan.beta1, self.plan.beta2, self.plan.epsilon,
                                            global_clipnorm=self.plan.global_norm),
            loss=keras.losses.BinaryCrossentropy(from_logits=True) if binary
            else keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=mode.endswith("-jit"))

    def batch(self, part: str, rows: Array) -> Array:
        """Tokens [B, T] of some rows."""
        tokens = self.tokens[part][rows]
        if self.mode.startswith("padded"):
            return tokens
        lengths = (self.data.train if part == "train" else self.data.held_out).lengths[rows]
        return tokens[:, -max(1, int(lengths.max())):]

    def train(self, batches: list[Array], proceed: Callable[[int], bool]) -> float:
        binary = self.plan.outputs == 1

        def pairs() -> Iterator[tuple[Array, Array]]:
            for rows in batches:
                labels = self.data.train.labels[rows]
                yield self.batch("train", rows), labels.astype("float32")[:, None] if binary else labels

        steps = self.data.maximum_length if self.mode.startswith("padded") else None
        truth = tf.TensorSpec((None, 1), tf.float32) if binary else tf.TensorSpec((None,), tf.int32)
        signature = (tf.TensorSpec((None, steps), tf.int32), truth)
        data = tf.data.Dataset.from_generator(pairs, output_signature=signature).prefetch(2)
        history = self.model.fit(data, epochs=1, verbose=0, callbacks=[Limit(proceed)])
        return float(history.history["loss"][0])

    def correct(self, rows: Array) -> int:
        logits = np.asarray(self.model.predict_on_batch(self.batch("held out", rows)))
        predicted = logits[:, 0] > 0 if self.plan.outputs == 1 else logits.argmax(1)
        return int((predicted == self.data.held_out.labels[rows]).sum())

    def load_weights(self, tensors: dict[str, Array]) -> None:
        """Keras has the transposed matrices, and the gates in the same order but for the GRU, which is not compared here."""
        embedding, *recurrent, head = self.model.layers
        embedding.set_weights([tensors["embedding.weight"]])
        for place, (layer, planned) in enumerate(zip(recurrent, self.plan.layers)):
            if planned.cell == "gru":
                raise Unsupported("Carousel's weights of a GRU are not brought to Keras")
            name = f"rnn.{place}"
            bias = tensors[f"{name}.bias_ih_l0"] + tensors.get(f"{name}.bias_hh_l0", 0)
            layer.set_weights([tensors[f"{name}.weight_ih_l0"].T, tensors[f"{name}.weight_hh_l0"].T, bias])
        head.set_weights([tensors["head.weight"].T, tensors["head.bias"]])

    def losses(self, rows: Array) -> float:
        logits = self.model.predict_on_batch(self.batch("held out", rows))
        labels = self.data.held_out.labels[rows]
        return float(self.model.loss(labels.astype("float32")[:, None] if self.plan.outputs == 1 else labels, logits)) * len(rows)

    def versions(self) -> dict[str, str]:
        return {"keras": keras.__version__, "tensorflow": tf.__version__, "python": sys.version.split()[0]}


if __name__ == "__main__":
    threads = int(sys.argv[1])
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    serve(KerasRival())

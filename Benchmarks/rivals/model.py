"""The model and the optimizer a configuration of Carousel describes, for the competitors to build.

Only what the compared models use is understood. Everything else is refused, so that no competitor trains another model
than its neighbour without anyone noticing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class Unsupported(Exception):
    """The configuration asks for something that the competitors were not taught."""


@dataclass(frozen=True)
class RecurrentLayer:
    """One recurrent layer in one direction."""

    cell: str
    """rnn, lstm or gru."""
    units: int


@dataclass(frozen=True)
class Plan:
    """Embedding → recurrent layers → the last real state → one dense layer."""

    vocabulary: int
    embedding: int
    layers: tuple[RecurrentLayer, ...]
    outputs: int
    """1 for two classes (sigmoid), else one per class (softmax)."""
    learning_rate: float
    beta1: float
    beta2: float
    epsilon: float
    global_norm: float | None
    seed: int


def plan(configuration: dict[str, Any], vocabulary: int, classes: int) -> Plan:
    """What to build; raises Unsupported for anything the competitors would not do alike."""
    layers, training = configuration["model"]["layers"], configuration["training"]

    def require(condition: bool, what: str) -> None:
        if not condition:
            raise Unsupported(f"the competitors do not know {what}")

    require(len(layers) >= 2 and "embedding" in layers[0], "models that do not start with an embedding")
    embedding = layers[0]["embedding"]
    require(not embedding["dropout"], "dropout of an embedding")
    recurrent = []
    for layer in layers[1:]:
        cell, options = next(iter(layer.items()))
        require(cell in ("rnn", "lstm", "gru"), f"the layer '{cell}'")
        usual = {"activation": "tanh", "recurrent_activation": "sigmoid", "bias": True, "reset_after": True, "projection": None,
                 "bidirectional": None, "reversed": False, "concat_input": False}
        for key, value in usual.items():
            require(options[key] == value, f"{cell} with {key} {options[key]}")
        recurrent.append(RecurrentLayer(cell, options["units"]))
    outputs = [options["output"] for layer in layers[1:] for options in layer.values()]
    chain = ["sequences"] * (len(outputs) - 1) + ["last"]
    require(outputs == chain, "layers that hand on anything but the sequence, the last one its state")
    require(configuration["model"]["initializer"] == "keras", "initial weights other than Keras'")
    optimizer, clipping = training["optimizer"], training["clipping"]
    require(optimizer["name"] == "adam" and optimizer["variant"] == "keras" and not optimizer["weight_decay"], "optimizers but Keras' Adam")
    require(clipping["tensor_norm"] is None and clipping["value"] is None, "clipping but by the global norm")
    require(training["schedule"] == "constant" and not training["warmup_share"], "a learning rate that changes")
    require(not training["label_smoothing"] and training["class_weights"] == "none", "changed losses")
    require(not training["average_decay"], "averages of weights")
    return Plan(vocabulary, embedding["units"], tuple(recurrent), 1 if classes == 2 else classes, training["learning_rate"],
                optimizer["beta1"], optimizer["beta2"], optimizer["epsilon"] or 1e-7, clipping["global_norm"], training["seed"])

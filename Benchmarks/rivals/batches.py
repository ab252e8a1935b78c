"""Reads what `carousel bench batches` wrote: the same tokens, labels and batches for every competitor."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Part:
    """Texts as token numbers, one row after the other, and their classes."""

    tokens: Array
    offsets: Array
    labels: Array

    @property
    def lengths(self) -> Array:
        """Tokens of each row."""
        return np.diff(self.offsets)

    def padded(self, length: int, *, left: bool) -> Array:
        """[rows, length] int32 with 0 as padding, on the left or on the right of each row."""
        result = np.zeros((len(self.labels), length), np.int32)
        for row, count in enumerate(self.lengths):
            values = self.tokens[self.offsets[row]:self.offsets[row + 1]]
            start = length - count if left else 0
            result[row, start:start + count] = values
        return result


@dataclass(frozen=True)
class TrainingBatches:
    """All that decides a training but the initial weights."""

    train: Part
    held_out: Part
    epochs: list[list[Array]]
    """Row numbers of each batch of each epoch."""
    vocabulary: int
    classes: int
    configuration: dict[str, Any]
    """Carousel's configuration with every key."""

    @property
    def maximum_length(self) -> int:
        """The length to which texts are cut, and padded where everything is padded to one length."""
        return int(self.configuration["preparation"]["maximum_length"])


def read_safetensors(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """The tensors of a file and its metadata."""
    data = path.read_bytes()
    header_length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + header_length])
    metadata = header.pop("__metadata__", {})
    types: dict[str, np.dtype[Any]] = {"I32": np.dtype("<i4"), "I64": np.dtype("<i8"), "F32": np.dtype("<f4"), "F64": np.dtype("<f8")}
    tensors: dict[str, Array] = {}
    for name, entry in header.items():
        begin, end = (8 + header_length + offset for offset in entry["data_offsets"])
        tensors[name] = np.frombuffer(data[begin:end], types[entry["dtype"]]).reshape(entry["shape"])
    return tensors, metadata


def read_batches(path: Path) -> TrainingBatches:
    """Reads a file of `carousel bench batches`."""
    tensors, metadata = read_safetensors(path)

    def part(name: str) -> Part:
        if f"{name}.tokens" not in tensors:
            raise SystemExit(f"{path}: has no {name} part, so there is nothing to measure accuracy on")
        return Part(tensors[f"{name}.tokens"], tensors[f"{name}.offsets"], tensors[f"{name}.labels"])

    epochs = []
    for epoch in range(int(metadata["epochs"])):
        rows, bounds = tensors[f"epochs.{epoch}.rows"], tensors[f"epochs.{epoch}.bounds"]
        epochs.append([rows[begin:end] for begin, end in zip(bounds[:-1], bounds[1:])])
    return TrainingBatches(part("train"), part("validation"), epochs, int(metadata["vocabulary_size"]),
                           int(metadata["classes"]), json.loads(metadata["configuration"]))

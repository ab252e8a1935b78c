"""The loop of a competitor's process: it waits for one line of JSON, does what it says, and answers with one line.

While it waits it is blocked, so that only the competitor whose turn it is computes. When its standard input ends, because the parent
closed it or ended in whatever way, the process ends at once, in the middle of an epoch too.

    {"do": "load", "file": PATH, "mode": MODE}          a new model              → {}
    {"do": "epoch", "epoch": K, "seconds": LIMIT}       train, at most LIMIT     → {"seconds", "share", "loss"}
    {"do": "evaluate"}                                  on the held-out part     → {"accuracy"}
    {"do": "loss", "weights": FILE, "rows": N, "batch": B}  with Carousel's weights → {"loss"}
    {"do": "versions"}                                                           → {NAME: VERSION}

`seconds` are those of a whole epoch, `share` is the part of its work that was done. Below 1 the limit ended the epoch, and its seconds are
extrapolated; the first batches then count neither for the limit nor for the rate, since what is done once (compiling,
above all) would count many times.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from batches import Array, Part, TrainingBatches, read_batches, read_safetensors

WARM_UP = 2
"""Batches that are left out where an epoch is extrapolated."""


class Rival(Protocol):
    """A model in training."""

    modes: tuple[str, ...]

    def load(self, data: TrainingBatches, mode: str) -> None:
        """Builds a new model and prepares the data as far as it is not part of an epoch."""

    def train(self, batches: list[Array], proceed: Callable[[int], bool]) -> float:
        """One step per batch, until `proceed`, asked after each with its number, says no. Returns the mean loss of the rows."""

    def correct(self, rows: Array) -> int:
        """How many of these rows of the held-out part are classified right."""

    def load_weights(self, tensors: dict[str, Array]) -> None:
        """Takes the weights of a model of Carousel, by its names."""

    def losses(self, rows: Array) -> float:
        """The sum of the losses of these rows of the held-out part, as one batch."""

    def versions(self) -> dict[str, str]:
        """Of what computes."""


def work_of(batches: list[Array], part: Part, *, padded_to: int | None) -> list[int]:
    """Steps of all rows of each batch, with padding: what a competitor computes, and what shares are measured by."""
    lengths = part.lengths
    return [len(rows) * (padded_to or int(lengths[rows].max())) for rows in batches]


class Worker:
    """Answers commands with one rival."""

    def __init__(self, rival: Rival) -> None:
        self.rival = rival
        self.data: TrainingBatches | None = None
        self.file = ""
        self.mode = ""

    def load(self, file: str, mode: str) -> dict[str, Any]:
        if mode not in self.rival.modes:
            raise ValueError(f"there is no mode {mode}")
        if file != self.file:
            self.data, self.file = read_batches(Path(file)), file
        assert self.data is not None
        self.mode = mode
        self.rival.load(self.data, mode)
        return {}

    def epoch(self, epoch: int, seconds: float) -> dict[str, Any]:
        assert self.data is not None
        batches = self.data.epochs[epoch]
        padded_to = self.data.maximum_length if self.mode.startswith("padded") else None
        work = work_of(batches, self.data.train, padded_to=padded_to)
        times = [time.perf_counter()]

        def proceed(number: int) -> bool:
            times.append(time.perf_counter())
            return number < WARM_UP or times[-1] - times[WARM_UP] < seconds

        loss = self.rival.train(batches, proceed)
        count = len(times) - 1
        if count == len(batches):
            return {"seconds": times[-1] - times[0], "share": 1.0, "loss": loss}
        first = min(WARM_UP, count - 1)
        rate = (times[-1] - times[first]) / sum(work[first:count])
        return {"seconds": rate * sum(work), "share": sum(work[:count]) / sum(work), "loss": loss}

    def evaluate(self) -> dict[str, Any]:
        assert self.data is not None
        lengths = self.data.held_out.lengths
        order = sorted(range(len(lengths)), key=lambda row: int(lengths[row]))
        right = sum(self.rival.correct(np.array(order[start:start + 256])) for start in range(0, len(order), 256))
        return {"accuracy": right / len(order)}

    def loss(self, weights: str, rows: int | None, batch: int) -> dict[str, Any]:
        """The mean loss of the first rows of the held-out part, all without a number, with Carousel's weights."""
        assert self.data is not None
        self.rival.load_weights(read_safetensors(Path(weights))[0])
        count = min(rows or len(self.data.held_out.labels), len(self.data.held_out.labels))
        order = np.argsort(self.data.held_out.lengths[:count], kind="stable")
        return {"loss": sum(self.rival.losses(order[start:start + batch]) for start in range(0, count, batch)) / count}


def serve(rival: Rival) -> None:
    """Answers with a rival's training."""
    worker = Worker(rival)
    serve_commands({"load": worker.load, "epoch": worker.epoch, "evaluate": worker.evaluate, "loss": worker.loss,
                    "versions": lambda: dict(rival.versions())})


def serve_commands(commands: dict[str, Callable[..., dict[str, Any]]]) -> None:
    """Answers until standard input ends. What libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        # No cleaning up: the main thread may be anywhere in a library that computes.
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    answers.write(json.dumps({"ready": True}) + "\n")
    while True:
        line = lines.get()
        try:
            values = json.loads(line)
            answer = commands[values.pop("do")](**values)
        except Exception as error:  # The parent says what failed and goes on with the others.
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")

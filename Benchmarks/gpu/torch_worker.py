"""PyTorch's products and recurrent layers, timed: one line of JSON per command on standard input, one per answer.

Sizes and precisions come from the commands. On a GPU cuBLAS and cuDNN do the work; elsewhere whatever PyTorch uses there.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

CELLS = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}
TYPES = {"float32": torch.float32, "tf32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
GPU = torch.cuda.is_available()
PLACE = torch.device("cuda" if GPU else "cpu")


def wait() -> None:
    if GPU:
        torch.cuda.synchronize()


def choose(precision: str) -> torch.dtype:
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    return TYPES[precision]


def seconds_of(work: Callable[[], None], seconds: float) -> float:
    """The median of samples that together take about so long; short work is repeated inside a sample."""
    work()
    wait()
    start = time.perf_counter()
    work()
    wait()
    repeats = max(1, round(0.003 / max(time.perf_counter() - start, 1e-7)))
    samples: list[float] = []
    deadline = time.perf_counter() + seconds
    while not samples or (time.perf_counter() < deadline and len(samples) < 200):
        start = time.perf_counter()
        for _ in range(repeats):
            work()
        wait()
        samples.append((time.perf_counter() - start) / repeats)
    return statistics.median(samples)


def about() -> dict[str, Any]:
    facts: dict[str, Any] = {"torch": torch.__version__, "python": sys.version.split()[0], "gpu": GPU}
    if GPU:
        facts.update(name=torch.cuda.get_device_name(), cuda=torch.version.cuda, cudnn=torch.backends.cudnn.version())
    return facts


def product(size: list[int], kind: str, precision: str, seconds: float) -> dict[str, Any]:
    """c [M, N] of NN, NT (the right operand transposed) or TN (the left one)."""
    m, n, k = size
    dtype = choose(precision)
    a = torch.randn((k, m) if kind == "TN" else (m, k), device=PLACE).to(dtype)
    b = torch.randn((n, k) if kind == "NT" else (k, n), device=PLACE).to(dtype)
    left, right = (a.t() if kind == "TN" else a), (b.t() if kind == "NT" else b)
    c = torch.empty((m, n), device=PLACE, dtype=dtype)
    with torch.no_grad():
        return {"seconds": seconds_of(lambda: torch.mm(left, right, out=c), seconds)}


def layer(cell: str, size: list[int], precision: str, seconds: float) -> dict[str, Any]:
    """Forward in training, and forward with backward: the gradients of all weights, without that of the first input."""
    steps, batch, inputs, hidden, layers = size
    dtype = choose(precision)
    torch.manual_seed(1)
    module = CELLS[cell](inputs, hidden, num_layers=layers).to(PLACE).to(dtype)
    x = torch.randn(steps, batch, inputs, device=PLACE).to(dtype)
    gradient = torch.randn(steps, batch, hidden, device=PLACE).to(dtype)

    def forward() -> None:
        module(x)

    def both() -> None:
        module.zero_grad(set_to_none=True)
        module(x)[0].backward(gradient)

    return {"forward": seconds_of(forward, seconds), "both": seconds_of(both, seconds)}


COMMANDS: dict[str, Callable[..., dict[str, Any]]] = {"about": about, "product": product, "layer": layer}


def main() -> None:
    # What libraries print must not stand between the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    if not GPU:
        torch.set_flush_denormal(True)
    answers.write(json.dumps({"ready": True}) + "\n")
    for line in sys.stdin:
        try:
            values = json.loads(line)
            answer = COMMANDS[values.pop("do")](**values)
        except Exception as error:  # The script says what failed and goes on with the rest.
            answer = {"error": f"{type(error).__name__}: {error}"}
            if GPU:
                torch.cuda.empty_cache()
        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()

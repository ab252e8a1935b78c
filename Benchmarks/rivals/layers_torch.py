"""PyTorch's recurrent layers alone: forward and backward of one layer or stack, timed."""

from __future__ import annotations

import sys
import time
from typing import Any

import torch

from torch_rival import CELLS
from worker import serve_commands


def measure(cell: str, size: list[int], seconds: float, half: bool) -> dict[str, Any]:
    """Seconds of each forward with backward, after one that is not counted. Gradients of all weights; that of the input is not asked for."""
    steps, batch, inputs, hidden, layers = size
    torch.manual_seed(1)
    dtype = torch.bfloat16 if half else torch.float32
    module = CELLS[cell](inputs, hidden, num_layers=layers).to(dtype)
    x = torch.randn(steps, batch, inputs).to(dtype)
    gradient = torch.randn(steps, batch, hidden).to(dtype)
    samples: list[float] = []
    deadline = 0.0
    while not samples or time.perf_counter() < deadline:
        module.zero_grad(set_to_none=True)
        start = time.perf_counter()
        module(x)[0].backward(gradient)
        end = time.perf_counter()
        if deadline == 0.0:
            deadline = end + seconds
        else:
            samples.append(end - start)
    return {"samples": samples}


def versions() -> dict[str, Any]:
    """Of what computes."""
    return {"torch": torch.__version__, "python": sys.version.split()[0]}


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[1]))
    torch.set_flush_denormal(True)
    serve_commands({"measure": measure, "versions": versions})

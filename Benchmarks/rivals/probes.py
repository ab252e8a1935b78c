"""Finds out with a few batches which mode and how many threads a framework is best at, before anything is measured."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from competitors import RivalError, TooSlow, Worker


@dataclass(frozen=True)
class Probe:
    """What a few batches say about an epoch."""

    row: str
    framework: str
    mode: str
    threads: int
    seconds: float
    """Of an epoch, extrapolated; a lower limit where `ended`."""
    ended: bool = False
    """The probe took so long that its process was ended."""


@dataclass(frozen=True)
class Framework:
    """A competitor's environment."""

    name: str
    label: str
    python: Path
    script: Path
    groups: dict[str, tuple[str, ...]]
    """Competitors of this framework: title → the modes of which the fastest takes part."""


def thread_counts() -> list[int]:
    """1, 2, 4, … and all cores that this process may use."""
    cores = len(os.sched_getaffinity(0))
    return sorted({1 << power for power in range(cores.bit_length()) if 1 << power < cores} | {cores})


def probe(framework: Framework, files: dict[str, Path], seconds: float, log: Path, say: Callable[[str], None]) -> list[Probe]:
    """All modes and thread counts of one framework on all rows.

    A mode that is more than twice as slow as the best so far is not tried with more threads. A probe that takes `seconds` and ten
    more is ended: with two threads PyTorch's layers can be more than ten times slower than with one.
    """
    found: list[Probe] = []
    modes = [mode for group in framework.groups.values() for mode in group]
    for threads in thread_counts():
        worker: Worker | None = None
        for row, file in files.items():
            for mode in modes:
                known = [p for p in found if p.row == row]
                mine = [p.seconds for p in known if p.mode == mode]
                if mine and min(mine) > 2 * min(p.seconds for p in known):
                    continue
                try:
                    worker = worker or Worker(framework.python, framework.script, threads, log)
                    worker.ask({"do": "load", "file": str(file), "mode": mode}, 120)
                    answer = worker.ask({"do": "epoch", "epoch": 0, "seconds": seconds}, seconds + 10)
                    found.append(Probe(row, framework.name, mode, threads, answer["seconds"]))
                except TooSlow:
                    worker = None
                    found.append(Probe(row, framework.name, mode, threads, float("inf"), ended=True))
                except RivalError as error:
                    say(f"{framework.name} {mode}: {error}")
                    if worker:
                        worker.close()
                    worker = None
                    continue
                last = found[-1]
                time = f"ended after {seconds + 10:.0f} s" if last.ended else f"about {last.seconds:.1f} s per epoch"
                say(f"  {row:14s} {framework.label:8s} {mode:11s} {threads} thread{'s' if threads > 1 else ' '}  {time}")
        if worker:
            worker.close()
    return found

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
    failure: str | None = None
    """Why there is no time."""

    @property
    def has_time(self) -> bool:
        """It came to its end."""
        return not self.ended and self.failure is None


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


def is_hopeless(mode: str, group: tuple[str, ...], known: list[Probe]) -> bool:
    """Another mode of the same competitor was more than twice as fast; `known` are the probes of one framework on one row."""
    own = [p.seconds for p in known if p.mode == mode and p.failure is None]
    best = min((p.seconds for p in known if p.mode in group and p.failure is None), default=float("inf"))
    return bool(own) and min(own) > 2 * best


def probe(framework: Framework, files: dict[str, Path], seconds: float, log: Path, say: Callable[[str], None]) -> list[Probe]:
    """All modes and thread counts of one framework on all rows.

    A mode that is hopeless beside another mode of the same competitor is not tried with more threads. A probe that takes `seconds` and
    ten more is ended: with two threads PyTorch's layers can be many times slower than with one. A probe that fails is one with a failure.
    """
    found: list[Probe] = []
    for threads in thread_counts():
        worker: Worker | None = None
        try:
            for row, file in files.items():
                for group, mode in ((group, mode) for group in framework.groups.values() for mode in group):
                    if is_hopeless(mode, group, [p for p in found if p.row == row]):
                        continue
                    try:
                        worker = worker or Worker(framework.python, framework.script, threads, log)
                        worker.ask({"do": "load", "file": str(file), "mode": mode}, 120)
                        answer = worker.ask({"do": "epoch", "epoch": 0, "seconds": seconds}, seconds + 10)
                        found.append(Probe(row, framework.name, mode, threads, answer["seconds"]))
                    except RivalError as error:
                        slow = isinstance(error, TooSlow)
                        found.append(Probe(row, framework.name, mode, threads, float("inf"), slow, None if slow else str(error)))
                        if worker:
                            worker.close()
                        worker = None
                    last = found[-1]
                    time = f"ended after {seconds + 10:.0f} s" if last.ended else last.failure or f"about {last.seconds:.1f} s per epoch"
                    say(f"  {row:14s} {framework.label:8s} {mode:16s} {threads} thread{'s' if threads > 1 else ' '}  {time}")
        finally:
            if worker:
                worker.close()
    return found

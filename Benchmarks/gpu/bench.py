"""What all steps share: the program with its device and plans, the rival, and the time that is left."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from processes import Outcome, StepError, Torch, run
from sections import Report, Section

SHORTEST_ROW = 20
"""So many times the seconds of a measurement must be left for a row to be begun."""
LONGEST_ROW = 60.0
"""Seconds that one row of a table may take on one side at most."""


@dataclass
class Variant:
    """One way in which the device computes: a plan and a precision."""

    plan: str
    precision: str
    selected: bool
    """What the device takes when it is not told."""

    @property
    def name(self) -> str:
        return self.plan if self.precision in ("float32", self.plan.rsplit(", ", 1)[-1]) else f"{self.plan}, {self.precision}"

    @property
    def options(self) -> list[str]:
        """What names it on the program's command line."""
        return ["--plan", self.plan, "--precision", self.precision]


@dataclass
class Bench:
    """The machine under test."""

    program: str
    root: Path
    output: Path
    device: str
    report: Report
    environment: dict[str, str]
    torch: Torch | None
    data: str | None
    golden: str | None
    row_seconds: float
    deadline: float
    """Of the whole script, on the monotonic clock."""
    quick: bool = False
    """A device that is a CPU: fewer and smaller rows."""
    variants: list[Variant] = field(default_factory=list)
    section: Section | None = None
    section_deadline: float = 0.0
    rates: dict[str, float] = field(default_factory=dict)
    """Operations per second that were last seen, by who computes."""
    helps: dict[str, str] = field(default_factory=dict)

    @property
    def fast(self) -> list[Variant]:
        """The variants worth timing: kernels written for a GPU are slow on a CPU, and the other way round."""
        family = self.variants[0].plan.split()[0]
        return [variant for variant in self.variants if variant.plan.split()[0] == family]

    @property
    def usual(self) -> list[Variant]:
        """One for each precision: the plan the device takes by itself."""
        return [variant for variant in self.fast if variant.selected]

    # Time

    def left(self) -> float:
        """Seconds left for the current step."""
        return max(0.0, min(self.deadline, self.section_deadline) - time.monotonic())

    def limit(self, most: float = LONGEST_ROW) -> float:
        return max(1.0, min(most, self.left()))

    def rows(self, items: list[Any]) -> Iterator[Any]:
        """As many of the items as there is time for; what is left out is said."""
        assert self.section is not None
        for place, item in enumerate(items):
            if self.left() < SHORTEST_ROW * self.row_seconds:
                self.section.missing.append(f"{len(items) - place} of {len(items)} rows: no time left.")
                return
            yield item
            self.report.write()

    def is_too_long(self, what: str, who: str, operations: float, runs: float) -> str | None:
        """What stands in a cell that should not be tried, judged by the rate of the rows before; None where it should."""
        rate = self.rates.get(who)
        if rate is None:
            return None
        needed = operations * runs / rate
        if needed <= min(LONGEST_ROW, self.left()) / 2:
            return None
        assert self.section is not None
        self.section.missing.append(f"{what} on {who}: would take some {needed:.0f} s.")
        return f"left out: ~{needed:.0f} s"

    # Programs

    def carousel(self, *words: str, limit: float) -> Outcome:
        return run([self.program, *words], limit, self.environment)

    def supports(self, word: str, *command: str) -> bool:
        """Whether a word stands in the help of a command, or of the program; programs of other versions are measured too."""
        key = " ".join(command)
        if key not in self.helps:
            self.helps[key] = self.carousel(*command, "--help", limit=self.limit(30)).output
        return word in self.helps[key]

    def ask_torch(self, who: str, limit: float | None = None, **command: Any) -> dict[str, Any] | str:
        """PyTorch's answer, or what stands in the cell instead."""
        if self.torch is None:
            return "-"
        try:
            return self.torch.ask(limit or self.limit(), **command)
        except StepError as error:
            self.problem(f"{who}: {error}")
            return "failed"

    @property
    def torch_precisions(self) -> list[str]:
        """What PyTorch is measured in: TF32 and float16 need a GPU."""
        if self.torch is None:
            return []
        return ["float32", "tf32", "bfloat16", "float16"] if self.report.machine.get("torch", {}).get("gpu") else ["float32", "bfloat16"]

    def wrong(self, text: str) -> None:
        """Something was computed, and it is not right."""
        assert self.section is not None
        self.section.is_wrong = True
        self.problem(text)

    def problem(self, text: str) -> None:
        """Something could not be found out."""
        assert self.section is not None
        self.section.problems.append(" ".join(text.split())[:1500])

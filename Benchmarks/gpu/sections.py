"""A report that grows: sections with tables, written as JSON and Markdown after every change."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Table:
    """Cells are text as it is printed; the numbers are in the section's data."""

    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    title: str = ""

    def lines(self) -> list[str]:
        def line(cells: list[str]) -> str:
            return "| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |"

        head = [self.title, ""] if self.title else []
        return head + [line(self.columns), line(["---"] * len(self.columns)), *(line(row) for row in self.rows)]


@dataclass
class Section:
    """One step of the script."""

    name: str
    title: str
    checks: bool
    """Whether it decides about right and wrong."""
    status: str = "waiting"
    """waiting, running, done, wrong, failed, left out (for want of time), skipped (not for this device)."""
    seconds: float = 0.0
    is_wrong: bool = False
    """Whether something was computed that is not right."""
    problems: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """What there was no time for."""
    notes: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    data: list[dict[str, Any]] = field(default_factory=list)
    """What the tables show, as numbers."""

    def lines(self) -> list[str]:
        text = [f"## {self.title}", "", f"`{self.name}`: {self.status}, {self.seconds:.0f} s", ""]
        text += [f"- **{problem}**".replace("\n", " ") for problem in self.problems]
        text += [f"- left out: {line}" for line in self.missing]
        if self.problems or self.missing:
            text.append("")
        for table in self.tables:
            if table.rows:
                text += [*table.lines(), ""]
        for note in self.notes:
            text += [note, ""]
        return text


@dataclass
class Report:
    """All sections, and the folder they are written to."""

    folder: Path
    command: str
    started: str
    sections: list[Section] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=dict)
    device: str = ""
    start: float = field(default_factory=time.monotonic)

    def write(self) -> None:
        """Both files are replaced as a whole, so that a reader never meets half of one."""
        seconds = time.monotonic() - self.start
        values = {"format": "carousel-gpu-report/1", "command": self.command, "started": self.started, "seconds": round(seconds, 1),
                  "device": self.device, "machine": self.machine, "sections": [asdict(section) for section in self.sections]}
        self.replace("report.json", json.dumps(values, indent=1, ensure_ascii=False) + "\n")
        text = [f"# Carousel on {self.device or 'a device that was not found'}", "", f"{self.started}, {seconds / 60:.1f} minutes: `{self.command}`", ""]
        text += Table(["step", "status", "seconds", "problems", "left out"],
                      [[section.name, section.status, f"{section.seconds:.0f}", str(len(section.problems) or ""), str(len(section.missing) or "")]
                       for section in self.sections]).lines()
        text.append("")
        for section in self.sections:
            if section.status not in ("waiting", "left out"):
                text += section.lines()
        self.replace("report.md", "\n".join(text).rstrip() + "\n")

    def replace(self, name: str, text: str) -> None:
        draft = self.folder / (name + ".new")
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, self.folder / name)

    @property
    def status(self) -> int:
        """The exit code: 3 when what was computed is wrong or could not be checked, 1 when something else could not be measured, for
        want of time too."""
        if any(section.checks and section.status in ("wrong", "failed") for section in self.sections):
            return 3
        return 1 if any(section.problems or section.missing or section.status == "left out" for section in self.sections) else 0


def number(value: float | None, digits: int = 3) -> str:
    """With so many digits, and without an exponent where people read none."""
    if value is None:
        return "-"
    if value != 0 and (abs(value) < 1e-3 or abs(value) >= 1e7):
        return f"{value:.{digits - 1}e}"
    places = max(0, digits - 1 - (len(str(int(abs(value)))) - 1 if abs(value) >= 1 else 0))
    return f"{value:.{places}f}"

"""The results of a comparison as tables."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field

from competitors import Epoch
from probes import Probe


@dataclass
class Result:
    """One competitor in one row."""

    name: str
    threads: int | None
    is_carousel: bool
    mode: str = ""
    epochs: list[Epoch] = field(default_factory=list)
    failure: str | None = None

    @property
    def precision(self) -> str:
        return "bfloat16" if self.name.endswith("bfloat16") else "float32"

    @property
    def whole(self) -> list[Epoch]:
        """The epochs that were run to their end."""
        return [epoch for epoch in self.epochs if epoch.share == 1]

    @property
    def seconds(self) -> float:
        """The median of the whole epochs; where there is none, of what was extrapolated."""
        return statistics.median(epoch.seconds for epoch in self.whole or self.epochs) if self.epochs else math.inf

    @property
    def time(self) -> str:
        if not self.epochs:
            return "failed" if self.failure else "-"
        return f"{'' if self.whole else '~'}{self.seconds:.1f}" + (" (failed later)" if self.failure else "")

    @property
    def accuracies(self) -> str:
        values = [f"{epoch.accuracy:.3f}" for epoch in self.epochs if epoch.accuracy is not None]
        return " ".join(values) or "-"

    @property
    def last_accuracy(self) -> str:
        """After the last epoch that was run to its end."""
        return self.accuracies.rsplit(" ", 1)[-1]


@dataclass
class Row:
    """One model."""

    name: str
    batch_size: int
    maximum_length: int
    rows: int
    tokens: int
    held_out: int
    results: list[Result] = field(default_factory=list)

    def best_rival(self, *precisions: str) -> Result | None:
        """The fastest of all rivals in these precisions that finished an epoch or were extrapolated."""
        rivals = [result for result in self.results if not result.is_carousel and result.epochs and result.precision in precisions]
        return min(rivals, key=lambda result: result.seconds, default=None)


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    """A Markdown table with aligned columns."""
    widths = [max(len(line[column]) for line in [header] + rows) for column in range(len(header))]

    def line(cells: list[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths)) + " |"

    return [line(header), "|" + "|".join("-" * (width + 2) for width in widths) + "|"] + [line(cells) for cells in rows]


def row_lines(row: Row) -> list[str]:
    """All competitors of one row."""
    carousel = next((result for result in row.results if result.is_carousel and result.epochs), None)
    lines = []
    for result in row.results:
        ratio = "-" if carousel is None or not result.epochs else f"{result.seconds / carousel.seconds:.2f}"
        each = " ".join(f"{'' if epoch.share == 1 else '~'}{epoch.seconds:.1f}" for epoch in result.epochs)
        each = f"{each} failed".strip() if result.failure else each or "-"
        disturbed = max((epoch.disturbed for epoch in result.epochs), default=0.0)
        speed = f"{row.tokens / result.seconds / 1000:.0f}" if result.epochs else "-"
        lines.append([result.name, result.mode or "-", str(result.threads or ("all" if result.is_carousel else "-")), result.time, each, speed, ratio,
                      result.accuracies, f"{100 * disturbed:.0f} %"])
    heading = (f"{row.name}: batch {row.batch_size}, at most {row.maximum_length} tokens; {row.rows} rows of {row.tokens} tokens, "
               f"{row.held_out} held out")
    return [heading, ""] + table(["competitor", "mode", "threads", "s per epoch", "each epoch", "1000 tokens/s", "time / Carousel's",
                                  "accuracy after each epoch", "disturbed"], lines)


def summary_lines(rows: list[Row]) -> list[str]:
    """The best rival in float32, and the best in any precision, beside each way of Carousel."""
    lines = []
    for row in rows:
        for result in (result for result in row.results if result.is_carousel and result.epochs):
            rivals = [row.best_rival("float32")]
            if result.precision != "float32":
                rivals.append(row.best_rival("float32", result.precision))
            for rival in dict.fromkeys(rival.name for rival in rivals if rival):
                lines.append(summary_line(row, next(other for other in row.results if other.name == rival), result))
    return table(["row", "best rival", "s per epoch", "Carousel", "s per epoch", "best rival / Carousel"], lines)


def summary_line(row: Row, rival: Result, result: Result) -> list[str]:
    """A rival beside a way of Carousel."""
    ratio = f"{'~' if not (rival.whole and result.whole) else ''}{rival.seconds / result.seconds:.2f}"
    threads = f"{rival.threads} thread{'s' if (rival.threads or 2) > 1 else ''}"
    return [row.name, f"{rival.name}, {threads}", rival.time, result.name, result.time, ratio]


def accuracy_lines(rows: list[Row]) -> list[str]:
    """The accuracy of all competitors side by side after their last epoch, with its number where others trained longer."""
    names = list(dict.fromkeys(result.name for row in rows for result in row.results))
    lines = []
    for row in rows:
        most = max((len(result.whole) for result in row.results), default=0)
        cells = {result.name: result.last_accuracy + (f" (epoch {len(result.whole)})" if 0 < len(result.whole) < most else "")
                 for result in row.results}
        lines.append([row.name, *(cells.get(name, "-") for name in names)])
    return table(["accuracy after the last epoch", *names], lines)


def one_line(text: str) -> str:
    """The beginning of a message, as it fits into a list or a cell."""
    short = " ".join(text.split()).replace("|", "/")
    return short if len(short) <= 300 else short[:300] + " …"


def failure_lines(rows: list[Row], probes: list[Probe]) -> list[str]:
    """Everything that failed, in epochs and in probes."""
    lines = [f"- {row.name}, {result.name}: {one_line(result.failure)}" for row in rows for result in row.results if result.failure]
    return lines + [f"- probe {p.row}, {p.framework} {p.mode}, threads {p.threads}: {one_line(p.failure)}" for p in probes if p.failure]


def probe_lines(probes: list[Probe]) -> list[str]:
    """What the choice of modes and threads rests on."""
    lines = [[p.row, p.framework, p.mode, str(p.threads),
              "failed" if p.failure else "ended: too slow" if p.ended else f"~{p.seconds:.1f}"] for p in probes]
    return table(["row", "framework", "mode", "threads", "s per epoch"], lines)

"""Single recurrent layers and stacks: Carousel beside PyTorch, forward with backward, in turns.

    Benchmarks/rivals/run layers --output results
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from competitors import Machine, RivalError, TooSlow, Worker, end_on_signals
from probes import thread_counts
from report import one_line, table

HERE = Path(__file__).resolve().parent
SIZES = ((100, 64, 128, 128, 1), (200, 32, 100, 128, 1), (35, 20, 650, 650, 2), (70, 32, 1024, 1024, 2), (50, 64, 512, 512, 1))
GATES = {"lstm": 4, "gru": 3, "rnn": 1}


@dataclass
class Case:
    """One cell at one size."""

    cell: str
    size: tuple[int, int, int, int, int]
    """T, B, I, H, layers."""
    carousel: list[float] = field(default_factory=list)
    """Seconds of the median run of each turn."""
    torch: dict[int, list[float]] = field(default_factory=dict)
    """The same for each number of threads."""
    bfloat16: list[float] = field(default_factory=list)
    carousel_bfloat16: list[float] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    """What did not come to an end in time: "PyTorch, 2 threads", "PyTorch in bfloat16"."""
    failures: dict[str, str] = field(default_factory=dict)
    """What failed, and why."""

    @property
    def name(self) -> str:
        steps, batch, inputs, hidden, layers = self.size
        return f"T{steps} B{batch} I{inputs} H{hidden}" + (f" L{layers}" if layers > 1 else "")

    def operations(self) -> float:
        """Floating-point operations of the products: 2·T·B·G·H·(I + H) of each layer forward, and twice that backward, without the
        gradient of the first layer's input."""
        steps, batch, inputs, hidden, layers = self.size
        product = 2.0 * steps * batch * GATES[self.cell] * hidden
        widths = [inputs] + [hidden] * (layers - 1)
        return 3 * sum(product * (width + hidden) for width in widths) - product * inputs

    def goes_on(self, name: str) -> bool:
        """It has neither failed nor been too slow in an earlier turn."""
        return name not in self.ended and name not in self.failures


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="Benchmarks/rivals/run layers", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--output", type=Path, default=Path("rivals-results"), help="folder for layers.json, layers.md and logs")
    parser.add_argument("--cell", nargs="+", choices=tuple(GATES), default=list(GATES))
    parser.add_argument("--sizes", nargs="+", help="T,B,I,H or T,B,I,H,L in place of the usual ones")
    parser.add_argument("--turns", type=int, default=3, help="how often each competitor has its turn")
    parser.add_argument("--seconds", type=float, default=1, help="of each turn")
    parser.add_argument("--device", default="cpu", help="Carousel's device")
    parser.add_argument("--environments", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--carousel", type=Path, required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


def sizes(texts: list[str] | None) -> list[tuple[int, int, int, int, int]]:
    if not texts:
        return list(SIZES)
    found = []
    for text in texts:
        values = [int(part) for part in text.split(",")]
        if len(values) == 4:
            values.append(1)
        if len(values) != 5 or min(values) < 1:
            raise SystemExit(f"--sizes {text}: a size is T,B,I,H or T,B,I,H,L")
        found.append((values[0], values[1], values[2], values[3], values[4]))
    return found


class CarouselLayers:
    """`carousel bench layers`, one process per turn."""

    def __init__(self, program: Path, device: str, seconds: float) -> None:
        self.program, self.device, self.seconds = program, device, seconds
        self.peak = 0.0
        """GFLOP/s of the machine."""

    def measure(self, case: Case, half: bool = False) -> None:
        """Adds the median of one turn to the case."""
        size = ",".join(str(value) for value in (case.size if case.size[4] > 1 else case.size[:4]))
        command: list[str | Path] = [self.program, "bench", "layers", "--cell", case.cell, "--sizes", size, "--device", self.device,
                   "--precision", "bfloat16" if half else "float32", "--seconds", str(self.seconds), "--json", "--quiet"]
        try:
            found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120 + 10 * self.seconds)
        except (subprocess.TimeoutExpired, OSError) as error:
            raise RivalError(f"carousel bench layers: {error}") from error
        if found.returncode != 0:
            raise RivalError(f"carousel bench layers ended with {found.returncode}: {found.stderr[-300:]}")
        try:
            report = json.loads(found.stdout)
            rows = [row for row in report["rows"] if row["key"].endswith("forward + backward")]
        except (ValueError, KeyError) as error:
            raise RivalError(f"carousel bench layers printed no report: {error!r}") from error
        if len(rows) != 1:
            raise RivalError("carousel bench layers printed no single row that ends with 'forward + backward'")
        (case.carousel_bfloat16 if half else case.carousel).append(rows[0]["milliseconds"] / 1e3)
        # The fastest measurement of all turns: a peak cannot be exceeded, only missed.
        if not half:
            self.peak = max(self.peak, report.get("peak") or 0.0)


class TorchLayers:
    """One process per number of threads; one that is ended starts anew."""

    def __init__(self, python: Path, log: Path, seconds: float) -> None:
        self.python, self.log, self.seconds = python, log, seconds
        self.workers: dict[int, Worker] = {}

    def ask(self, threads: int, command: dict[str, object], limit: float) -> dict[str, Any]:
        if threads not in self.workers:
            self.workers[threads] = Worker(self.python, HERE / "layers_torch.py", threads, self.log)
        try:
            return self.workers[threads].ask(command, limit)
        except RivalError:
            self.workers.pop(threads).close()
            raise

    def measure(self, case: Case, threads: int, half: bool = False) -> None:
        """Adds the median of one turn to the case; it may take ten times its turn and ten seconds."""
        command = {"do": "measure", "cell": case.cell, "size": list(case.size), "seconds": self.seconds, "half": half}
        samples = self.ask(threads, command, 10 + 10 * self.seconds)["samples"]
        (case.bfloat16 if half else case.torch.setdefault(threads, [])).append(statistics.median(samples))

    def close(self) -> None:
        for worker in self.workers.values():
            worker.close()


def torch_name(threads: int) -> str:
    return f"PyTorch, {threads} thread{'s' if threads > 1 else ''}"


HALF = "PyTorch in bfloat16"
OWN_HALF = "Carousel in bfloat16"


def take_turn(case: Case, name: str, measure: Callable[[], None]) -> None:
    """One turn of one competitor; what goes wrong is noted in the case, and the others go on."""
    if not case.goes_on(name):
        return
    try:
        measure()
    except TooSlow:
        case.ended.append(name)
    except RivalError as error:
        case.failures[name] = str(error)
        print(f"{case.cell} {case.name}, {name}: {one_line(str(error))}", file=sys.stderr, flush=True)


def measure(case: Case, turns: int, carousel: CarouselLayers, torch: TorchLayers) -> None:
    """All turns of one case. A number of threads that is more than twice as slow as the best has no further turn."""
    for turn in range(turns):
        take_turn(case, "Carousel", lambda: carousel.measure(case))
        if carousel.device == "cpu":
            take_turn(case, OWN_HALF, lambda: carousel.measure(case, half=True))
        for threads in thread_counts():
            slow = threads in case.torch and min(case.torch[threads]) > 2 * min(min(times) for times in case.torch.values())
            if not slow:
                take_turn(case, torch_name(threads), lambda: torch.measure(case, threads))
        if case.torch:
            best = min(case.torch, key=lambda threads: min(case.torch[threads]))
            take_turn(case, HALF, lambda: torch.measure(case, best, half=True))


def lines(cases: list[Case], peak: float | None) -> list[str]:
    rows = []
    for case in cases:
        work = case.operations() * 1e-9
        best = min((min(times) for times in case.torch.values()), default=None)
        own, half = min(case.carousel, default=None), min(case.carousel_bfloat16, default=None)
        best_half = min(case.bfloat16 + ([best] if best else []), default=None)

        def ratio(other: float | None, mine: float | None) -> str:
            return f"{other / mine:.2f}" if other and mine else "-"

        def cell(name: str, times: list[float]) -> str:
            """The fastest turn, and what went wrong in another."""
            note = "failed" if name in case.failures else "too slow" if name in case.ended else ""
            if not times:
                return note or "-"
            return f"{1e3 * min(times):.2f} ms, {work / min(times):.0f}" + (f" ({note})" if note else "")

        rows.append([case.cell, case.name, cell("Carousel", case.carousel),
                     *(cell(torch_name(threads), case.torch.get(threads, [])) for threads in thread_counts()),
                     ratio(best, own), f"{100 * work / own / peak:.0f} %" if own and peak else "-",
                     cell(OWN_HALF, case.carousel_bfloat16), cell(HALF, case.bfloat16), ratio(best, half), ratio(best_half, half)])
    names = [torch_name(threads) for threads in thread_counts()]
    return table(["cell", "size", "Carousel", *names, "best PyTorch / Carousel", "share of peak", OWN_HALF, HALF,
                  "best float32 PyTorch / Carousel in bfloat16", "best PyTorch of either / Carousel in bfloat16"], rows)


def write(output: Path, cases: list[Case], peak: float | None, device: str, torch: str) -> list[str]:
    """Leaves layers.md and layers.json of the cases so far; returns the lines of the former."""
    date = datetime.now(timezone.utc).date().isoformat()
    text = [f"{Machine.model()}; {date}; torch {torch}; Carousel on {device}", "", *lines(cases, peak), "",
            "ms and GFLOP/s of forward with backward, the fastest of the turns' medians. The gradient of the first layer's "
            "input is asked of neither."]
    failures = [f"- {case.cell} {case.name}, {name}: {one_line(why)}" for case in cases for name, why in case.failures.items()]
    if failures:
        text += ["", "Failures:", "", *failures]
    (output / "layers.md").write_text("\n".join(text) + "\n")
    (output / "layers.json").write_text(json.dumps({"machine": Machine.model(), "date": date, "torch": torch, "device": device, "peak": peak,
                                                    "cases": [asdict(case) for case in cases]}, indent=1) + "\n")
    return text


def main() -> int:
    args = arguments()
    end_on_signals()
    args.output.mkdir(parents=True, exist_ok=True)
    carousel = CarouselLayers(args.carousel, args.device, args.seconds)
    torch = TorchLayers(args.environments / "torch/bin/python", args.output / "layers-torch.log", args.seconds)
    cases: list[Case] = []
    text: list[str] = []
    start = time.monotonic()
    try:
        try:
            version = str(torch.ask(1, {"do": "versions"}, 30)["torch"])
        except RivalError as error:
            # Its turns will say whether it can compute.
            version = "(version unknown)"
            print(f"PyTorch: {one_line(str(error))}", file=sys.stderr, flush=True)
        for case in (Case(cell, size) for cell in args.cell for size in sizes(args.sizes)):
            cases.append(case)
            measure(case, args.turns, carousel, torch)
            text = write(args.output, cases, carousel.peak or None, args.device, version)
            print("\n".join(lines([case], carousel.peak or None)[2:]), file=sys.stderr, flush=True)
    finally:
        torch.close()
    print("\n".join(text))
    print(f"{(time.monotonic() - start) / 60:.1f} minutes; results in {args.output}", file=sys.stderr)
    return 1 if any(case.failures for case in cases) else 0


if __name__ == "__main__":
    sys.exit(main())

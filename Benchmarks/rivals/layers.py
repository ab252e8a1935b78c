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
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from competitors import Machine, RivalError, TooSlow, Worker
from probes import thread_counts
from report import table

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
    ended: list[int] = field(default_factory=list)
    """Numbers of threads with which PyTorch did not come to an end."""
    peak: float | None = None
    """GFLOP/s of the machine as Carousel measured it."""

    @property
    def name(self) -> str:
        steps, batch, inputs, hidden, layers = self.size
        return f"T{steps} B{batch} I{inputs} H{hidden}" + (f" L{layers}" if layers > 1 else "")

    def operations(self, input_gradient: bool) -> float:
        """Floating-point operations of the products: 2·T·B·G·H·(I + H) forward, and twice that backward."""
        steps, batch, inputs, hidden, layers = self.size
        product = 2.0 * steps * batch * GATES[self.cell] * hidden
        widths = [inputs] + [hidden] * (layers - 1)
        total = 3 * sum(product * (width + hidden) for width in widths)
        return total if input_gradient else total - product * inputs


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
        found = subprocess.run([program, "bench", "layers", "--help"], capture_output=True, text=True, check=False)
        self.is_there = found.returncode == 0
        self.has_input_gradient = "--input-gradient" in found.stdout

    def measure(self, case: Case) -> None:
        """Adds the median of one turn to the case."""
        size = ",".join(str(value) for value in (case.size if case.size[4] > 1 else case.size[:4]))
        command: list[str | Path] = [self.program, "bench", "layers", "--cell", case.cell, "--sizes", size, "--device", self.device,
                   "--seconds", str(self.seconds), "--json", "--quiet"]
        if self.has_input_gradient:
            command.append("--input-gradient")
        found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120 + 10 * self.seconds)
        if found.returncode != 0:
            raise RivalError(f"carousel bench layers ended with {found.returncode}: {found.stderr[-300:]}")
        report = json.loads(found.stdout)
        rows = [row for row in report["rows"] if row["key"].endswith("forward + backward")]
        if len(rows) != 1:
            raise RivalError("carousel bench layers printed no single row that ends with 'forward + backward'")
        case.carousel.append(rows[0]["milliseconds"] / 1e3)
        # The fastest measurement of all turns: a peak cannot be exceeded, only missed.
        self.peak = max(self.peak, report.get("peak") or 0.0)
        case.peak = self.peak or None


class TorchLayers:
    """One process per number of threads; one that is ended starts anew."""

    def __init__(self, python: Path, log: Path, seconds: float) -> None:
        self.python, self.log, self.seconds = python, log, seconds
        self.workers: dict[int, Worker] = {}

    def ask(self, threads: int, command: dict[str, object], limit: float) -> dict[str, list[float]]:
        if threads not in self.workers:
            self.workers[threads] = Worker(self.python, HERE / "layers_torch.py", threads, self.log)
        try:
            return self.workers[threads].ask(command, limit)
        except TooSlow:
            del self.workers[threads]
            raise

    def measure(self, case: Case, threads: int, input_gradient: bool, half: bool = False) -> None:
        """Adds the median of one turn to the case, or notes that PyTorch did not come to an end in twenty times its turn."""
        command = {"do": "measure", "cell": case.cell, "size": list(case.size), "seconds": self.seconds, "half": half,
                   "input_gradient": input_gradient}
        try:
            samples = self.ask(threads, command, 10 + 10 * self.seconds)["samples"]
        except TooSlow:
            case.ended.append(threads)
            return
        (case.bfloat16 if half else case.torch.setdefault(threads, [])).append(statistics.median(samples))

    def close(self) -> None:
        for worker in self.workers.values():
            worker.close()


def lines(cases: list[Case], input_gradient: bool) -> list[str]:
    rows = []
    for case in cases:
        work = case.operations(input_gradient) * 1e-9
        best = min(((min(times), threads) for threads, times in case.torch.items()), default=None)
        own = min(case.carousel, default=None)

        def cell(seconds: float | None) -> str:
            return "-" if seconds is None else f"{1e3 * seconds:.2f} ms, {work / seconds:.0f}"

        each = ["too slow" if threads in case.ended else cell(min(case.torch[threads])) if threads in case.torch else "-"
                for threads in thread_counts()]
        rows.append([case.cell, case.name, cell(own), *each, f"{best[0] / own:.2f}" if best and own else "-",
                     f"{100 * work / own / case.peak:.0f} %" if own and case.peak else "-", cell(min(case.bfloat16, default=None))])
    threads = [f"PyTorch, {count} thread{'s' if count > 1 else ''}" for count in thread_counts()]
    return table(["cell", "size", "Carousel", *threads, "ratio to the best", "share of peak", "PyTorch in bfloat16"], rows)


def main() -> int:
    args = arguments()
    args.output.mkdir(parents=True, exist_ok=True)
    carousel = CarouselLayers(args.carousel, args.device, args.seconds)
    if not carousel.is_there:
        print("this program has no `bench layers`: only PyTorch is measured", file=sys.stderr)
    torch = TorchLayers(args.environments / "torch/bin/python", args.output / "layers-torch.log", args.seconds)
    # Both sides compute the input's gradient, or neither is asked to.
    input_gradient = carousel.has_input_gradient
    cases = [Case(cell, size) for cell in args.cell for size in sizes(args.sizes)]
    failed = False
    start = time.monotonic()
    for case in cases:
        for turn in range(args.turns):
            try:
                if carousel.is_there:
                    carousel.measure(case)
            except (RivalError, subprocess.TimeoutExpired) as error:
                failed = True
                print(f"{case.cell} {case.name}: {error}", file=sys.stderr)
            for threads in thread_counts():
                slow = threads in case.torch and min(case.torch[threads]) > 2 * min(min(times) for times in case.torch.values())
                if threads not in case.ended and not slow:
                    torch.measure(case, threads, input_gradient)
            if turn == 0 and case.torch:
                best = min(case.torch, key=lambda threads: min(case.torch[threads]))
                torch.measure(case, best, input_gradient, half=True)
        print("\n".join(lines([case], input_gradient)[2:]), file=sys.stderr, flush=True)
    for case in cases:
        case.peak = carousel.peak or None
    found = torch.ask(1, {"do": "versions"}, 30)
    torch.close()
    date = datetime.now(timezone.utc).date().isoformat()
    text = [f"{Machine.model()}; {date}; torch {found['torch']}; Carousel on {args.device}", "",
            *lines(cases, input_gradient), "",
            "ms and GFLOP/s of forward with backward, float32, the fastest of the turns' medians. The gradient of the first layer's input is "
            + ("computed by both." if input_gradient else "not asked for; PyTorch's LSTM computes it all the same.")]
    (args.output / "layers.md").write_text("\n".join(text) + "\n")
    (args.output / "layers.json").write_text(json.dumps({"machine": Machine.model(), "input_gradient": input_gradient,
                                                         "cases": [asdict(case) for case in cases]}, indent=1) + "\n")
    print("\n".join(text))
    print(f"{(time.monotonic() - start) / 60:.1f} minutes; results in {args.output}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

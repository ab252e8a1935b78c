"""Trains the same models on the same batches with Carousel, PyTorch and Keras, in turns, and prints one table.

    Benchmarks/rivals/run reviews.tsv --output results

See Benchmarks/README.md for what is compared and how.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from batches import read_batches
from competitors import Carousel, Competitor, Machine, PythonRival, RivalError, Worker, end_on_signals
from probes import Framework, Probe, probe, thread_counts
from report import Result, Row, accuracy_lines, failure_lines, one_line, probe_lines, row_lines, summary_lines

HERE = Path(__file__).resolve().parent
ROWS = ("simple-rnn", "stacked-lstm", "lstm-100")


def say(line: str = "") -> None:
    """A message for the person who waits."""
    print(line, file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="Benchmarks/rivals/run", description=__doc__.split("\n", 1)[0])
    parser.add_argument("data", type=Path, help="labelled texts, any format `carousel train` reads")
    parser.add_argument("--held-out", type=Path, help="labelled texts for the accuracy; without it a fifth of the data is kept aside")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="models to compare")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("rivals-results"), help="folder for results.json, results.md and logs")
    parser.add_argument("--minutes", type=float, default=35,
                        help="time for everything; the slowest competitors are only sampled to stay within")
    parser.add_argument("--limit", type=float, default=300, help="seconds after which an epoch is ended and extrapolated")
    parser.add_argument("--sample", type=float, default=20, help="seconds of a competitor that is only sampled")
    parser.add_argument("--probe", type=float, default=2.5, help="seconds of each probe")
    parser.add_argument("--leave-out", metavar="TEXT", help="rivals whose name contains this take no part, for example padded")
    parser.add_argument("--no-opencl", action="store_true", help="leave Carousel on OpenCL out")
    parser.add_argument("--environments", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--carousel", type=Path, required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


def frameworks(environments: Path) -> list[Framework]:
    """The competitors of each framework. Where a group has several modes, the fastest stands for it."""
    return [Framework("torch", "PyTorch", environments / "torch/bin/python", HERE / "torch_rival.py",
                      {"PyTorch, padded": ("padded",), "PyTorch, length buckets": ("buckets", "packed"),
                       "PyTorch, length buckets, bfloat16": ("buckets-bfloat16",)}),
            Framework("keras", "Keras", environments / "keras/bin/python", HERE / "keras_rival.py",
                      {"Keras, padded": ("padded", "padded-jit"), "Keras, length buckets": ("buckets",),
                       "Keras, length buckets, bfloat16": ("buckets-bfloat16",)})]


def opencl_device(program: Path) -> str | None:
    """The name of opencl:0, where there is one."""
    found = subprocess.run([program, "devices", "--json"], capture_output=True, text=True, check=True)
    devices = json.loads(found.stdout)["devices"]
    return next((f"{device['name']}, {device['driver']}" for device in devices if device["selector"] == "opencl:0"), None)


@dataclasses.dataclass(frozen=True)
class Entry:
    """A rival that takes part in a row."""

    row: str
    framework: Framework
    name: str
    probe: Probe
    sampled: bool = False


def entries(found: list[Probe], all_frameworks: list[Framework], rows: list[str]) -> tuple[list[Entry], dict[str, list[Result]]]:
    """The fastest mode and number of threads of each group, in each row; and by row the failures of those that cannot take part."""
    chosen = []
    absent: dict[str, list[Result]] = {row: [] for row in rows}
    for row in rows:
        for framework in all_frameworks:
            for name, modes in framework.groups.items():
                mine = [p for p in found if p.row == row and p.framework == framework.name and p.mode in modes]
                usable = [p for p in mine if p.has_time]
                if usable:
                    chosen.append(Entry(row, framework, name, min(usable, key=lambda p: p.seconds)))
                    continue
                reason = next((p.failure for p in mine if p.failure), "all were too slow")
                absent[row].append(Result(name, None, False, failure=f"no probe came to its end: {reason}"))
                say(f"{row}: {name} takes no part: no probe came to its end")
    return chosen, absent


def fit(chosen: list[Entry], args: argparse.Namespace, devices: int, spent: float) -> tuple[list[Entry], float]:
    """Marks the slowest rivals as sampled until the estimate fits the time; the best rival of each row is never one of them.

    Returns the entries and the estimate in seconds. Carousel is taken to be half as slow as the best rival.
    """
    chosen = list(chosen)
    best = {row: min((e.probe.seconds for e in chosen if e.row == row), default=0.0) for row in args.rows}
    # The best in float32 is what Carousel in float32 is compared with.
    best_float32 = {row: min((e.probe.seconds for e in chosen if e.row == row and not e.probe.mode.endswith("-bfloat16")), default=0.0)
                    for row in args.rows}

    def estimate() -> float:
        # Evaluations are a tenth of an epoch, and each process needs some seconds to start.
        rivals: float = sum(args.sample if e.sampled else 1.1 * args.epochs * min(e.probe.seconds, args.limit) for e in chosen)
        own: float = sum(args.epochs * devices * (best[row] / 2 + 6) for row in args.rows)
        return spent + rivals + own + 8 * len(chosen)

    order = sorted((e for e in chosen if e.probe.seconds not in (best[e.row], best_float32[e.row])), key=lambda e: -e.probe.seconds)
    for entry in order:
        if estimate() <= 60 * args.minutes:
            break
        chosen[chosen.index(entry)] = dataclasses.replace(entry, sampled=True)
    return chosen, estimate()


def measure(row: Row, competitors: list[tuple[Competitor, Result, float]], epochs: int, limit: float) -> None:
    """The turns: every competitor trains one epoch, then every one the next. An epoch that was not run to its end is the last."""
    for number in range(epochs):
        for competitor, result, seconds in competitors:
            if result.failure or (result.epochs and result.epochs[-1].share < 1):
                continue
            try:
                epoch = competitor.epoch(number, min(seconds, limit))
            except (RivalError, OSError) as error:
                result.failure = f"epoch {number + 1}: {error}"
                competitor.close()
                say(f"  {row.name} epoch {number + 1}  {competitor.name}: {one_line(str(error))}")
                continue
            result.epochs.append(epoch)
            if epoch.share < 1:
                competitor.close()
            accuracy = "" if epoch.accuracy is None else f"  accuracy {epoch.accuracy:.3f}"
            note = f"  (from {100 * epoch.share:.0f} % of the epoch)" if epoch.share < 1 else f"  loss {epoch.loss:.4f}"
            say(f"  {row.name} epoch {number + 1}  {competitor.name:32s} {epoch.seconds:7.1f} s{note}{accuracy}")


def contestants(row: Row, file: Path, chosen: list[Entry], args: argparse.Namespace, work: Path, devices: list[str], stack: ExitStack) \
        -> list[tuple[Competitor, Result, float]]:
    """All that take part in a row, each with its limit per epoch; `stack` ends them. The row gets a result of each, and of those that
    could not start."""
    found: list[tuple[Competitor, Result, float]] = []
    for device, precision in [(device, "float32") for device in devices] + [("cpu", "bfloat16")]:
        name = f"Carousel, {device}" + (f", {precision}" if precision != "float32" else "")
        run = Carousel(name, args.carousel, args.data, args.held_out, configuration(row.name), device,
                       work / f"{row.name}-{device.replace(':', '')}-{precision}", args.epochs, precision)
        found.append((run, Result(name, None, True), args.limit))
        row.results.append(found[-1][1])
    for entry in (e for e in chosen if e.row == row.name):
        result = Result(entry.name, entry.probe.threads, False, mode=entry.probe.mode)
        row.results.append(result)
        log = args.output / f"{entry.framework.name}.log"
        try:
            worker = stack.enter_context(closing(Worker(entry.framework.python, entry.framework.script, entry.probe.threads, log)))
            rival = PythonRival(f"{entry.name} ({entry.probe.mode})", entry.probe.threads, worker, file, entry.probe.mode)
        except RivalError as error:
            result.failure = f"start: {error}"
            say(f"  {row.name}  {entry.name}: {one_line(str(error))}")
            continue
        found.append((rival, result, args.sample if entry.sampled else args.limit))
    return found


def configuration(row: str) -> Path:
    return HERE.parent / "rows" / f"{row}.yaml"


def export(row: str, args: argparse.Namespace, work: Path) -> Path:
    """The tokens and batches of a row, as Carousel trains on them."""
    file = work / f"{row}.safetensors"
    command = [args.carousel, "bench", "batches", args.data, "--config", configuration(row), "--epochs", str(args.epochs), "--output", file]
    found = subprocess.run(command + ["--quiet"] + (["--validation", args.held_out] if args.held_out else []), check=False)
    if found.returncode:
        raise SystemExit(found.returncode)
    return file


def described(name: str, file: Path) -> Row:
    """A row without results."""
    data = read_batches(file)
    return Row(name, data.configuration["training"]["batch_size"], data.maximum_length, len(data.train.labels), len(data.train.tokens),
               len(data.held_out.labels))


def versions(all_frameworks: list[Framework], carousel: Path, log: Path) -> dict[str, str]:
    """Of everything that takes part."""
    name, number = subprocess.run([carousel, "--version"], capture_output=True, text=True, check=True).stdout.split()
    found = {name: number}
    for framework in all_frameworks:
        try:
            with closing(Worker(framework.python, framework.script, 1, log)) as worker:
                found |= worker.ask({"do": "versions"}, 60)
        except RivalError as error:
            # Its probes will say whether it can compute.
            say(f"{framework.label}: {one_line(str(error))}")
            found[framework.name] = "(version unknown)"
    return found


def as_json(row: Row) -> dict[str, Any]:
    """A row with the seconds its table shows."""
    value = dataclasses.asdict(row)
    for entry, result in zip(value["results"], row.results):
        entry |= {"seconds": result.seconds if result.epochs else None, "is_extrapolated": not result.whole}
    return value


def write(args: argparse.Namespace, facts: dict[str, Any], rows: list[Row], probes: list[Probe]) -> list[str]:
    """Leaves results.json and results.md; returns the lines of the latter."""
    lines = ["# Carousel beside PyTorch and Keras", "", f"{facts['machine']}; {facts['date']}; "
             + ", ".join(f"{name} {version}" for name, version in facts["versions"].items()), ""]
    lines += [*summary_lines(rows), "", *accuracy_lines(rows), ""]
    failures = failure_lines(rows, probes)
    if failures:
        lines += ["## Failures", "", *failures, ""]
    for row in rows:
        lines += ["## " + row_lines(row)[0], *row_lines(row)[1:], ""]
    lines += ["## Probes", "", *probe_lines(probes), "",
              "Seconds are the median of the epochs. ~: extrapolated from a part of an epoch. disturbed: the share of the machine that "
              "other programs took in the worst epoch.", ""]
    (args.output / "results.md").write_text("\n".join(lines))
    result = {**facts, "rows": [as_json(row) for row in rows],
              "probes": [{**dataclasses.asdict(p), "seconds": p.seconds if math.isfinite(p.seconds) else None} for p in probes]}
    (args.output / "results.json").write_text(json.dumps(result, indent=1) + "\n")
    return lines


def main() -> int:
    args = arguments()
    # An end from outside leaves no process and no folder behind either.
    end_on_signals()
    start = time.monotonic()
    args.output.mkdir(parents=True, exist_ok=True)
    all_frameworks = frameworks(args.environments)
    for framework in all_frameworks if args.leave_out else []:
        for name in [name for name in framework.groups if args.leave_out in name]:
            del framework.groups[name]
    opencl = None if args.no_opencl else opencl_device(args.carousel)
    devices = ["cpu"] + (["opencl:0"] if opencl else [])
    with tempfile.TemporaryDirectory(prefix="carousel-rivals-") as folder:
        work = Path(folder)
        facts = {"date": datetime.now(timezone.utc).date().isoformat(), "machine": Machine.model(), "opencl": opencl,
                 "data": args.data.name, "epochs": args.epochs, "versions": versions(all_frameworks, args.carousel, args.output / "versions.log")}
        say(f"{facts['machine']}; OpenCL: {opencl or 'left out'}; {facts['versions']}")
        files = {row: export(row, args, work) for row in args.rows}
        most = len(args.rows) * len(thread_counts()) * sum(len(modes) for f in all_frameworks for modes in f.groups.values())
        say(f"probes: at most {most * (args.probe + 5) / 60:.0f} minutes, then an estimate of the rest")
        found = [p for framework in all_frameworks
                 for p in probe(framework, files, args.probe, args.output / f"{framework.name}.log", say)]
        able, absent = entries(found, all_frameworks, args.rows)
        chosen, estimate = fit(able, args, len(devices) + 1, time.monotonic() - start)
        say(f"estimate: {estimate / 60:.0f} minutes in all"
            + "".join(f"\n  only sampled: {e.row}, {e.name}" for e in chosen if e.sampled))
        rows: list[Row] = []
        for name in args.rows:
            row = described(name, files[name])
            rows.append(row)
            with ExitStack() as stack:
                measure(row, contestants(row, files[name], chosen, args, work, devices, stack), args.epochs, args.limit)
            row.results += absent[name]
            write(args, facts, rows, found)
        lines = write(args, facts, rows, found)
    print("\n".join(lines))
    say(f"{(time.monotonic() - start) / 60:.1f} minutes; results in {args.output}")
    return 1 if failure_lines(rows, found) else 0


if __name__ == "__main__":
    sys.exit(main())

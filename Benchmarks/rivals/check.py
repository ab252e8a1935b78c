"""Do the competitors compute the same? One model of each row, with the same weights in all of them.

    Benchmarks/rivals/run check reviews.tsv

Carousel trains one epoch on a few rows; its weights then go to PyTorch and Keras, and the mean losses on the held-out part are
compared: those of PyTorch padded, in buckets and packed with Carousel's own, and that of Keras without any padding. Ends with 1 where two
differ by more than 1e-5.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path

from competitors import Worker, end_on_signals

HERE = Path(__file__).resolve().parent
ROWS = ("simple-rnn", "stacked-lstm", "lstm-100")


def main() -> int:
    parser = argparse.ArgumentParser(prog="Benchmarks/rivals/run check", description=__doc__.split("\n", 1)[0])
    parser.add_argument("data", type=Path, help="labelled texts; some hundreds of rows are enough")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--environments", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--carousel", type=Path, required=True, help=argparse.SUPPRESS)
    args = parser.parse_args()
    end_on_signals()
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="carousel-check-") as folder, ExitStack() as stack:
        work = Path(folder)
        workers = {name: stack.enter_context(closing(Worker(args.environments / f"{name}/bin/python", HERE / f"{name}_rival.py", 1,
                                                            work / f"{name}.log"))) for name in ("torch", "keras")}
        for row in args.rows:
            for name, value, expected, tolerance in compare(row, args, work, workers):
                holds = abs(value - expected) <= tolerance
                wrong += not holds
                verdict = "ok  " if holds else "FAIL"
                print(f"{verdict}  {row:14s} {name:28s} {value:.7f}  {expected:.7f}  within {tolerance:g}", flush=True)
    return 1 if wrong else 0


def compare(row: str, args: argparse.Namespace, work: Path, workers: dict[str, Worker]) -> list[tuple[str, float, float, float]]:
    """What is compared, its value, the value it should have, and how near."""
    file, run, configuration = work / f"{row}.safetensors", work / row, HERE.parent / "rows" / f"{row}.yaml"
    subprocess.run([args.carousel, "bench", "batches", args.data, "--config", configuration, "--epochs", "1", "--output", file, "--quiet"],
                   check=True)
    subprocess.run([args.carousel, "train", args.data, "--config", configuration, "--epochs", "1", "--device", "cpu", "--output", run,
                    "--no-audit", "--quiet"], check=True, stdout=subprocess.DEVNULL)
    carousel = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["validation_loss"]

    def loss(framework: str, mode: str, rows: int | None, batch: int) -> float:
        workers[framework].ask({"do": "load", "file": str(file), "mode": mode}, 120)
        command = {"do": "loss", "weights": str(run / "last.safetensors"), "rows": rows, "batch": batch}
        return float(workers[framework].ask(command, 300)["loss"])

    buckets = loss("torch", "buckets", None, 64)
    alone = loss("torch", "buckets", 12, 1)
    return [("PyTorch in buckets, Carousel", buckets, carousel, 1e-5),
            ("PyTorch padded, in buckets", loss("torch", "padded", None, 64), buckets, 1e-5),
            ("PyTorch packed, in buckets", loss("torch", "packed", None, 64), buckets, 1e-5),
            ("Keras, PyTorch, rows alone", loss("keras", "buckets", 12, 1), alone, 1e-5)]


if __name__ == "__main__":
    sys.exit(main())

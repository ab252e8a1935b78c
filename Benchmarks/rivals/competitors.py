"""Competitors as the comparison sees them: processes that train one epoch when told to."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


class RivalError(Exception):
    """A competitor did not do what it was asked."""


class TooSlow(RivalError):
    """A competitor did not even answer within its limit and was ended."""


def end_on_signals() -> None:
    """From now on SIGINT, SIGTERM and SIGHUP raise SystemExit, so that whoever started a process ends it on the way out."""
    signals = [number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
               if number == signal.SIGTERM or signal.getsignal(number) != signal.SIG_IGN]

    def end(number: int, _: object) -> None:
        # A second signal must not interrupt the cleaning up.
        for other in signals:
            signal.signal(other, signal.SIG_IGN)
        sys.exit(128 + number)

    for number in signals:
        signal.signal(number, end)


@dataclass
class Epoch:
    """One epoch of one competitor."""

    seconds: float
    """Of the training steps of a whole epoch, batches included; extrapolated where share < 1."""
    share: float = 1.0
    """The part of the epoch's work that was done."""
    accuracy: float | None = None
    """On the held-out part, after the epoch."""
    loss: float | None = None
    """Mean training loss of the epoch."""
    disturbed: float = 0.0
    """Processor seconds that others used meanwhile, per second and core."""


class Competitor(Protocol):
    """Anything that trains in turns."""

    name: str
    threads: int | None

    def epoch(self, number: int, limit: float) -> Epoch:
        """Trains epoch 0, 1, …; at most about `limit` seconds."""

    def close(self) -> None:
        """Ends its process."""


class Machine:
    """Processor time, from /proc; 0 where there is none."""

    cores = os.cpu_count() or 1

    @staticmethod
    def busy() -> float:
        """Seconds all processors were busy with anything, stolen time included."""
        try:
            fields = [int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        except OSError:
            return 0.0
        return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")

    @staticmethod
    def used_by(pid: int) -> float:
        """Seconds a process has used so far."""
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @classmethod
    def model(cls) -> str:
        """The processor's name and number of cores."""
        name = "processor"
        try:
            lines = Path("/proc/cpuinfo").read_text().splitlines()
            name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
        except OSError:
            pass
        return f"{cls.cores} cores of {name}"


@dataclass
class Worker:
    """A Python process that runs `torch_rival.py` or `keras_rival.py`."""

    python: Path
    script: Path
    threads: int
    log: Path
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        variables = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
        environment = {**os.environ, **{name: str(self.threads) for name in variables}, "CUDA_VISIBLE_DEVICES": ""}
        try:
            with self.log.open("ab") as log:
                self.process = subprocess.Popen([self.python, self.script, str(self.threads)], env=environment, stdin=subprocess.PIPE,
                                                stdout=subprocess.PIPE, stderr=log)
        except OSError as error:
            raise RivalError(f"{self.script.name} could not be started: {error}") from error
        self.unread = b""
        try:
            self.line(120)
        except TooSlow:
            raise RivalError(f"{self.script.name} did not start within 120 s: see {self.log}") from None
        except BaseException:
            # Nobody holds this object yet who could close it.
            self.close()
            raise

    def ask(self, command: dict[str, Any], limit: float) -> dict[str, Any]:
        """Sends a command and waits for its answer, at most `limit` seconds; then the process is ended."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(command).encode() + b"\n")
            self.process.stdin.flush()
        except (OSError, ValueError):  # The latter where it was closed before.
            raise RivalError(f"{self.script.name} has ended: see {self.log}") from None
        answer = self.line(limit)
        if "error" in answer:
            raise RivalError(f"{self.script.name}: {answer['error']}")
        return answer

    def line(self, limit: float) -> dict[str, Any]:
        assert self.process.stdout is not None
        deadline = time.monotonic() + limit
        while b"\n" not in self.unread:
            if not select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
                self.close()
                raise TooSlow(f"{self.script.name} took more than {limit:.0f} s")
            part = os.read(self.process.stdout.fileno(), 1 << 16)
            if not part:
                self.close()
                raise RivalError(f"{self.script.name} has ended: see {self.log}")
            self.unread += part
        first, self.unread = self.unread.split(b"\n", 1)
        answer: dict[str, Any] = json.loads(first)
        return answer

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass


@dataclass
class PythonRival:
    """PyTorch or Keras in one mode with one number of threads."""

    name: str
    threads: int | None
    worker: Worker
    file: Path
    mode: str

    def __post_init__(self) -> None:
        self.worker.ask({"do": "load", "file": str(self.file), "mode": self.mode}, 300)

    def epoch(self, number: int, limit: float) -> Epoch:
        pid = self.worker.process.pid
        busy, own, start = Machine.busy(), Machine.used_by(pid), time.monotonic()
        # A limit is looked at between two batches; some of these take minutes where threads fight for cores.
        answer = self.worker.ask({"do": "epoch", "epoch": number, "seconds": limit}, limit + 120)
        others = Machine.busy() - busy - (Machine.used_by(pid) - own)
        share = answer["share"]
        epoch = Epoch(answer["seconds"], share, None, answer["loss"],
                      max(0.0, others) / (time.monotonic() - start) / Machine.cores)
        if share == 1:
            epoch.accuracy = self.worker.ask({"do": "evaluate"}, 300)["accuracy"]
        return epoch

    def close(self) -> None:
        self.worker.close()


@dataclass
class Carousel:
    """`carousel train`, one process per epoch: interrupted when an epoch is finished, resumed at its next turn.

    The seconds are those of the program's own `timing.jsonl`: training steps, batches included. The few steps of the next epoch that
    are done before the interruption arrives count for that epoch, since a resumed run adds up its times.
    """

    name: str
    program: Path
    data: Path
    held_out: Path | None
    configuration: Path
    device: str
    folder: Path
    epochs: int
    precision: str = "float32"
    threads: int | None = None

    def epoch(self, number: int, limit: float) -> Epoch:
        command: list[str | Path] = [self.program, "train", self.data, "--config", self.configuration, "--device", self.device,
                                     "--precision", self.precision, "--epochs", str(self.epochs), "--output", self.folder, "--no-audit", "--checkpoint-every", "12h",
                                     "--resume" if number else "--force"]
        if self.held_out:
            command += ["--validation", self.held_out]
        log = self.folder.with_name(self.folder.name + ".log")
        busy, start = Machine.busy(), time.monotonic()
        with log.open("w") as output:
            environment = {**os.environ, "SWIFT_BACKTRACE": "enable=no"}
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=output, env=environment)
        try:
            own = self.wait(process, number, start + limit + 60)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode not in (0, 128 + signal.SIGINT):
            if own is None:
                raise TooSlow(f"{self.name} took more than {limit + 60:.0f} s for an epoch")
            raise RivalError(f"{self.name} ended with {process.returncode}: {log.read_text()[-400:]}")
        timings, all_metrics = self.records("timing.jsonl"), self.records("metrics.jsonl")
        if min(len(timings), len(all_metrics)) <= number:
            raise RivalError(f"{self.name} ended without the record of epoch {number + 1}: {log.read_text()[-400:]}")
        timing, metrics = timings[number], all_metrics[number]
        others = Machine.busy() - busy - own if own is not None else 0.0
        return Epoch(timing["seconds"], 1.0, metrics["validation_accuracy"], metrics["training_loss"],
                     max(0.0, others) / (time.monotonic() - start) / Machine.cores)

    def wait(self, process: subprocess.Popen[bytes], number: int, deadline: float) -> float | None:
        """Waits for the end of the epoch and of the process; returns its processor seconds, None when it had to be killed."""
        used = 0.0
        interrupted = False
        while process.poll() is None:
            used = max(used, Machine.used_by(process.pid))
            if time.monotonic() > deadline:
                process.kill()
                process.wait()
                return None
            if not interrupted and number + 1 < self.epochs and len(self.records("timing.jsonl")) > number:
                process.send_signal(signal.SIGINT)
                interrupted = True
            time.sleep(0.01)
        return used

    def records(self, name: str) -> list[dict[str, Any]]:
        """The whole lines of a file of the run."""
        path = self.folder / name
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def close(self) -> None:
        """Nothing runs between two epochs."""

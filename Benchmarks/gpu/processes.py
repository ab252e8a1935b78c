"""Programs with time limits: Carousel, and PyTorch in a process that answers commands.

Nothing here waits for ever: what exceeds its limit is killed with all its children.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TAIL = 2000
"""Characters of a program's messages that a report keeps."""


class StepError(Exception):
    """Why something could not be measured."""


@dataclass
class Outcome:
    """What a program printed and how it ended."""

    status: int
    output: str
    errors: str
    seconds: float

    @property
    def problem(self) -> str:
        lines = [line for line in self.errors.strip().splitlines() if line.strip()]
        ending = f"ended by signal {-self.status}" if self.status < 0 else f"ended with {self.status}"
        return f"{ending}: " + " / ".join(lines)[-TAIL:]

    def json(self, *also: int) -> Any:
        """What it printed, of a program that ended with 0 or one of the other statuses named.

        Raises StepError otherwise.
        """
        if self.status not in (0, *also):
            raise StepError(self.problem)
        try:
            return json.loads(self.output)
        except ValueError as error:
            raise StepError(f"printed no JSON ({error}); {self.problem}") from error


running: set[subprocess.Popen[str]] = set()
"""Processes to be killed when the script ends."""


def kill(process: subprocess.Popen[str]) -> None:
    """With all its children: each process has a group of its own."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
    running.discard(process)


def run(command: list[str], limit: float, environment: dict[str, str] | None = None) -> Outcome:
    """Raises StepError when the program cannot start or does not end in time."""
    start = time.monotonic()
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   errors="replace", env={**os.environ, **(environment or {})}, start_new_session=True)
    except OSError as error:
        raise StepError(f"{command[0]} cannot be started: {error}") from error
    running.add(process)
    try:
        output, errors = process.communicate(timeout=max(0.1, limit))
    except subprocess.TimeoutExpired:
        kill(process)
        raise StepError(f"stopped after {limit:.0f} s: {' '.join(Path(command[0]).name if i == 0 else word for i, word in enumerate(command))}") from None
    except BaseException:
        kill(process)
        raise
    running.discard(process)
    return Outcome(process.returncode, output, errors, time.monotonic() - start)


class Torch:
    """PyTorch in a process of its own; one that fails or is too slow is ended and started anew."""

    def __init__(self, python: str) -> None:
        self.python = python
        self.process: subprocess.Popen[str] | None = None
        self.listener = threading.Thread()
        self.lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.messages: deque[str] = deque(maxlen=40)
        """The last lines PyTorch wrote to its standard error, of all its processes."""

    def said(self) -> str:
        """The end of them, for an error."""
        text = " / ".join(line for line in self.messages if line.strip())
        return f": {text[-TAIL:]}" if text else ""

    def start(self, limit: float) -> None:
        try:
            process = subprocess.Popen([self.python, str(HERE / "torch_worker.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True)
        except OSError as error:
            raise StepError(f"{self.python} cannot be started: {error}") from error
        running.add(process)
        self.process, self.lines = process, queue.SimpleQueue()
        lines = self.lines

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                lines.put(line)
            lines.put(None)

        def listen() -> None:
            assert process.stderr is not None
            for line in process.stderr:
                self.messages.append(line.rstrip())

        self.listener = threading.Thread(target=listen, daemon=True)
        threading.Thread(target=read, daemon=True).start()
        self.listener.start()
        self.answer(limit)

    def answer(self, limit: float) -> dict[str, Any]:
        try:
            line = self.lines.get(timeout=max(0.1, limit))
        except queue.Empty:
            self.close()
            raise StepError(f"PyTorch was stopped after {limit:.0f} s{self.said()}") from None
        if line is None:
            self.close()
            raise StepError(f"PyTorch's process ended by itself{self.said()}")
        values: dict[str, Any] = json.loads(line)
        if "error" in values:
            raise StepError("PyTorch: " + values["error"][-TAIL:])
        return values

    def ask(self, limit: float, **command: Any) -> dict[str, Any]:
        """Raises StepError with what PyTorch says, also when it takes longer than `limit` seconds, its start included."""
        deadline = time.monotonic() + limit
        if self.process is None:
            self.start(limit)
        assert self.process is not None and self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()
        except OSError as error:
            self.close()
            raise StepError(f"PyTorch's process is gone: {error}") from error
        return self.answer(deadline - time.monotonic())

    def close(self) -> None:
        if self.process is not None:
            kill(self.process)
            self.process = None
            # What it wrote last is read before anybody asks for it.
            self.listener.join(timeout=2)

"""Says what Carousel does on a GPU, most telling first, and writes report.json and report.md after every step.

Python's standard library is enough; PyTorch is measured beside Carousel where an interpreter has it.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import signal
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from types import FrameType

import correctness
import overlap
import speed
from bench import Bench
from correctness import Step
from machine import find_device, find_torch
from processes import StepError, Torch, kill, running
from sections import Report, Section

STEPS: list[Step] = correctness.FIRST + speed.KERNELS + overlap.STEPS + speed.TRAININGS + correctness.LAST


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="Scripts/gpu-report", description=__doc__.split("\n", 1)[0],
                                     epilog="steps, in their order: " + ", ".join(f"{step.name} ({step.title})" for step in STEPS))
    parser.add_argument("--output", type=Path, required=True, help="folder for report.json and report.md; made where it is missing")
    parser.add_argument("--device", default="auto", help="opencl:N; auto = the first OpenCL GPU, else the first OpenCL device")
    parser.add_argument("--minutes", type=float, default=25, help="for everything; what finds no time left is left out, and the exit code is not 0")
    parser.add_argument("--steps", nargs="+", choices=[step.name for step in STEPS], metavar="STEP", help="only these")
    parser.add_argument("--program", help="the carousel program; looked for beside this script and in .build/release")
    parser.add_argument("--python", help="a Python that has torch; without it this one is tried. none = no rival")
    parser.add_argument("--data", help="labelled text, best IMDB: an epoch is trained on it")
    parser.add_argument("--golden", help="folder of recorded cases; looked for beside this script")
    parser.add_argument("--row-seconds", type=float, default=0.4, help="how long each measurement of a table samples")
    parser.add_argument("--root", type=Path, required=True, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not 0 < args.minutes <= 24 * 60:
        parser.error("--minutes must be more than 0 and at most a day")
    if not 0 < args.row_seconds <= 60:
        parser.error("--row-seconds must be more than 0 and at most 60")
    return args


def find_program(named: str | None, root: Path) -> str:
    candidates = [Path(named)] if named else [root / "carousel", root / ".build/release/carousel"]
    for path in candidates:
        if path.is_file():
            return str(path.resolve())
    found = None if named else shutil.which("carousel")
    if not found:
        raise SystemExit(f"there is no program {' or '.join(str(path) for path in candidates)}; name it with --program")
    return found


def find_golden(named: str | None, root: Path) -> str | None:
    if named:
        if not Path(named).exists():
            raise SystemExit(f"--golden {named}: there is no such folder")
        return named
    folder = root / "Tests/ConformanceTests/Golden"
    return str(folder) if folder.is_dir() else None


def end_on_signals() -> None:
    """What runs is ended with the script; the report keeps what was found so far."""

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)


def share(step: Step, following: list[Step], left: float) -> float:
    """The seconds a step may take of those that are left: its part beside the steps that follow. Together the steps take no more."""
    return left * step.seconds / (step.seconds + sum(other.seconds for other in following))


def take(step: Step, section: Section, bench: Bench, limit: float) -> None:
    """One step of so many seconds: what goes wrong in it is written down, and the next one follows."""
    start = time.monotonic()
    section.status = "running"
    bench.section, bench.section_deadline = section, start + limit
    bench.report.write()
    print(f"{section.name}: {section.title}", file=sys.stderr, flush=True)
    try:
        step.run(bench, section)
        if section.checks and not section.data and not section.problems:
            bench.problem("nothing was checked")
        section.status = "wrong" if section.is_wrong else "failed" if section.checks and section.problems else "done"
    except StepError as error:
        bench.problem(str(error))
        section.status = "failed"
    except KeyboardInterrupt:
        bench.problem("ended by a signal")
        section.status = "failed"
        raise
    except Exception as error:  # A mistake in one step must not cost the others.
        bench.problem(f"{type(error).__name__}: {error}")
        section.status = "failed"
    finally:
        section.seconds = time.monotonic() - start
        bench.report.write()
        lines = [problem[:300] for problem in section.problems[:5]] + [f"left out: {line}" for line in section.missing[:5]]
        print(f"    {section.status}, {section.seconds:.0f} s of {limit:.0f}" + "".join(f"\n    {line}" for line in lines), file=sys.stderr, flush=True)


def main() -> int:
    args = arguments()
    program, golden = find_program(args.program, args.root), find_golden(args.golden, args.root)
    end_on_signals()
    output = args.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    # The script puts --root and its value before the words of the caller.
    report = Report(output, shlex.join(["Scripts/gpu-report", *sys.argv[3:]]), datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"))
    chosen = [step for step in STEPS if not args.steps or step.name in args.steps]
    report.sections = [Section("devices", "The machine", checks=False)] + [Section(step.name, step.title, step.checks) for step in chosen]
    bench = Bench(program, args.root, output, args.device, report,
                  {"SWIFT_BACKTRACE": "enable=no"}, None, args.data, golden,
                  args.row_seconds, time.monotonic() + 60 * args.minutes)
    try:
        machine = Step("devices", "The machine", False, 60, find_device)
        take(machine, report.sections[0], bench, min(machine.seconds, bench.deadline - time.monotonic()))
        if not report.device:
            for section in report.sections[1:]:
                section.status = "left out"
            report.write()
            return 69
        if args.python != "none":
            torch = Torch(args.python or sys.executable)
            bench.torch = torch if find_torch(torch, report.sections[0], report, named=args.python is not None,
                                                     limit=(bench.deadline - time.monotonic()) / 4) else None
        steps = list(zip(chosen, report.sections[1:]))
        if bench.quick and not args.steps:
            # Hours on a CPU, and no question about a GPU.
            for step, section in steps:
                if step in correctness.LAST:
                    section.status = "skipped"
                    section.notes.append(f"Not for a device that is a CPU: `carousel check --level full`, or `--steps {step.name}`.")
            steps = [(step, section) for step, section in steps if section.status != "skipped"]
        for place, (step, section) in enumerate(steps):
            left = bench.deadline - time.monotonic()
            if left < 5:
                section.status = "left out"
                section.missing.append("the whole step: no time left.")
            else:
                take(step, section, bench, share(step, [other for other, _ in steps[place + 1:]], left))
    except KeyboardInterrupt:
        print("ended by a signal", file=sys.stderr)
        return 130
    finally:
        if bench.torch is not None:
            bench.torch.close()
            if bench.torch.messages:
                report.machine["torch messages"] = list(bench.torch.messages)
                report.sections[0].notes.append("PyTorch's process wrote: " + " / ".join(bench.torch.messages))
        for process in list(running):
            kill(process)
        report.write()
        print(f"{output}/report.md", file=sys.stderr)
    return report.status


if __name__ == "__main__":
    sys.exit(main())

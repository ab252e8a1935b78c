"""Is it right? Nothing that follows counts if it is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench import Bench, Variant
from processes import StepError
from sections import Section, Table, number


FOUND_WRONG = 3
"""How `carousel` ends when something it checked is wrong; what is in its output."""


@dataclass
class Step:
    """A part of the report. It fills its section, which is written again after every row."""

    name: str
    title: str
    checks: bool
    seconds: float
    """Its part of the time: what no step before it used is shared out by these numbers."""
    run: Callable[[Bench, Section], None]


def failed_cases(bench: Bench, section: Section, table: Table, name: str, words: list[str], share: float) -> None:
    """One run of `carousel check`, as one row; it may take a share of the time that is left."""
    try:
        outcome = bench.carousel(*words, "--json", "--quiet", limit=bench.left() * share)
        lines: list[dict[str, Any]] = outcome.json(FOUND_WRONG)
    except StepError as error:
        bench.problem(f"{name}: {error}")
        table.rows.append([name, "-", "did not end well", "-", "-"])
        return
    failures = [line for line in lines if not line["passed"]]
    # Infinity is printed as text.
    worst = max((float(line["error"]) for line in lines if line["passed"]), default=0.0)
    table.rows.append([name, str(len(lines)), str(len(failures)), number(worst), number(outcome.seconds)])
    section.data.append({"what": name, "cases": len(lines), "failures": failures[:200], "worst": worst, "seconds": outcome.seconds})
    for line in failures[:10]:
        bench.wrong(f"{name}: {line['name']}, {line['worst']}: error {line['error']} of {line['tolerance']}"
                    + (f"; {line['message']}" if line.get("message") else ""))
    if not lines:
        bench.problem(f"{name}: no case ran")


def check(level: str) -> Callable[[Bench, Section], None]:
    def run(bench: Bench, section: Section) -> None:
        table = Table(["plan", "cases", "failures", "largest error", "seconds"])
        section.tables.append(table)
        for variant in bench.rows(bench.variants):
            # A device that is a CPU takes long for the rest, which the full check has in any case.
            words = ["check", "--device", bench.device, *variant.options, "--level", "tiny" if level == "quick" and bench.quick else level]
            words += ["--golden", bench.golden] if bench.golden and level == "quick" else []
            failed_cases(bench, section, table, variant.name, words, share=1 if variant is bench.variants[-1] else 0.6)
    return run


def audit(bench: Bench, section: Section) -> None:
    table = Table(["model", "plan", "tensors", "failed", "largest share of the tolerance"])
    section.tables.append(table)
    precisions = list(dict.fromkeys(variant.precision for variant in bench.variants))
    presets = ("relu-lstm", "simple-rnn") if bench.quick else ("bilstm", "stacked-lstm", "simple-rnn", "relu-lstm")
    for preset, precision in bench.rows([(preset, precision) for precision in precisions for preset in presets]):
        try:
            outcome = bench.carousel("audit", "--preset", preset, "--device", bench.device, "--precision", precision, "--samples", "0", "--json", "--quiet", limit=bench.left())
            found = outcome.json(FOUND_WRONG)
        except StepError as error:
            bench.problem(f"{preset}, {precision}: {error}")
            continue
        for device in (device for one in found["audits"] for device in one["devices"]):
            tensors = device["tensors"]
            failures = [tensor for tensor in tensors if tensor["verdict"] == "failed"]
            share = max((float(tensor["maximum"]) / float(tensor["tolerance"]) for tensor in tensors if tensor["tolerance"]), default=0.0)
            name = Variant(device["plan"], precision, False).name
            table.rows.append([preset, name, str(len(tensors)), str(len(failures)), number(share)])
            section.data.append({"preset": preset, "plan": name, "tensors": len(tensors), "failures": failures, "share": share})
            for tensor in failures[:5]:
                bench.wrong(f"{preset}, {name}: {tensor['name']} at {tensor['worst']}: {tensor['got']} instead of {tensor['expected']}")
            undecided = [tensor["name"] for tensor in tensors if tensor["verdict"] == "undecided"]
            if undecided:
                bench.problem(f"{preset}, {name}: rounding moves {', '.join(undecided[:5])} too much to judge")
            if device.get("problem"):
                bench.problem(f"{preset}, {name}: {device['problem']}")


LOSS_TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-2, "float16": 2e-2}
"""Relative to float32 on the CPU, over twenty steps."""


def losses(bench: Bench, section: Section) -> None:
    preset, steps = "stacked-lstm", 20
    columns: dict[str, list[float]] = {}
    for variant in bench.rows(bench.variants):
        words = ["bench", "losses", "--device", bench.device, *variant.options, "--preset", preset, "--steps", str(steps)]
        try:
            found = bench.carousel(*words, "--json", "--quiet", limit=bench.left()).json()
        except StepError as error:
            bench.problem(f"{variant.name}: {error}")
            continue
        for trace in found["traces"]:
            columns["cpu" if trace["device"] == "cpu" else variant.name] = [float(value) for value in trace["losses"]]
        difference = float(found["difference"]["loss"])
        section.data.append({"plan": variant.name, **found})
        section.notes.append(f"{variant.name}: largest relative difference {number(difference)} in the loss, "
                             f"{number(float(found['difference']['gradient_norm']))} in the gradient norm.")
        allowed = LOSS_TOLERANCE[variant.precision]
        if not difference <= allowed:
            bench.wrong(f"{variant.name}: losses differ by {number(difference)} from the CPU's; {allowed} is allowed")
    if not columns:
        raise StepError("no plan could be tried")
    section.tables.append(Table(["step", *columns], [[str(step + 1), *(f"{values[step]:.7f}" for values in columns.values())] for step in range(steps)],
                                title=f"Mean loss of each step, `{preset}` on the data inside the program"))


FIRST = [Step("check", "Every operation against double precision (quick set), and recorded cases", True, 420, check("quick")),
         Step("audit", "Whole models against double precision", True, 120, audit),
         Step("losses", "The same training on the CPU and the device", True, 90, losses)]
LAST = [Step("full-check", "Every operation against double precision (full set)", True, 600, check("full"))]

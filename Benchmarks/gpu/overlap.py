"""What independent work in several queues gains: the same work with `CAROUSEL_OVERLAP` off and on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench import Bench, Variant
from correctness import Step
from processes import StepError
from sections import Section, Table, number
from speed import Layer, layer_times

SETTINGS = ("off", "on")

STACKS = [(100, 64, 128, 128, 2), (200, 32, 256, 256, 3), (70, 20, 650, 650, 2), (100, 16, 512, 512, 4)]
"""T, B, I, H and layers: steps that leave a GPU mostly idle."""


@contextmanager
def overlap(bench: Bench, setting: str) -> Iterator[None]:
    usual = dict(bench.environment)
    bench.environment["CAROUSEL_OVERLAP"] = setting
    try:
        yield
    finally:
        bench.environment = usual


def plans_of(bench: Bench) -> list[Variant]:
    return [variant for variant in bench.fast if variant.precision == "float32"]


def overlaps(bench: Bench, section: Section) -> None:
    plans = plans_of(bench)
    stacks(bench, section, plans)
    steps(bench, section, plans)
    section.notes.append("Off: one queue, each layer after the one below. On: chunks of a stack's layers, both directions of a layer and gradients "
                         "of weights in queues of their own.")


def same_bits(bench: Bench, section: Section) -> None:
    """Losses of a training must not depend on it."""
    table = Table(["training", "plan", "losses and norms"], title="Ten steps with and without")
    section.tables.append(table)
    for preset, plan in bench.rows([(preset, plan) for plan in plans_of(bench) for preset in ("bilstm", "stacked-lstm")]):
        words = ["bench", "losses", "--device", bench.device, *plan.options, "--preset", preset, "--steps", "10", "--json", "--quiet"]
        traces = []
        try:
            for setting in SETTINGS:
                with overlap(bench, setting):
                    traces.append(bench.carousel(*words, limit=bench.limit()).json()["traces"][1])
        except StepError as error:
            bench.problem(f"{preset}, {plan.name}: {error}")
            continue
        is_same = all(traces[0][name] == traces[1][name] for name in ("losses", "gradient_norms"))
        table.rows.append([preset, plan.name, "the same bits" if is_same else "different"])
        section.data.append({"preset": preset, "plan": plan.name, "same": is_same})
        if not is_same:
            bench.wrong(f"{preset}, {plan.name}: other losses where work overlaps")


def times_cells(times: list[float | None]) -> list[str]:
    off, on = times
    return [number(value) if value else "-" for value in times] + [number(off / on) if off and on else "-"]


def stacks(bench: Bench, section: Section, plans: list[Variant]) -> None:
    table = Table(["stack", "plan", "off, ms", "on, ms", "off / on"], title="Stacks of layers, forward + backward")
    section.tables.append(table)
    layers = [Layer(cell, *size) for size in STACKS for cell in ("lstm", "gru")]
    for layer, plan in bench.rows([(layer, plan) for layer in (layers[:2] if bench.quick else layers) for plan in plans]):
        found: list[dict[str, Any] | str] = []
        for setting in SETTINGS:
            with overlap(bench, setting):
                found.append(layer_times(bench, plan, layer))
        section.data.append({"layer": layer.name, "plan": plan.name, **dict(zip(SETTINGS, found))})
        table.rows.append([layer.name, plan.name, *times_cells([1e3 * times["both"] if isinstance(times, dict) else None for times in found])])


def steps(bench: Bench, section: Section, plans: list[Variant]) -> None:
    table = Table(["preset", "plan", "off, ms", "on, ms", "off / on"], title="A training step, without waiting between its phases")
    section.tables.append(table)
    words = [bench.data] if bench.data else []
    for preset, plan in bench.rows([(preset, plan) for plan in plans for preset in ("bilstm", "stacked-lstm")]):
        times: list[float | None] = []
        for setting in SETTINGS:
            with overlap(bench, setting):
                try:
                    report = bench.carousel("bench", "step", *words, "--preset", preset, "--device", bench.device, *plan.options, "--seconds", "2",
                                            "--json", "--quiet", limit=bench.limit()).json()
                    times.append(next(row["milliseconds"] for row in report["rows"] if row["key"] == "a step as in training"))
                except (StepError, StopIteration) as error:
                    bench.problem(f"{preset}, {plan.name}, {setting}: {error or 'the row of a whole step is not there'}")
                    times.append(None)
        section.data.append({"preset": preset, "plan": plan.name, **dict(zip(SETTINGS, times))})
        table.rows.append([preset, plan.name, *times_cells(times)])


STEPS = [Step("overlap-bits", "Losses with work in several queues", True, 50, same_bits),
         Step("overlap", "Independent work in several queues", False, 100, overlaps)]

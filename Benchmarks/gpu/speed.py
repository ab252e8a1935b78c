"""How fast is it, and beside PyTorch?"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench import Bench, Variant
from correctness import Step
from processes import StepError
from sections import Section, Table, number

GATES = {"lstm": 4, "gru": 3, "rnn": 1}


# Probes


def probes(bench: Bench, section: Section) -> None:
    """Each in a process of its own: a compiler that crashes costs one answer."""
    names = bench.carousel("bench", "device", "--device", bench.device, "--list", "--json", limit=60).json()["probes"]
    table = Table(["probe", "answer", "measured", "message"])
    section.tables.append(table)
    for name in bench.rows(names):
        try:
            outcome = bench.carousel("bench", "device", "--device", bench.device, "--probes", name, "--json", "--quiet", limit=bench.limit(45))
            answer = (outcome.parsed() if outcome.status in (0, 3) else outcome.json())[0]
        except StepError as error:
            table.rows.append([name, "failed", "", str(error)[:200]])
            section.data.append({"name": name, "outcome": "failed", "message": str(error)})
            continue
        section.data.append(answer)
        facts = ", ".join(f"{fact['name']}: {number(fact['value'])} {fact['unit']}".strip() for fact in answer["facts"])
        lines = [line for line in (answer.get("message") or "").splitlines() if line.strip()]
        # The line that names the error says more than the code before it.
        message = next((line for line in lines if "error" in line.lower() and not line.startswith("CL_")), lines[0] if lines else "")
        table.rows.append([name, answer["outcome"], facts, message[:200]])


# Products


PRODUCTS = [(64, 2048, 512), (16, 4096, 1024), (64, 4096, 1024), (128, 8192, 2048), (3200, 2048, 512), (6400, 4096, 1024), (4096, 4096, 4096)]
"""M, N, K: the step of an LSTM (batch, gates, units), the projection of a sequence, and the square everybody measures."""


def rate_cell(seconds: float | None, operations: float) -> str:
    return "-" if not seconds else f"{number(1e6 * seconds)} µs, {number(1e-9 * operations / seconds)}"


def ratio_cell(rival: float | None, own: float | None) -> str:
    return number(rival / own) if rival and own else "-"


def products(bench: Bench, section: Section) -> None:
    precisions = bench.torch_precisions
    table = Table(["product", "M, N, K", *(f"Carousel, {variant.name}" for variant in bench.fast),
                   *(f"PyTorch, {precision}" for precision in precisions), "PyTorch / Carousel, float32"],
                  title="µs and GFLOP/s; a ratio above 1: Carousel is faster")
    section.tables.append(table)
    for size in bench.rows(PRODUCTS[:-2] + [(1024, 1024, 1024)] if bench.quick else PRODUCTS):
        m, n, k = size
        operations = 2.0 * m * n * k
        own = {variant.name: product_times(bench, variant, size) for variant in bench.fast}
        for kind in ("NN", "NT", "TN"):
            rival = {}
            for precision in precisions:
                answer = bench.ask_torch(f"{kind} {size}, {precision}", do="product", size=list(size), kind=kind, precision=precision,
                                         seconds=bench.row_seconds)
                rival[precision] = answer if isinstance(answer, str) else answer["seconds"]
            times = {name: found.get(kind) if isinstance(found, dict) else found for name, found in own.items()}

            def cell(value: Any) -> str:
                return value if isinstance(value, str) else rate_cell(value, operations)

            fastest = min((value for name, value in times.items() if isinstance(value, float) and "float16" not in name), default=None)
            first = rival.get("float32")
            table.rows.append([kind, f"{m}, {n}, {k}", *map(cell, times.values()), *map(cell, rival.values()),
                               ratio_cell(first if isinstance(first, float) else None, fastest)])
            section.data.append({"kind": kind, "size": size, "carousel": times, "torch": rival})


def product_times(bench: Bench, variant: Variant, size: tuple[int, int, int]) -> dict[str, float] | str:
    """Seconds of NN, NT and TN, or what stands in the cells instead."""
    too_long = bench.is_too_long("product " + variant.name, 6.0 * size[0] * size[1] * size[2], 4)
    if too_long:
        return too_long
    words = ["bench", "operations", "--products", ",".join(map(str, size)), "--products-only", "--device", bench.device, *variant.options]
    try:
        found = bench.carousel(*words, "--seconds", str(bench.row_seconds), "--json", "--quiet", limit=bench.limit()).json()
    except StepError as error:
        bench.problem(f"{variant.name} {size}: {error}")
        return "failed"
    times = {}
    for row in found["rows"]:
        kind = next((kind for kind in ("NN", "NT", "TN") if kind in row["key"].split()), None)
        if kind:
            times[kind] = row["milliseconds"] / 1e3
            bench.rates["product " + variant.name] = 1e9 * row["gigaflops"]
    return times or "no rows"


# Layers


@dataclass(frozen=True)
class Layer:
    """T, B, I, H and layers, as `carousel bench layers` takes them."""

    cell: str
    steps: int
    batch: int
    inputs: int
    hidden: int
    layers: int = 1

    @property
    def name(self) -> str:
        return f"{self.cell} T{self.steps} B{self.batch} I{self.inputs} H{self.hidden}" + (f" L{self.layers}" if self.layers > 1 else "")

    @property
    def size(self) -> list[int]:
        return [self.steps, self.batch, self.inputs, self.hidden, self.layers]

    @property
    def operations(self) -> float:
        """Of the products of forward with backward, without the gradient of the first input."""
        product = 2.0 * self.steps * self.batch * GATES[self.cell] * self.hidden
        widths = [self.inputs] + [self.hidden] * (self.layers - 1)
        return 3 * sum(product * (width + self.hidden) for width in widths) - product * self.inputs


FIVE = [(100, 64, 128, 128), (200, 32, 100, 128), (35, 20, 650, 650, 2), (70, 32, 1024, 1024, 2), (50, 64, 512, 512)]
"""The sizes of Documentation/Performance.md."""

DEEPBENCH = ([Layer("lstm", 25, batch, hidden, hidden) for hidden in (512, 1024, 2048, 4096) for batch in (16, 32, 64, 128)]
             + [Layer("lstm", 50, batch, 1536, 1536) for batch in (8, 16, 32)] + [Layer("lstm", 150, batch, 256, 256) for batch in (16, 32, 64)]
             + [Layer("gru", 1500, 32, 2816, 2816), Layer("gru", 375, 32, 2048, 2048), Layer("gru", 187, 32, 1536, 1536),
                Layer("gru", 1500, 64, 1024, 1024), Layer("gru", 1500, 32, 1024, 1024)]
             + [Layer("rnn", 50, batch, 1760, 1760) for batch in (16, 32, 64, 128)] + [Layer("rnn", 50, batch, 2560, 2560) for batch in (32, 64, 128)])
"""Baidu's DeepBench, training; its LSTM rows leave the input's product out, here it is in on both sides. Those that
tell most come first: what is short of time ends with the largest."""


def layer_times(bench: Bench, variant: Variant, layer: Layer) -> dict[str, Any] | str:
    """Forward and forward with backward of one layer on one plan, or what stands in the cell instead."""
    who = f"{layer.cell} {variant.name}"
    too_long = bench.is_too_long(who, layer.operations, 5)
    if too_long:
        return too_long
    size = ",".join(map(str, layer.size if layer.layers > 1 else layer.size[:4]))
    words = ["bench", "layers", "--cell", layer.cell, "--sizes", size, "--device", bench.device, *variant.options]
    try:
        found = bench.carousel(*words, "--seconds", str(bench.row_seconds), "--json", "--quiet", limit=bench.limit()).json()
        forward, both = (next(row for row in found["rows"] if row["key"].endswith(ending)) for ending in (" forward", " forward + backward"))
    except StopIteration:
        bench.problem(f"{variant.name} {layer.name}: the rows of forward and backward are not there")
        return "failed"
    except StepError as error:
        bench.problem(f"{variant.name} {layer.name}: {error}")
        return "failed"
    bench.rates[who] = layer.operations / (both["milliseconds"] / 1e3)
    return {"forward": forward["milliseconds"] / 1e3, "both": both["milliseconds"] / 1e3, "plan": both.get("plan")}


def torch_times(bench: Bench, precision: str, layer: Layer) -> dict[str, Any] | str:
    who = f"torch {layer.cell} {precision}"
    too_long = bench.is_too_long(who, layer.operations, 5)
    if too_long:
        return too_long
    answer = bench.ask_torch(f"{layer.name}, {precision}", do="layer", cell=layer.cell, size=layer.size, precision=precision, seconds=bench.row_seconds)
    if isinstance(answer, dict):
        bench.rates[who] = layer.operations / answer["both"]
    return answer


def layer_table(bench: Bench, section: Section, layers: list[Layer], variants: list[Variant], title: str = "") -> None:
    """µs per time step, forward / backward, with backward as the difference of both measurements."""
    precisions = bench.torch_precisions
    table = Table(["layer", *(f"Carousel, {variant.name}" for variant in variants), *(f"PyTorch, {precision}" for precision in precisions),
                   "GFLOP/s", "PyTorch / Carousel, float32"],
                  title=title or "µs per time step of the whole stack, forward + backward; a ratio above 1: Carousel is faster")
    section.tables.append(table)
    for layer in bench.rows(layers):
        own = {variant.name: layer_times(bench, variant, layer) for variant in variants}
        rival = {precision: torch_times(bench, precision, layer) for precision in precisions}

        def cell(times: dict[str, Any] | str) -> str:
            if isinstance(times, str):
                return times
            scale = 1e6 / layer.steps
            return f"{number(scale * times['forward'])} + {number(scale * max(0.0, times['both'] - times['forward']))}"

        best = min((times["both"] for times in own.values() if isinstance(times, dict)), default=None)
        same = min((times["both"] for name, times in own.items() if isinstance(times, dict) and "float16" not in name), default=None)
        first = rival.get("float32")
        table.rows.append([layer.name, *map(cell, own.values()), *map(cell, rival.values()),
                           number(1e-9 * layer.operations / best) if best else "-",
                           ratio_cell(first["both"] if isinstance(first, dict) else None, same)])
        section.data.append({"layer": layer.name, "size": layer.size, "operations": layer.operations, "carousel": own, "torch": rival})


def five_sizes(bench: Bench, section: Section) -> None:
    layer_table(bench, section, [Layer(cell, *size) for cell in GATES for size in FIVE], bench.fast)


def deepbench(bench: Bench, section: Section) -> None:
    # Rows that small machines can do come first there.
    rows = sorted(DEEPBENCH, key=lambda layer: layer.operations) if bench.quick else DEEPBENCH
    layer_table(bench, section, rows, bench.usual)


def stack(bench: Bench, section: Section) -> None:
    # Minutes on a CPU: an eighth of the units there.
    layer_table(bench, section, [Layer("lstm", 70, 80, 144, 144, 3) if bench.quick else Layer("lstm", 70, 80, 1150, 1150, 3)], bench.usual)
    if not bench.quick:
        section.notes.append("The recurrent part of an AWD-LSTM for PTB, without its dropouts and its softmax: 929,000 tokens of an epoch are "
                             "166 such stacks.")


# Whole trainings


def phases(bench: Bench, section: Section) -> None:
    words = [bench.data] if bench.data else []
    for preset in bench.rows(["stacked-lstm", "bilstm"]):
        try:
            found = bench.carousel("bench", "step", *words, "--preset", preset, "--device", bench.device, "--seconds", "3", "--json", "--quiet",
                                   limit=bench.limit(120)).json()
        except StepError as error:
            bench.problem(f"{preset}: {error}")
            continue
        section.data.append({"preset": preset, **found})
        section.tables.append(Table(["phase", "ms", "share"],
                                    [[row["key"], number(row["milliseconds"]), f"{100 * row['share']:.0f} %" if row.get("share") else "-"]
                                     for row in found["rows"]], title=f"`{preset}`"))
        section.notes.append(f"`{preset}`: " + ", ".join(f"{fact['name']} {number(fact['value'])} {fact['unit']}".strip() for fact in found["facts"]) + ".")


def epoch(bench: Bench, section: Section) -> None:
    table = Table(["model", "device", "seconds of the epoch", "tokens/s", "training loss", "accuracy of the held-out part"])
    section.tables.append(table)
    if not bench.data:
        section.notes.append("No --data was given: this is the small set inside the program, which says little about speed.")
    for preset, device in bench.rows([(preset, device) for preset in ("stacked-lstm", "bilstm") for device in (bench.device, "cpu")]):
        folder = bench.output / "runs" / f"{preset}-{device.replace(':', '-')}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(exist_ok=True)
        words = ["train", *([bench.data] if bench.data else []), "--output", str(folder), "--preset", preset, "--epochs", "1", "--device", device, "--no-audit"]
        try:
            outcome = bench.carousel(*words, "--quiet", limit=bench.left())
            if outcome.status != 0:
                raise StepError(outcome.problem)
            metrics, timing = (json.loads((folder / name).read_text().splitlines()[0]) for name in ("metrics.jsonl", "timing.jsonl"))
        except (StepError, OSError, ValueError, IndexError) as error:
            bench.problem(f"{preset} on {device}: {error}")
            continue
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        table.rows.append([preset, device, number(timing["seconds"]), f"{timing['tokens_per_second']:.0f}", number(metrics["training_loss"], 5),
                           number(metrics.get("validation_accuracy"), 4)])
        section.data.append({"preset": preset, "device": device, "metrics": metrics, "timing": timing})


def tune(bench: Bench, section: Section) -> None:
    """For each precision, then the LSTM rows again. What is found stays below the output folder: the user's own sizes are not touched."""
    if not bench.supports(" tune "):
        section.notes.append("This program has no `carousel tune`.")
        return
    usual = dict(bench.environment)
    bench.environment["XDG_CACHE_HOME"] = str(bench.output / "cache")
    try:
        tune_all(bench, section)
    finally:
        bench.environment = usual


def tune_all(bench: Bench, section: Section) -> None:
    table = Table(["precision", "work", "ms with the sizes kept", "gain", "candidates", "dropped"])
    section.tables.append(table)
    precisions = list(dict.fromkeys(variant.precision for variant in bench.fast))
    minutes = bench.left() / 60 / 2 / len(precisions)
    for precision in bench.rows(precisions):
        words = ["tune", "--device", bench.device, "--precision", precision, "--minutes", f"{minutes:.2f}", "--json", "--quiet"]
        try:
            found = bench.carousel(*words, limit=bench.limit(60 * minutes + 60)).json()
        except StepError as error:
            bench.problem(f"{precision}: {error}")
            continue
        for line in found["lines"]:
            table.rows.append([precision, line["subject"], number(line["milliseconds"]), number(line["gain"]), str(line["measured"]),
                               "; ".join(line["dropped"])[:300]])
        section.data.append({"precision": precision, **found})
    layer_table(bench, section, [Layer("lstm", *size) for size in FIVE], bench.usual,
                title="After tuning: µs per time step of the whole stack, forward + backward")


def step(name: str, title: str, seconds: float, run: Callable[[Bench, Section], None]) -> Step:
    return Step(name, title, False, seconds, run)


KERNELS = [step("probes", "What the device can do: launches, barriers, instructions", 150, probes),
           step("products", "Matrix products beside PyTorch", 150, products),
           step("layers", "Recurrent layers beside PyTorch", 300, five_sizes),
           step("deepbench", "DeepBench's layers beside PyTorch", 400, deepbench),
           step("stack", "Three LSTMs of 1150 units beside PyTorch", 60, stack)]

TRAININGS = [step("phases", "A training step by its phases", 60, phases),
             step("epoch", "An epoch", 240, epoch),
             step("tune", "Tuning", 240, tune)]

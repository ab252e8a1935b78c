"""What machine this is, whether OpenCL is there, and who the rival is."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from bench import Bench, Variant
from processes import StepError, Torch, run
from sections import Report, Section, Table

DRIVER_FOLDERS = ("/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/nvidia/lib64", "/usr/local/nvidia/lib",
                  "/usr/local/cuda/lib64", "/usr/lib/wsl/lib", "/run/opengl-driver/lib")


def driver_libraries() -> list[str]:
    """Files of OpenCL and of NVIDIA's driver for it."""
    found = []
    for folder in DRIVER_FOLDERS:
        for pattern in ("libnvidia-opencl.so*", "libOpenCL.so*"):
            found += sorted(str(path) for path in Path(folder).glob(pattern))
    return found


def command_line(*command: str) -> str:
    """What a small program says; why it says nothing."""
    try:
        outcome = run(list(command), 20)
    except StepError as error:
        return str(error)
    return outcome.output.strip() if outcome.status == 0 else outcome.problem


def listing(bench: Bench) -> dict[str, Any]:
    found: dict[str, Any] = bench.carousel("devices", "--json", limit=bench.limit(60)).json()
    return found


def find_device(bench: Bench, section: Section) -> None:
    """Chooses the device and learns its plans; helps OpenCL's loader where the driver is there and the loader does not know.

    Raises StepError where there is no OpenCL device.
    """
    libraries = driver_libraries()
    facts = {"system": platform.platform(), "C library": "-".join(platform.libc_ver()), "processors": str(os.cpu_count()),
             "nvidia-smi": command_line("nvidia-smi", "--query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit", "--format=csv,noheader"),
             "OpenCL files": ", ".join(libraries) or "none in the usual folders",
             "drivers registered": ", ".join(sorted(path.name for path in Path("/etc/OpenCL/vendors").glob("*.icd"))) or "none",
             "program": command_line(bench.program, "--version")}
    bench.report.machine.update(facts)
    section.tables.append(Table(["fact", "value"], [[name, value] for name, value in facts.items()]))
    beside = bench.root / "lib"
    if (beside / "libOpenCL.so.1").exists() and not any("libOpenCL.so.1" in path for path in libraries):
        bench.environment["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, [str(beside), os.environ.get("LD_LIBRARY_PATH")]))
        section.notes.append(f"OpenCL's loader is taken from {beside}.")
    found = listing(bench)
    driver = next((path for path in libraries if path.endswith("libnvidia-opencl.so.1")), None)
    if driver and not any(device["kind"] == "opencl" and device["is_gpu"] for device in found["devices"]):
        bench.environment["OCL_ICD_FILENAMES"] = driver
        found = listing(bench)
        section.notes.append(f"No OpenCL GPU was registered; OCL_ICD_FILENAMES={driver} was set for everything below.")
    devices = [device for device in found["devices"] if device["kind"] == "opencl"]
    section.data += found["devices"]
    section.tables.append(Table(["device", "name", "driver", "compute units", "memory", "details"],
                                [[device["selector"], device["name"], device["driver"], str(device["compute_units"]),
                                  f"{device['memory'] / 2**30:.1f} GiB", ", ".join(device["details"])] for device in found["devices"]]))
    if bench.device == "auto":
        chosen = next((device for device in devices if device["is_gpu"]), devices[0] if devices else None)
    else:
        wanted = "opencl:0" if bench.device == "opencl" else bench.device
        chosen = next((device for device in devices if device["selector"] == wanted), None)
    if chosen is None:
        raise StepError(f"there is no OpenCL device {bench.device}: {found.get('problem') or 'see the list'}; {found.get('hint') or ''}")
    bench.device, bench.quick = chosen["selector"], not chosen["is_gpu"]
    bench.report.device = f"{chosen['name']} ({chosen['selector']})"
    bench.report.machine["device"] = chosen
    find_variants(bench)
    section.notes.append("Measured below: " + "; ".join(variant.name + (" (taken by itself)" if variant.selected else "") for variant in bench.variants) + ".")


def find_variants(bench: Bench) -> None:
    """Every plan in every precision the device offers; those it takes by itself come first."""
    answer = bench.carousel("bench", "device", "--device", bench.device, "--list", "--json", limit=bench.limit(60)).json()
    bench.variants = sorted((Variant(plan["plan"], plan["precision"], plan["is_usual"]) for plan in answer["plans"]), key=lambda variant: not variant.selected)


def find_torch(torch: Torch, section: Section, report: Report, named: bool, limit: float) -> bool:
    """Whether PyTorch answers; without a word about it where nobody named one."""
    try:
        about = torch.ask(limit, do="about")
    except StepError as error:
        section.notes.append(f"No rival: {torch.python} has no PyTorch that answers ({error}).")
        if named:
            section.problems.append(f"{torch.python}: {error}")
        report.machine["torch"] = None
        report.write()
        return False
    report.machine["torch"] = about
    section.notes.append("The rival: PyTorch " + ", ".join(f"{name} {value}" for name, value in about.items()) + ".")
    report.write()
    return True

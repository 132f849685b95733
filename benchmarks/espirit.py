"""ESPIRiT against SigPy's, on a measured brain and on simulated coils.

    make peers
    .venv-peers/bin/python -m benchmarks.espirit        # a minute or two

Prints a table and writes benchmarks/results/espirit.json. The overlap of two maps at a pixel is
|⟨S, S'⟩|, which does not see the phase that is common to the coils. Targets: at least .999 on 99 %
of the pixels where both have maps; supports that differ by at most 1 % of SigPy's. Simulated data
are the Shepp-Logan phantom times birdcage coils and white noise; there both are compared with the
true maps as well, where the phantom is. Times alternate between the two; memory is what a fresh
process needs beyond the data.
"""

from __future__ import annotations

import importlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import typer

from benchmarks.harness import memory
from benchmarks.harness.child import alone
from benchmarks.harness.run import Benchmark, Settings
from benchmarks.harness.tables import Cell, Table, table
from benchmarks.harness.timing import Budget, Contestant, interleaved
from learnedrecon.data.phantoms.birdcage import birdcage_maps
from learnedrecon.data.phantoms.shepp_logan import shepp_logan
from learnedrecon.solvers.coils.espirit import espirit

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[1]
BRAIN = ROOT.parent / "shared" / "data" / "brain_kspace.npy"
OVERLAP, SHARE, SUPPORT = 0.999, 0.99, 0.01
BUDGET = Budget(rounds=5, turn=0.0, seconds=20.0)


class Case(NamedTuple):
    """Measured data, or coils and noise to simulate them with.

    Attributes:
        name: in the table.
        shape: (ny, nx).
        coils: their number.
        noise: standard deviation of a sample, relative to the mean |image| of the phantom; None for
            the measured brain.
    """

    name: str
    shape: tuple[int, int]
    coils: int
    noise: float | None

    def kspace(self) -> torch.Tensor:
        """(coil, ky, kx), complex64."""
        if self.noise is None:
            return torch.from_numpy(np.load(BRAIN))
        images = birdcage_maps(self.shape, self.coils) * torch.from_numpy(shepp_logan(self.shape))
        shifted = torch.fft.ifftshift(images, dim=(-2, -1))
        kspace = torch.fft.fftshift(torch.fft.fft2(shifted, norm="ortho"), dim=(-2, -1))
        generator = torch.Generator().manual_seed(0)
        white = torch.randn(kspace.shape, dtype=kspace.dtype, generator=generator)
        return kspace + self.noise * float(images.abs().mean()) * white


CASES = {
    case.name: case
    for case in (
        Case("brain", (230, 180), 8, None),
        Case("8 coils", (230, 180), 8, 0.05),
        Case("15 coils", (320, 320), 15, 0.5),
        Case("15 coils, noisy", (320, 320), 15, 3.0),
    )
}


def ours(kspace: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Maps and eigenvalue."""
    found = espirit(kspace)
    return found.maps.numpy(), found.eigenvalue.numpy()


def sigpy(kspace: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Maps and eigenvalue with the same parameters, which are its defaults."""
    app = importlib.import_module("sigpy.mri.app")
    calibration = app.EspiritCalib(
        kspace.numpy(),
        calib_width=24,
        thresh=0.02,
        kernel_width=6,
        crop=0.95,
        max_iter=100,
        output_eigenvalue=True,
        show_pbar=False,
    )
    maps, value = calibration.run()
    return np.asarray(maps), np.asarray(value).real


def extra_memory(name: str, case: str) -> dict[str, Any]:
    """Peak of the resident memory above what the data and the libraries need, in MiB."""
    kspace = CASES[case].kspace()
    method = {"ours": ours, "sigpy": sigpy}[name]
    method(torch.randn(2, 32, 32, dtype=torch.complex64))
    memory.tidy()
    before = memory.resident()
    memory.forget_peak()
    method(kspace)
    return {"mib": (memory.peak() - before) / 2**20}


def overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """|⟨S, S'⟩| per pixel."""
    return np.abs((first.conj() * second).sum(axis=0))


def compared(case: Case, kspace: torch.Tensor) -> dict[str, Any]:
    """How near the two are to each other, and to the true maps where there are some."""
    (mine, my_value), (theirs, their_value) = ours(kspace), sigpy(kspace)
    on_mine, on_theirs = ((np.abs(maps) > 0).any(axis=0) for maps in (mine, theirs))
    both = on_mine & on_theirs
    equal = overlap(mine, theirs)[both]
    apart = int((on_mine ^ on_theirs).sum())
    result: dict[str, Any] = {
        "support": {"ours": int(on_mine.sum()), "theirs": int(on_theirs.sum()), "apart": apart},
        "support_difference": apart / int(on_theirs.sum()),
        "overlap": {
            "smallest": float(equal.min()),
            "percentile_1": float(np.quantile(equal, 0.01)),
        },
        "share_above": float((equal >= OVERLAP).mean()),
        "largest_eigenvalue": {"ours": float(my_value.max()), "theirs": float(their_value.max())},
    }
    result["met"] = result["share_above"] >= SHARE and result["support_difference"] <= SUPPORT
    if case.noise is not None:
        inside = both & (shepp_logan(case.shape) > 0.05)
        truth = birdcage_maps(case.shape, case.coils).numpy()
        for name, maps in (("ours", mine), ("theirs", theirs)):
            found = overlap(maps, truth)[inside]
            result[f"truth_{name}"] = {
                "percentile_1": float(np.quantile(found, 0.01)),
                "share_above": float((found >= OVERLAP).mean()),
            }
    return result


def measured(case: Case, _: Settings) -> dict[str, Any]:
    """Agreement, times and memory of one case."""
    kspace = case.kspace()
    row: dict[str, Any] = {"name": case.name, **compared(case, kspace)}
    row["coils"], row["shape"], row["noise"] = case.coils, case.shape, case.noise
    contestants = [
        Contestant("ours", lambda: ours(kspace)),
        Contestant("theirs", lambda: sigpy(kspace)),
    ]
    times = interleaved(contestants, BUDGET)
    row["times"] = {name: timing.to_plain() for name, timing in times.items()}
    row["times_faster"] = times["theirs"].median / times["ours"].median
    row["memory_mib"] = {
        name: alone("benchmarks.espirit:extra_memory", {"name": who, "case": case.name})
        for name, who in (("ours", "ours"), ("theirs", "sigpy"))
    }
    return row


def tables(content: dict[str, Any]) -> list[Table]:
    """Agreement, times and memory."""

    def data(row: dict[str, Any]) -> str:
        ny, nx = row["shape"]
        return f"{row['name']}, {row['coils']} × {ny} × {nx}"

    def of(key: str, who: str, name: str, form: str) -> Cell:
        return lambda row: form.format(row[key][who][name]) if name in row[key][who] else "failed"

    def truth(who: str) -> Cell:
        key = f"truth_{who}"
        return lambda row: f"{row[key]['percentile_1']:.5f}" if key in row else ""

    columns: dict[str, Cell] = {
        "data": data,
        "overlap ≥ .999": lambda row: f"{100 * row['share_above']:.2f} %",
        "smallest": lambda row: f"{row['overlap']['smallest']:.6f}",
        "supports apart": lambda row: f"{100 * row['support_difference']:.3f} %",
        "met": "met",
        "ours": of("times", "ours", "median_s", "{:.3g} s"),
        "SigPy": of("times", "theirs", "median_s", "{:.3g} s"),
        "times faster": lambda row: f"{row['times_faster']:.1f}",
        "MiB": of("memory_mib", "ours", "mib", "{:.0f}"),
        "SigPy's MiB": of("memory_mib", "theirs", "mib", "{:.0f}"),
        "to truth": truth("ours"),
        "SigPy's to truth": truth("theirs"),
    }
    note = "To truth: the first percentile of the overlap with the true maps."
    return [table(content["rows"], columns, note)]


def collect(rows: Mapping[str, Any]) -> dict[str, Any]:
    """What the JSON has of the cases."""
    targets = {"overlap": OVERLAP, "share": SHARE, "support_difference": SUPPORT}
    return {"targets": targets, "rows": list(rows.values())}


PARTS = {name: partial(measured, case) for name, case in CASES.items()}
BENCHMARK = Benchmark("espirit", PARTS, tables, collect, ("sigpy",))

if __name__ == "__main__":
    typer.run(BENCHMARK.main)

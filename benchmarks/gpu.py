"""The Triton kernels on a GPU: are they right at real sizes, and how fast are they.

    python -m benchmarks.gpu            # a few minutes; writes benchmarks/results/gpu.json
    python -m benchmarks.gpu --tune     # also which blocks are best for the large batch

Every case is compared with the CPU kernels in float64 on one image, and ⟨Tu,v⟩ with ⟨u,T*v⟩. Times
are medians of CUDA events after a warm-up, with packing and unpacking. An 'update' is one sample of
one ray. Where ASTRA is installed with CUDA, its projectors run on the same GPU tensors, the images
of a batch as slices of its parallel3d geometry.
"""

from __future__ import annotations

import importlib
import json
import math
import statistics
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
import torch
import typer
from rich.console import Console

from benchmarks.against.stand_in import load
from benchmarks.harness.machine import record
from benchmarks.harness.tables import table
from learnedrecon.files import write_text
from learnedrecon.kernels import oracle, triton2d, triton3d
from learnedrecon.kernels.geometry import RayGeometry2D
from learnedrecon.kernels.sizes import Sizes
from learnedrecon.kernels.triton_launch import Blocks, runs_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

RESULTS = Path(__file__).parent / "results" / "gpu.json"
F16, BF16, F32 = torch.float16, torch.bfloat16, torch.float32
CHECKED_ANGLES = 8
"""Angles of the comparison with the CPU, spread over the scan."""


class Case(NamedTuple):
    """A scan and a batch."""

    name: str
    sizes: Sizes
    angles: int
    batch: int
    dtype: torch.dtype = F32
    pitch: float = 1.0
    distance: float = 0.0
    """From the source to the axis, and from there to the detector, in mm; 0 is a parallel beam."""

    @property
    def vectors(self) -> Tensor:
        """Those of `RayGeometry2D` or `RayGeometry3D`: half a turn, or a full one of a source."""
        turn = 2 * np.pi if self.sizes.diverging else np.pi
        theta = np.arange(self.angles) * turn / self.angles
        zero = 0 * theta
        across = np.stack([np.cos(theta), np.sin(theta), zero], axis=1)
        along = np.stack([-np.sin(theta), np.cos(theta), zero], axis=1)
        up = np.stack([zero, zero, zero + 1], axis=1)
        start = -self.distance * along if self.sizes.diverging else along
        corner = self.distance * along - across * (self.pitch * (self.sizes.detectors[-1] - 1) / 2)
        if len(self.sizes.shape) == 2:
            parts = [start[:, :2], corner[:, :2], self.pitch * across[:, :2]]
        else:
            corner = corner - up * (self.pitch * (self.sizes.detectors[0] - 1) / 2)
            parts = [start, corner, self.pitch * across, self.pitch * up]
        return torch.from_numpy(np.concatenate(parts, axis=1))

    @property
    def updates(self) -> int:
        """Samples of rays in one application."""
        rays = self.angles * math.prod(self.sizes.detectors)
        return rays * max(self.sizes.shape) * self.batch


def square(n: int, detectors: int, *, diverging: bool = False) -> Sizes:
    """An image of n × n pixels of 1 mm."""
    return Sizes(diverging, (detectors,), (n, n), (1.0, 1.0))


def cube(n: int, rows: int, columns: int, *, diverging: bool = True) -> Sizes:
    """A volume of n × n × n voxels of 1 mm, in a cone beam if diverging."""
    return Sizes(diverging, (rows, columns), (n, n, n), (1.0, 1.0, 1.0))


LARGE = Case("256², 256 × 256", square(256, 256), 256, 128)
CASES = (
    LARGE,
    LARGE._replace(dtype=F16),
    LARGE._replace(dtype=BF16),
    Case("fan 256², 256 × 256", square(256, 256, diverging=True), 256, 128, F32, 2.0, 400.0),
    Case("362², 1000 × 513 (LoDoPaB)", square(362, 513), 1000, 1, F32, 0.998),
    Case("362², 1000 × 513 (LoDoPaB)", square(362, 513), 1000, 32, F32, 0.998),
    Case("512², 720 × 736", square(512, 736), 720, 1),
    Case("512², 720 × 736", square(512, 736), 720, 8),
    Case("512², 720 × 736", square(512, 736), 720, 64),
    Case("fan 512², 720 × 736", square(512, 736, diverging=True), 720, 8, F32, 2.0, 800.0),
    Case("cone 128³, 90 × (128 × 192)", cube(128, 128, 192), 90, 1, F32, 2.0, 250.0),
    Case("cone 256³, 256 × (256 × 256)", cube(256, 256, 256), 256, 1, F32, 2.0, 500.0),
)
SWEEP = tuple(
    Blocks(lanes, angles, detectors, rows, columns, warps)
    for lanes, warps in ((32, 4), (32, 8), (64, 4), (16, 4))
    for angles, detectors in ((2, 16), (4, 16), (8, 8), (1, 64))
    for rows, columns in ((8, 8), (8, 16), (4, 16))
)


def kernels(case: Case) -> Any:  # noqa: ANN401 (one of two modules)
    """The module that has `project` and `backproject` of the case."""
    return triton2d if len(case.sizes.shape) == 2 else triton3d


def median_ms(work: Callable[[], object], rounds: int = 15) -> float:
    """The median time of some work on the GPU."""
    for _ in range(3):
        work()
    times = []
    for _ in range(rounds):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        work()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return statistics.median(times)


def measure(case: Case, blocks: Blocks | None = None) -> dict[str, Any]:
    """Times of both directions, in ms, and 10⁹ updates per second."""
    vectors, module = case.vectors.cuda(), kernels(case)
    image = torch.rand(case.batch, *case.sizes.shape, device="cuda", dtype=case.dtype)
    data = module.project(image, vectors, case.sizes)
    times = {
        "forward": median_ms(lambda: module.project(image, vectors, case.sizes, blocks=blocks)),
        "adjoint": median_ms(lambda: module.backproject(data, vectors, case.sizes, blocks=blocks)),
    }
    rates = {f"{name}_gups": case.updates / ms / 1e6 for name, ms in times.items()}
    return {f"{name}_ms": ms for name, ms in times.items()} | rates


def gap(u: Tensor, tu: Tensor, v: Tensor, tv: Tensor) -> float:
    """|⟨Tu,v⟩ - ⟨u,T*v⟩| / (‖Tu‖ ‖v‖), in float64."""
    u, tu, v, tv = (x.double().cpu() for x in (u, tu, v, tv))
    return float(((tu * v).sum() - (u * tv).sum()).abs() / (tu.norm() * v.norm()))


def verify(case: Case, device: str = "cuda") -> dict[str, float]:
    """Relative errors against the CPU in float64 for one image and some angles, and the gap."""
    module, sizes = kernels(case), case.sizes
    vectors = case.vectors[:: max(case.angles // CHECKED_ANGLES, 1)].contiguous()
    generator = torch.Generator().manual_seed(0)
    u = torch.randn(*sizes.shape, generator=generator).to(case.dtype)
    v = torch.randn(len(vectors), *sizes.detectors, generator=generator).to(case.dtype)
    tu = module.project(u.to(device), vectors.to(device), sizes).cpu()
    tv = module.backproject(v.to(device), vectors.to(device), sizes).cpu()
    expected = reference(u.double(), v.double(), vectors, sizes)
    errors = [
        float((found.double() - truth).abs().max() / truth.abs().max())
        for found, truth in zip((tu, tv), expected, strict=True)
    ]
    return {"forward_error": errors[0], "adjoint_error": errors[1], "gap": gap(u, tu, v, tv)}


def reference(u: Tensor, v: Tensor, vectors: Tensor, sizes: Sizes) -> tuple[Tensor, Tensor]:
    """T u and T* v by the oracle."""
    plain = vectors.numpy()
    if len(sizes.shape) == 2:
        (ny, nx), (dy, dx) = sizes.shape, sizes.pixel
        flat = RayGeometry2D(plain, sizes.diverging, sizes.detectors[0], (ny, nx), (dy, dx))
        return oracle.forward(u, flat), oracle.adjoint(v, flat)
    deep = importlib.import_module("learnedrecon.kernels.geometry3d")
    oracle3d = importlib.import_module("learnedrecon.kernels.oracle3d")
    geometry = deep.RayGeometry3D(plain, sizes.diverging, sizes.detectors, sizes.shape, sizes.pixel)
    return oracle3d.forward(u, geometry), oracle3d.adjoint(v, geometry)


def astra_times(case: Case) -> dict[str, Any]:
    """ASTRA's CUDA projectors on the same batch, or why there is no such number."""
    if len(case.sizes.shape) != 2 or case.sizes.diverging or case.dtype != F32:
        return {}
    astra = load("astra")
    if astra is None:
        return {"astra": "not installed"}
    if not astra.use_cuda():
        return {"astra": "installed without CUDA"}
    (ny, nx), (detectors,) = case.sizes.shape, case.sizes.detectors
    theta = np.arange(case.angles) * np.pi / case.angles
    volume = astra.create_vol_geom(ny, nx, case.batch)
    scan = astra.create_proj_geom("parallel3d", case.pitch, 1.0, case.batch, detectors, theta)
    image = torch.rand(case.batch, ny, nx, device="cuda")
    data = torch.zeros(case.batch, case.angles, detectors, device="cuda")
    link = astra.pythonutils.GPULink
    ids = {
        "VolumeDataId": astra.data3d.link(
            "-vol", volume, link(image.data_ptr(), nx, ny, case.batch, nx * 4)
        ),
        "ProjectionDataId": astra.data3d.link(
            "-sino",
            scan,
            link(data.data_ptr(), detectors, case.angles, case.batch, detectors * 4),
        ),
    }
    result: dict[str, Any] = {}
    for name, algorithm in (("forward", "FP3D_CUDA"), ("adjoint", "BP3D_CUDA")):
        config = astra.astra_dict(algorithm)
        source = "Projection" if name == "forward" else "Reconstruction"
        config["ProjectionDataId"] = ids["ProjectionDataId"]
        key = "VolumeDataId" if source == "Projection" else "ReconstructionDataId"
        config[key] = ids["VolumeDataId"]
        made = astra.algorithm.create(config)

        def run(made: int = made) -> None:
            astra.algorithm.run(made)

        result[f"astra_{name}_ms"] = median_ms(run, 5)
        astra.algorithm.delete(made)
    return result


COLUMNS = ("name", "batch", "dtype", "forward_ms", "forward_gups", "adjoint_ms", "adjoint_gups")
EXTRA = ("forward_error", "adjoint_error", "gap", "astra_forward_ms", "astra_adjoint_ms")


def require_gpu() -> None:
    """Says so and stops where there is none."""
    if not torch.cuda.is_available():
        raise SystemExit("Expected a CUDA device. Found none. What to do: run this where one is.")
    if not runs_on(torch.device("cuda")):
        raise SystemExit("Expected Triton. Found none. What to do: pip install triton.")


def main(
    *,
    tune: Annotated[bool, typer.Option(help="Also sweep the blocks of the large batch.")] = False,
    output: Annotated[Path, typer.Option(help="Where to write the JSON.")] = RESULTS,
) -> None:
    """Verifies, measures, prints, writes."""
    require_gpu()
    rows = []
    for case in CASES:
        row = {"name": case.name, "batch": case.batch, "dtype": str(case.dtype)}
        rows.append(row | verify(case) | measure(case) | astra_times(case))
    content = record("benchmarks.gpu", ("astra-toolbox", "triton"))
    content |= {"gpu": torch.cuda.get_device_name(), "cuda": torch.version.cuda, "rows": rows}
    console = Console(width=200)
    console.print(table(rows, {name: name for name in (*COLUMNS, *EXTRA)}).rich())
    if tune:
        sweep = [{"blocks": tuple(blocks)} | measure(LARGE, blocks) for blocks in SWEEP]
        content["sweep"] = sweep
        for name in ("forward", "adjoint"):
            best = max(sweep, key=itemgetter(f"{name}_gups"))
            console.print(name, best)
    write_text(output, json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)

"""The scripts of the fault hunt about computed tomography that need no command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from tests.helpers import relative

import learnedrecon as lr
from learnedrecon.data.files.exchange import ExchangeScan
from learnedrecon.errors import GeometryError, ShapeError
from learnedrecon.models import LearnedPrimalDual
from learnedrecon.operators import (
    AngleRange,
    ConeBeam,
    FlatDetector,
    FlatPanel,
    ParallelBeam,
    RayTransform,
    RayVectors3D,
)
from learnedrecon.solvers import fbp, tv_reconstruction

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tests.faults.conftest import Say

DOUBLE = torch.float64


def disk(positions: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    """Line integrals of a centred disk of 0.02/mm."""
    return 0.04 * np.sqrt(np.maximum(radius**2 - positions**2, 0))


def test_f01_uneven_views(found: Say) -> None:
    """The value in the centre of a disk of 0.02/mm, from its line integrals in closed form."""
    random = np.random.default_rng(0)
    stops = np.repeat(np.arange(0, 180, 5.0), 5)
    scans = {
        "180 even views": np.arange(180.0),
        "jittered stops": np.sort(stops + random.normal(0, 1e-3, 180)),
        "equal stops": stops,
        "2 of 12 lost": np.array([i for i in range(180) if i % 12 < 10], dtype=float),
        "one half dense": np.r_[np.arange(0, 90, 0.6), np.arange(90, 180, 3.0)],
    }
    values = {}
    for name, degrees in scans.items():
        angles = tuple(np.deg2rad(degrees).tolist())
        scan = ParallelBeam((64, 64), angles, FlatDetector(121, 0.75), 1.0)
        lines = np.tile(disk(scan.detector.positions, 30.0), (len(angles), 1))
        image = fbp(RayTransform(scan, DOUBLE), torch.from_numpy(lines)[None, None])
        values[name] = float(image[0, 0, 24:40, 24:40].mean())
    found(", ".join(f"{name} {value:.4f}" for name, value in values.items()))
    assert list(values.values()) == pytest.approx([0.02] * 5, rel=5e-3)


def test_f02_a_failed_move_leaves_the_operator_as_it_was(found: Say) -> None:
    operator = RayTransform(ParallelBeam((16, 16), AngleRange(9), FlatDetector(23)))
    u = torch.rand(1, 1, 16, 16)
    y = operator(u)
    with pytest.raises((RuntimeError, AssertionError)):
        operator.to("cuda:99")
    same = bool((operator(u) == y).all())
    found(f"the same y after a failed move: {same}")
    assert same


@pytest.mark.parametrize("sign", [-1, 1])
def test_f03_dead_pixels(found: Say, sign: int) -> None:
    """Six dead pixels, half a count below or above the dark frame."""
    random = np.random.default_rng(0)
    views, pixels = 180, 201
    angles = np.deg2rad(np.arange(views))
    scan = ParallelBeam((120, 120), tuple(angles.tolist()), FlatDetector(pixels))
    lines = np.tile(disk(scan.detector.positions, 60.0), (views, 1))
    dead = np.sort(random.choice(pixels, 6, replace=False))
    white, counts = np.full((10, pixels), 20100.0), 100 + 20000 * np.exp(-lines)
    white[:, dead] = 100 + 0.5 * sign + random.normal(0, 0.1, (10, 6))
    counts[:, dead] = 100 + random.normal(0, 3, (views, 6))
    dark = np.full((10, pixels), 100.0)
    mended = ExchangeScan(counts, white, dark, angles).line_integrals().values
    operator = RayTransform(scan, DOUBLE)
    right, ours = (
        fbp(operator, torch.from_numpy(values)[None, None]) for values in (lines, mended)
    )
    error = float((ours - right).norm() / right.norm())
    found(f"{'below' if sign < 0 else 'above'} the dark frame |FBP - right|/|right| {error:.4f}")
    assert error < 1e-3


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_compiler")
def test_f05_compiled_before_the_first_call(found: Say) -> None:
    """A scan of sizes that no other test has, so that nothing is known of it."""
    operator = RayTransform(ParallelBeam((29, 31), AngleRange(13), FlatDetector(43)))
    problem = lr.InverseProblem(operator, operator(torch.rand(1, 1, 29, 31)))
    model = LearnedPrimalDual(iterations=1, like=operator)
    with torch.no_grad():
        compiled = torch.compile(model, backend="aot_eager")(problem).image
        error = relative(compiled, model(problem).image.double())
    found(f"compiled first against eager {error:.1g}")
    assert error < 1e-5


def test_f07_tv_of_samples_with_their_own_angles(found: Say) -> None:
    base = torch.tensor(AngleRange(12).values())
    angles = torch.stack([base, base + 0.1, base + 0.2])[:, None]
    plain = RayTransform(ParallelBeam((16, 16), AngleRange(12), FlatDetector(23)), DOUBLE)
    operator = plain.with_tensors({"angles": angles})
    u = torch.zeros(3, 1, 16, 16, dtype=DOUBLE)
    u[..., 5:11, 5:11] = 1
    y = operator(u)
    together = tv_reconstruction(operator, y, 0.1, gap=1e-4).image
    alone = torch.cat(
        [
            tv_reconstruction(
                plain.with_tensors({"angles": angles[k : k + 1]}), y[k : k + 1], 0.1, gap=1e-4
            ).image
            for k in range(3)
        ]
    )
    error = relative(together, alone)
    found(f"images {tuple(together.shape)}, against one by one {error:.1g}")
    assert error < 1e-6


def test_f08_a_flat_without_its_first_axis(found: Say) -> None:
    flat, dark = np.linspace(1000.0, 3000.0, 101), np.zeros(101)
    counts, angles = flat * np.exp(-np.full((5, 101), 0.7)), np.arange(5.0)
    with pytest.raises(ShapeError, match=r"frame\[None\]") as caught:
        ExchangeScan(counts, flat, dark, angles)
    values = ExchangeScan(counts, flat[None], dark[None], angles).line_integrals().values
    found(f"{type(caught.value).__name__}; with frame[None] {values.min():.4f} to "
          f"{values.max():.4f}")  # fmt: skip
    np.testing.assert_allclose(values, 0.7, rtol=1e-12)


def test_f12_poses_with_a_panel_and_meta_tensors(found: Say) -> None:
    cone = ConeBeam((4, 8, 8), AngleRange(5, arc=6.283), FlatPanel(6, 12, 1.6), 300.0, 200.0, 0.6)
    vectors = cone.to_vectors().vectors
    with pytest.raises(GeometryError, match=r"detector \(rows, columns\)") as caught:
        RayVectors3D(cone.shape, vectors, cone.detector, cone.pixel_size)  # type: ignore[arg-type]
    assert RayVectors3D(cone.shape, vectors, (6, 12), cone.pixel_size).detector == (6, 12)
    operator = RayTransform(ParallelBeam((16, 16), AngleRange(9), FlatDetector(23)))
    y = operator(torch.rand(1, 1, 16, 16, device="meta"))
    found(f"{type(caught.value).__name__}; meta tensor {tuple(y.shape)} on {y.device.type}")
    assert y.is_meta
    assert y.shape == (1, 1, 9, 23)

"""What is refused at the door, with what was found: sizes, lengths, kinds of tensors, NaN."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from learnedrecon.errors import DataError, DtypeError, GeometryError, ShapeError
from learnedrecon.operators.imaging.inpaint import Inpaint
from learnedrecon.operators.matrix import MatrixOperator
from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.cartesian_spec import Cartesian
from learnedrecon.operators.ray.beam3d import RayVectors3D
from learnedrecon.operators.ray.flat_panel import FlatPanel
from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.geometry3d import ConeBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.testing.linear import adjoint_defect

if TYPE_CHECKING:
    from collections.abc import Callable

    from learnedrecon.operators.base import Operator

ANGLES, DETECTOR = AngleRange(9), FlatDetector(23)
SCAN = ParallelBeam((16, 16), ANGLES, DETECTOR)
SENSE = CartesianMRI(Cartesian((8, 8), coils=2))
CONE = ConeBeam((4, 8, 8), AngleRange(5), FlatPanel(6, 12, 1.6), 300.0, 200.0, 0.6)


def fan(source: float, pitch: float = 0.9) -> RayTransform:
    detector = FlatDetector(60, pitch)
    return RayTransform(FanBeam((40, 37), ANGLES, detector, source, 0.0), torch.float64)


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda: AngleRange(10**9), "3.73 GiB"),
        (lambda: AngleRange(10**20), "1e[+]20"),
        (lambda: FlatDetector(10**19), "34.7 EiB"),
        (lambda: ParallelBeam((10**6, 10**6), ANGLES, DETECTOR), "1000000 x 1000000"),
        (lambda: ConeBeam((10**5, 10**5, 10**5), ANGLES, FlatPanel(4, 4), 1e7, 0.0), "GiB"),
        (lambda: ConeBeam((4, 4, 4), ANGLES, FlatPanel(10**6, 10**6), 1e7, 0.0), "GiB"),
        (lambda: Cartesian((10**5, 10**5), coils=64), "64 x 100000 x 100000"),
    ],
)
def test_sizes_that_no_memory_holds_are_refused_with_their_bytes(
    make: Callable[[], object], found: str
) -> None:
    with pytest.raises(GeometryError, match=found):
        make()


def test_lengths_beyond_what_the_arithmetic_carries_are_refused() -> None:
    with pytest.raises(GeometryError, match="parallel beam"):
        fan(1e12)
    with pytest.raises(GeometryError, match="pitch"):
        fan(100.0, 1e-6)
    with pytest.raises(GeometryError, match="detector pixels cover"):
        ParallelBeam((16, 16), ANGLES, FlatDetector(23, 1e-320))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("inside", "beyond"), [((9e8, 0.9), (2e9, 0.9)), ((100.0, 2e-5), (100.0, 5e-6))]
)
def test_the_adjoint_is_exact_up_to_the_limits(
    inside: tuple[float, float], beyond: tuple[float, float]
) -> None:
    operator = fan(*inside)
    generator = torch.Generator().manual_seed(0)
    u, v = operator.domain.random(generator), operator.codomain.random(generator)
    assert adjoint_defect(operator, u, v) < 1e-10
    with pytest.raises(GeometryError, match="wrong unit"):
        fan(*beyond)


def test_a_scan_of_poses_takes_the_counts_of_a_panel() -> None:
    vectors = CONE.to_vectors().vectors
    with pytest.raises(GeometryError, match=r"panel\.rows"):
        RayVectors3D(CONE.shape, vectors, CONE.detector, 0.6)  # type: ignore[arg-type]


def test_meta_tensors_have_shapes_and_others_are_refused() -> None:
    operator = RayTransform(SCAN)
    assert operator(torch.rand(1, 1, 16, 16, device="meta")).shape == (1, 1, 9, 23)
    assert operator.adjoint(torch.rand(1, 9, 23, device="meta")).shape == (1, 16, 16)
    with pytest.raises(DtypeError, match="dense"):
        operator(torch.rand(16, 16).to_sparse())


def test_two_real_channels_are_not_taken_for_two_complex_images() -> None:
    operator = CartesianMRI(Cartesian((8, 8)))
    two = torch.rand(3, 2, 8, 8)
    with pytest.raises(DtypeError, match="real and imaginary parts"):
        operator(two)
    assert operator(two.to(torch.complex64)).shape == (3, 2, 8, 8)
    assert operator(two[:, :1]).shape == (3, 1, 8, 8)


def test_maps_with_nan_are_blamed_on_the_maps() -> None:
    maps = torch.randn(2, 8, 8, dtype=torch.complex64)
    maps[:, 0, 0] = torch.nan
    with pytest.raises(DataError, match="finite maps"):
        CartesianMRI(Cartesian((8, 8), coils=2), None, maps)
    with pytest.raises(DataError, match="finite maps"):
        SENSE.with_tensors({"maps": maps})


@pytest.mark.parametrize(
    ("operator", "name", "shape"),
    [
        (SENSE, "mask", (2, 1, 8, 8)),
        (SENSE, "maps", (2, 2, 8, 8)),
        (CartesianMRI(Cartesian((8, 8))), "mask", (2, 8, 8)),
        (RayTransform(SCAN), "angles", (2, 9)),
        (RayTransform(SCAN), "axis_offset", (2,)),
        (TransmissionCT(Transmission(SCAN)), "scatter", (2, 9, 23)),
        (Inpaint(torch.ones(5, 4)), "mask", (2, 5, 4)),
        (MatrixOperator(torch.ones(5, 4)), "matrix", (2, 5, 4)),
    ],
)
def test_tensors_of_samples_without_the_channel_axis_are_refused(
    operator: Operator, name: str, shape: tuple[int, ...]
) -> None:
    """They would pair every sample with every mask."""
    tensor = torch.ones(shape, dtype=torch.complex64 if name == "maps" else torch.float32)
    with pytest.raises(ShapeError, match="channel axis"):
        operator.with_tensors({name: tensor})
    assert operator.with_tensors({name: tensor[:, None]}).tensors()[name].shape[:2] == (2, 1)


def test_positions_that_are_no_numbers_give_nan_and_not_zeros() -> None:
    operator, u = RayTransform(SCAN), torch.ones(16, 16)

    def shifted(offset: torch.Tensor) -> torch.Tensor:
        return operator.with_tensors({"axis_offset": offset})(u)

    values = torch.vmap(shifted)(torch.tensor([0.0, torch.nan], dtype=torch.float64))
    assert torch.equal(values[0], operator(u))
    assert bool(values[1].isnan().all())
    changed = RayTransform(SCAN)
    changed.vectors[2].fill_(torch.nan)
    assert changed(u).isnan().any(1).tolist() == [view == 2 for view in range(9)]
    assert bool(changed.adjoint(torch.ones(9, 23)).isnan().all())

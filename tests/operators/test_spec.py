"""What an operator was built from, and which axes of its data are folded into the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from learnedrecon.operators.finite_difference import Differences
from learnedrecon.operators.imaging.blur import PointSpread
from learnedrecon.operators.imaging.downsample import Downsampling
from learnedrecon.operators.imaging.inpaint import PixelMask
from learnedrecon.operators.imaging.point_spread import Box
from learnedrecon.operators.imaging.shapes import Padding, Unchanged
from learnedrecon.operators.imaging.wavelet import WaveletBasis
from learnedrecon.operators.magnitude import Magnitude
from learnedrecon.operators.matrix import Matrix
from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.cartesian_spec import Cartesian
from learnedrecon.operators.mri.non_cartesian import NonCartesian, NonCartesianMRI
from learnedrecon.operators.mri.trajectories import Radial
from learnedrecon.operators.pointwise import ScaledArgument
from learnedrecon.operators.ray.arranged import Arranged
from learnedrecon.operators.ray.beam2d import RayVectors2D
from learnedrecon.operators.ray.curved import CurvedFanBeam
from learnedrecon.operators.ray.detectors import ArcDetector
from learnedrecon.operators.ray.flat_panel import FlatPanel
from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.geometry3d import ConeBeam, ParallelBeam3D
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.operators.saturation import Saturation
from learnedrecon.operators.stack import BlockDiagonal, HorizontalStack, Stack

if TYPE_CHECKING:
    from typing import Any

    from learnedrecon.operators.base import Operator

SCAN = ParallelBeam((6, 6), AngleRange(5), FlatDetector(9))
CONE = ConeBeam((2, 4, 4), AngleRange(3), FlatPanel(3, 5), 50.0, 20.0)
SPECS: dict[str, Any] = {
    "parallel_beam": SCAN,
    "fan_beam": FanBeam((6, 6), AngleRange(5), FlatDetector(9), 50.0, 20.0),
    "curved_fan_beam": CurvedFanBeam((6, 6), AngleRange(5), ArcDetector(9, 0.05), 20.0),
    "ray_vectors_2d": RayVectors2D((6, 6), ((0.0, -9.0, -3.0, 9.0, 1.0, 0.1),), 9),
    "arranged": Arranged(SCAN, ("-y", "x"), ("column", "angle")),
    "cone_beam": CONE,
    "parallel_beam_3d": ParallelBeam3D((2, 4, 4), AngleRange(3), FlatPanel(3, 5)),
    "ray_vectors_3d": CONE.to_vectors(),
    "non_cartesian_mri": NonCartesian((6, 6), Radial(4, 8), coils=2),
    "cartesian_mri": Cartesian((6, 6), coils=2),
    "blur": PointSpread((6, 6), Box(3)),
    "downsample": Downsampling((6, 6), 2),
    "inpaint": PixelMask((6, 6), 0.5),
    "matrix": Matrix(((1.0, 2.0), (3.0, 4.0))),
    "pad": Padding((6, 6), ((1, 1), (2, 2))),
    "identity": Unchanged((6, 6)),
    "finite_difference": Differences((6, 6)),
    "wavelet": WaveletBasis((8, 8), "haar", 1),
    "transmission_ct": Transmission(SCAN, 0.02),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_every_registered_operator_says_what_it_was_built_from(name: str) -> None:
    operator = OPERATORS[name].build(SPECS[name])
    assert operator.spec == SPECS[name]
    assert (2.0 * operator).spec is None


def test_a_tensor_that_replaces_what_the_spec_says_ends_it() -> None:
    rays = RayTransform(SCAN)
    own = rays.with_tensors({"angles": torch.rand(2, 1, 5)})
    assert own.spec is None
    assert (
        TransmissionCT(SPECS["transmission_ct"]).with_tensors({"angles": torch.rand(2, 1, 5)}).spec
        is None
    )
    learned = rays.with_tensors({"angles": torch.rand(5, dtype=torch.float64)})
    assert learned.spec == learned.geometry != SCAN
    assert rays.subset([1, 3]).spec == SCAN.subset([1, 3])
    others: dict[str, tuple[str, tuple[int, ...]]] = {
        "blur": ("kernel", (2, 1, 3, 3)),
        "inpaint": ("mask", (2, 1, 6, 6)),
        "matrix": ("matrix", (2, 1, 2, 2)),
        "non_cartesian_mri": ("trajectory", (2, 1, 4, 8, 2)),
    }
    for kind, (name, shape) in others.items():
        operator = OPERATORS[kind].build(SPECS[kind])
        assert operator.with_tensors({name: torch.rand(shape)}).spec is None, kind


def test_tensors_that_no_spec_speaks_of_leave_it() -> None:
    scan = CartesianMRI(SPECS["cartesian_mri"])
    assert scan.with_tensors({"mask": torch.ones(6)}).spec == SPECS["cartesian_mri"]
    assert scan.subset([0, 2]).spec is None
    radial = NonCartesianMRI(SPECS["non_cartesian_mri"])
    maps = torch.randn(2, 6, 6, dtype=torch.complex64)
    assert radial.with_tensors({"maps": maps}).spec == SPECS["non_cartesian_mri"]
    assert radial.subset([0]).spec is None


def test_coils_are_folded_through_everything_that_keeps_the_data() -> None:
    sense = CartesianMRI(SPECS["cartesian_mri"], None, torch.ones(2, 6, 6, dtype=torch.complex64))
    radial = NonCartesianMRI(SPECS["non_cartesian_mri"])
    magnitude = Magnitude(sense)
    folded: list[Operator] = [
        sense,
        radial,
        2.0 * sense,
        sense + sense,
        sense @ CartesianMRI(Cartesian((6, 6))),
        magnitude,
        3.0 * magnitude,
        magnitude + magnitude,
        ScaledArgument(magnitude, 2.0),
        Saturation(magnitude.codomain, 1.0) @ magnitude,
        Stack([sense, sense], axis=-1),
        HorizontalStack([sense, sense], axis=-1),
        BlockDiagonal([sense, sense], axis=-1, data_axis=-1),
        sense.subset([0]),
    ]
    assert [operator.folded_axes for operator in folded] == [1] * len(folded)
    plain: list[Operator] = [
        CartesianMRI(Cartesian((6, 6))),
        sense.H,
        sense.H @ sense,
        Stack([sense, sense], axis=-3),
        Stack([sense, sense]),
        RayTransform(SCAN),
    ]
    assert [operator.folded_axes for operator in plain] == [0] * len(plain)

"""Ray transforms of arrays whose axes stand in another order: permutations of the plain one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from tests.helpers import normal

from learnedrecon.data.consistency import Pair, consistency
from learnedrecon.errors import GeometryError
from learnedrecon.experiments.acquisition import angles_of, data_axes, pixel_of
from learnedrecon.operators.ray.arranged import Arranged, ArrangedTransform
from learnedrecon.operators.ray.flat_panel import FlatPanel
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.geometry3d import ConeBeam
from learnedrecon.operators.ray.grids import on_grid, with_shape
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transform3d import RayTransform3D
from learnedrecon.solvers.direct.fbp import fbp
from learnedrecon.solvers.direct.pseudo_inverse import has_pseudo_inverse, pseudo_inverse

if TYPE_CHECKING:
    from collections.abc import Callable

PLANE = ParallelBeam((7, 9), AngleRange(5), FlatDetector(12), (1.2, 0.9))
SPACE = ConeBeam((4, 5, 6), AngleRange(3, arc=6.0), FlatPanel(5, 7), 30.0, 20.0, (1.0, 1.1, 0.9))


def test_an_image_upside_down_with_data_transposed() -> None:
    arranged = Arranged(PLANE, ("-y", "x"), ("column", "angle"))
    operator, plain = ArrangedTransform(arranged, torch.float64), RayTransform(PLANE, torch.float64)
    image, data = normal(2, 7, 9), normal(2, 12, 5)
    torch.testing.assert_close(operator(image), plain(image.flip(-2)).mT)
    torch.testing.assert_close(operator.adjoint(data), plain.adjoint(data.mT).flip(-2))
    torch.testing.assert_close(pseudo_inverse(operator, data), fbp(plain, data.mT).flip(-2))
    assert has_pseudo_inverse(operator)
    assert operator.norm() == plain.norm()
    assert operator.norm_bound() == plain.norm_bound()
    some = operator.subset([4, 0, 1])
    torch.testing.assert_close(some(image), operator(image)[..., [4, 0, 1]])
    assert some.spec.geometry == PLANE.subset([4, 0, 1])


def test_a_volume_as_x_y_z_with_data_as_row_angle_column() -> None:
    arranged = Arranged(SPACE, ("x", "y", "-z"), ("row", "-angle", "column"))
    operator = ArrangedTransform(arranged, torch.float64)
    volume = normal(6, 5, 4)
    expected = RayTransform3D(SPACE, torch.float64)(volume.permute(2, 1, 0).flip(0))
    torch.testing.assert_close(operator(volume), expected.permute(1, 0, 2).flip(1))
    some = operator.subset([2, 1])
    torch.testing.assert_close(some(volume), operator(volume)[:, [2, 1]])


def test_what_is_not_said_is_as_in_this_library() -> None:
    assert Arranged(PLANE).image_order == ("y", "x")
    assert Arranged(SPACE).data_order == ("angle", "row", "column")


def test_what_files_and_other_grids_see() -> None:
    arranged = Arranged(PLANE, ("x", "-y"), ("column", "angle"))
    assert data_axes(arranged) == "detector pixels, angles"
    assert pixel_of(arranged) == (0.9, 1.2)
    assert angles_of(arranged) == PLANE.angle_values
    finer = on_grid(arranged, (18, 14))
    assert finer.geometry == on_grid(PLANE, (14, 18))
    assert with_shape(arranged, (3, 4)).image_shape == (3, 4)


def test_reversed_data_are_seen() -> None:
    arranged = Arranged(PLANE, data_axes=("column", "angle"))
    operator = ArrangedTransform(arranged, torch.float64)
    truth = normal(1, 1, 7, 9).cumsum(-1)
    data = operator(truth)
    found = consistency([Pair("one", operator, truth, data.flip(-2))])
    reversed_ = [fit for fit in found.fits if fit.variant.name == "with the detector reversed"]
    assert found.error > 0.1
    assert reversed_[0].error < 1e-12
    turned = replace(arranged, geometry=PLANE.with_angles(tuple(-a for a in PLANE.angle_values)))
    other = ArrangedTransform(turned, torch.float64)(truth)
    found = consistency([Pair("one", operator, truth, other)])
    assert min(found.fits, key=lambda fit: fit.error).variant.name.endswith("turns the other way")


REFUSED: dict[str, Callable[[], Any]] = {
    "an axis twice": lambda: Arranged(PLANE, ("y", "y")),
    "an unknown axis": lambda: Arranged(PLANE, ("y", "u")),
    "rows in 2D": lambda: Arranged(PLANE, data_axes=("angle", "row")),
    "too few": lambda: Arranged(SPACE, ("y", "x")),
    "no geometry": lambda: Arranged(FlatDetector(9)),  # type: ignore[arg-type]
    "a plain geometry": lambda: ArrangedTransform(PLANE),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    with pytest.raises(GeometryError):
        REFUSED[name]()

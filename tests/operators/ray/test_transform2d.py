"""What a ray transform is besides linear: tensors for its geometry, subsets, precision, norm."""

from __future__ import annotations

import copy
import math
import weakref
from typing import TYPE_CHECKING, Any

import pytest
import torch
from tests.helpers import normal
from torch import Tensor

from learnedrecon.errors import DataError, DtypeError, GeometryError, ShapeError
from learnedrecon.operators.base import moved
from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.problem import InverseProblem
from learnedrecon.testing import check_operator, dense_matrix

if TYPE_CHECKING:
    from learnedrecon.operators.ray.geometry2d import Geometry
    from learnedrecon.operators.ray.planar import PlanarGeometry

SCANS: dict[str, Geometry] = {
    "parallel": ParallelBeam((6, 7), (0.3, 1.4, 2.2, 0.1), FlatDetector(9, 1.1, 0.4), (1.2, 0.8)),
    "fan": FanBeam((6, 7), AngleRange(4, arc=6.28), FlatDetector(9, 1.6, 0.4), 20.0, 4.0),
}


@pytest.fixture(params=SCANS)
def geometry(request: pytest.FixtureRequest) -> Geometry:
    return SCANS[request.param]


@pytest.fixture
def operator(geometry: Geometry) -> RayTransform:
    return RayTransform(geometry, torch.float64)


def changed(geometry: PlanarGeometry, angles: Tensor, offset: float) -> RayTransform:
    """The scan with other values, by its fields."""
    assert isinstance(geometry, ParallelBeam | FanBeam)
    detector = FlatDetector(geometry.detector.pixels, geometry.detector.pitch, offset)
    fields = {**vars(geometry), "angles": tuple(angles.tolist()), "detector": detector}
    return RayTransform(type(geometry)(**fields), torch.float64)


def test_tensors_stand_for_the_fields_of_the_geometry(operator: RayTransform) -> None:
    u, angles = normal(2, 6, 7), torch.tensor([2.0, 0.2, 1.0, -0.7], dtype=torch.float64)
    expected = changed(operator.geometry, angles, -1.3)
    offset = torch.tensor(-1.3, dtype=torch.float64)
    both = operator.with_tensors({"angles": angles, "axis_offset": offset})
    one_by_one = operator.with_tensors({"angles": angles}).with_tensors({"axis_offset": offset})
    vectors = operator.with_tensors({"vectors": expected.vectors})
    for found in (both, one_by_one, vectors):
        torch.testing.assert_close(found(u), expected(u), rtol=1e-12, atol=1e-12)
    assert both.geometry == expected.geometry
    assert both.norm() == pytest.approx(expected.norm())
    assert vectors.norm() == pytest.approx(expected.norm())
    assert "axis_offset: ()" in repr(both)


def test_the_operator_with_tensors_conforms(operator: RayTransform) -> None:
    check_operator(operator.with_tensors({"axis_offset": torch.tensor(0.9)}))


def test_samples_with_geometries_of_their_own_conform(operator: RayTransform) -> None:
    """The matrix of a batch is block diagonal, and T* its transpose."""
    offset, angles = normal(2, 1), normal(2, 1, 4)
    own = operator.with_tensors({"axis_offset": offset, "angles": angles})
    at = operator.domain.random(leading=(2, 3)).double()
    check_operator(own, at=at)
    blocks = [changed(operator.geometry, angles[k, 0], float(offset[k])) for k in range(2)]
    whole = dense_matrix(own, leading=(2, 1))
    expected = torch.block_diag(*(dense_matrix(block) for block in blocks))
    torch.testing.assert_close(whole, expected)
    exact = [[float(torch.linalg.matrix_norm(dense_matrix(block), 2))] for block in blocks]
    expected = torch.tensor(exact, dtype=torch.float64)
    torch.testing.assert_close(own.norm(), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", ["vectors", "axis_offset"])
def test_what_has_no_single_geometry_says_so(operator: RayTransform, name: str) -> None:
    tensors = {"vectors": operator.vectors, "axis_offset": torch.zeros(2, 1)}
    with pytest.raises(GeometryError, match=f"{name} \\("):
        _ = operator.with_tensors({name: tensors[name]}).geometry


def test_subsets_of_an_operator_with_tensors(operator: RayTransform) -> None:
    u, angles = normal(2, 1, 6, 7), (normal(2, 1, 4)).requires_grad_()
    whole = operator.with_tensors({"angles": angles, "axis_offset": torch.tensor(0.2)})
    part = whole.subset([3, 1])
    torch.testing.assert_close(part(u), whole(u)[..., [3, 1], :])
    (gradient,) = torch.autograd.grad(part(u).square().sum(), angles)
    assert (gradient[..., [3, 1]] != 0).all()
    assert (gradient[..., [0, 2]] == 0).all()
    again = part.with_tensors({"axis_offset": torch.tensor(0.7)})
    expected = operator.with_tensors({"angles": angles, "axis_offset": torch.tensor(0.7)})
    torch.testing.assert_close(again(u), expected(u)[..., [3, 1], :])
    few = operator.with_tensors({"axis_offset": torch.tensor(0.25)}).subset([2, 0])
    assert isinstance(few, RayTransform)
    values = few.geometry
    assert isinstance(operator.geometry, ParallelBeam | FanBeam)
    assert isinstance(values, ParallelBeam | FanBeam)
    assert values.angle_values == tuple(operator.geometry.angle_values[k] for k in (2, 0))
    assert values.detector.axis_offset == 0.25


def test_a_subset_costs_no_validation(
    operator: RayTransform, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = operator(u := normal(6, 7))[[1, 3]]
    monkeypatch.setattr(type(operator.geometry), "rays", None)
    torch.testing.assert_close(operator.subset([1, 3])(u), expected)


@pytest.mark.parametrize(
    ("tensors", "error", "words"),
    [
        ({"angle": torch.zeros(4)}, GeometryError, "'angles' and 'axis_offset'"),
        ({"vectors": torch.zeros(4, 6), "angles": torch.zeros(4)}, GeometryError, "or 'vectors'"),
        ({"angles": torch.zeros(3)}, ShapeError, r"\(\*lead, 4\)"),
        ({"angles": torch.zeros(())}, ShapeError, r"\(\*lead, 4\)"),
        ({"vectors": torch.zeros(6)}, ShapeError, r"\(\*lead, 4, 6\)"),
        ({"angles": torch.zeros(4, dtype=torch.int64)}, DtypeError, "floats"),
        ({"angles": [0.0, 1.0, 2.0, 3.0]}, DtypeError, "torch tensor"),
        ({"angles": torch.tensor([0.0, 30.0, 60.0, 90.0])}, GeometryError, "radians"),
        ({"axis_offset": torch.tensor(math.nan)}, DataError, "finite 'axis_offset'"),
        ({"vectors": torch.zeros(4, 6)}, GeometryError, "direction"),
    ],
)
def test_wrong_tensors_are_named(
    tensors: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        RayTransform(SCANS["parallel"]).with_tensors(tensors)


def test_precision_changes_the_spaces_and_not_the_vectors(operator: RayTransform) -> None:
    vectors = operator.vectors.clone()
    single = copy.deepcopy(operator).to(torch.float32)
    assert single.domain.dtype == torch.float32
    assert single.vectors.dtype == torch.float64
    assert torch.equal(single.vectors, vectors)
    assert not single.state_dict()


def test_a_device_without_float64_leaves_it_to_the_cpu() -> None:
    """MPS is such a device: the positions of rays need double precision."""
    vectors = torch.zeros(3, 6, dtype=torch.float64)
    assert moved(vectors, torch.device("mps")) is vectors
    assert moved(vectors, "meta").is_meta


def test_a_problem_that_moves_keeps_the_graph_of_the_geometry(operator: RayTransform) -> None:
    offset = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    own = operator.with_tensors({"axis_offset": offset})
    problem = InverseProblem(own, normal(1, 1, 4, 9)).to("cpu")
    value = problem.forward(normal(1, 1, 6, 7)).square().sum()
    (gradient,) = torch.autograd.grad(value, offset)
    assert gradient != 0


def test_images_are_kept_for_gradients_in_the_geometry_only(operator: RayTransform) -> None:
    """A linear map needs no image for its own gradient: memory counts in long schemes."""
    offset = torch.tensor(0.3, requires_grad=True)
    for tensors, kept in (({}, False), ({"axis_offset": offset}, True)):
        chosen, leaf = operator.with_tensors(tensors), normal(6, 7).requires_grad_()
        image = leaf * 2
        reference = weakref.ref(image)
        value = chosen(image)
        del image
        assert (reference() is not None) == kept
        value.sum().backward()

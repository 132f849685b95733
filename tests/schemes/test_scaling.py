"""Scaling happens in one place: units, homogeneity, geometries that were not trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import pytest
import torch
from tests.helpers import normal
from torch import Tensor, nn

from learnedrecon.errors import ConfigError
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.cartesian_spec import Cartesian
from learnedrecon.operators.pointwise import ScaledArgument
from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.problem import InverseProblem, Problem
from learnedrecon.schemes.reconstructor import Iterative
from learnedrecon.schemes.scaling import AdjointScale, ImageScale, NoScaling, Scaling
from learnedrecon.schemes.step import Chain, Step
from learnedrecon.testing import check_reconstructor, dense_matrix
from learnedrecon.testing.steps import Sealed

SCAN = ParallelBeam((12, 10), AngleRange(15), FlatDetector(17))
WATER = 0.02


class ImageState(NamedTuple):
    image: Tensor


class ToyStep(Step[ImageState]):
    """u ← u + Γ(u, ∇D(u)) with a network that is anything but homogeneous."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Conv2d(2, 1, 3, padding=1, dtype=torch.float64)

    def forward(self, state: ImageState, problem: Problem) -> ImageState:
        seen = torch.cat([state.image, problem.gradient(state.image)], 1)
        return ImageState(state.image + self.network(seen).tanh())


@dataclass(frozen=True)
class BackProjection:
    def __call__(self, problem: Problem) -> ImageState:
        start = torch.zeros(1, 1, *problem.operator.domain.shape, dtype=torch.float64)
        return ImageState(-problem.gradient(start.expand(problem.data.shape[0], -1, -1, -1)))


def model(scaling: Scaling) -> Iterative:
    torch.manual_seed(0)
    return Iterative(Chain([ToyStep() for _ in range(3)]), BackProjection(), scaling)


def measured(scan: ParallelBeam | FanBeam = SCAN, size: float = WATER) -> InverseProblem:
    operator = RayTransform(scan, torch.float64)
    return InverseProblem(operator, operator(size * normal(2, 1, *scan.shape).abs()))


def in_centimetres(scan: ParallelBeam) -> ParallelBeam:
    detector = FlatDetector(scan.detector.pixels, scan.detector.pitch / 10)
    return replace(scan, detector=detector, pixel_size=0.1)


def close(a: Tensor, b: Tensor, tolerance: float = 1e-9) -> bool:
    return float((a - b).norm()) <= tolerance * float(b.norm())


SCALINGS = [NoScaling(), ImageScale(WATER), AdjointScale()]


@pytest.mark.parametrize("scaling", SCALINGS, ids=lambda s: type(s).__name__)
def test_toy_schemes_pass_the_kit(scaling: Scaling) -> None:
    problem: Problem = measured()
    if isinstance(scaling, NoScaling):  # unscaled, tanh is flat to the last digit
        problem, _ = ImageScale(WATER)(problem)
    report = check_reconstructor(model(scaling), problem)
    assert not report.skipped


@torch.no_grad()
def test_millimetres_to_centimetres_changes_nothing_but_the_unit() -> None:
    """The same photons: line integrals have no unit, u is per mm or per cm."""
    data = measured().data
    for in_mm, in_cm in (
        (ImageScale(WATER), ImageScale(10 * WATER)),
        (AdjointScale(), AdjointScale()),
    ):
        a = model(in_mm)(InverseProblem(RayTransform(SCAN), data)).image
        b = model(in_cm)(InverseProblem(RayTransform(in_centimetres(SCAN)), data)).image
        assert close(b, 10 * a)
    a = model(NoScaling())(InverseProblem(RayTransform(SCAN), data)).image
    b = model(NoScaling())(InverseProblem(RayTransform(in_centimetres(SCAN)), data)).image
    assert not close(b, 10 * a, tolerance=0.1)


@torch.no_grad()
@pytest.mark.parametrize("factor", [1e-3, 0.5, 7.0])
def test_with_a_scale_per_sample_more_data_give_more_image(factor: float) -> None:
    problem = measured()
    each = torch.tensor([factor, 1.0], dtype=torch.float64).reshape(2, 1, 1, 1)
    expected = each * model(AdjointScale())(problem).image
    scaled = model(AdjointScale())(replace(problem, data=each * problem.data)).image
    assert close(scaled, expected)
    rigid = model(ImageScale(WATER))
    assert not close(
        rigid(replace(problem, data=each * problem.data)).image,
        each * rigid(problem).image,
        tolerance=1e-3,
    )


@torch.no_grad()
@pytest.mark.parametrize("angles", [10, 20, 60])
@pytest.mark.parametrize("scaling", SCALINGS[1:], ids=lambda s: type(s).__name__)
def test_other_numbers_of_angles_give_images_of_the_same_size(
    scaling: Scaling, angles: int
) -> None:
    """The gradient of the first step is that of a norm-one T, whatever the angles."""
    truth = WATER * normal(1, 1, 12, 10).abs()

    def reconstruct(number: int, how: Scaling) -> Tensor:
        operator = RayTransform(replace(SCAN, angles=AngleRange(number)), torch.float64)
        image: Tensor = model(how)(InverseProblem(operator, operator(truth))).image
        return image

    expected = float(reconstruct(15, scaling).norm())
    assert float(reconstruct(angles, scaling).norm()) == pytest.approx(expected, rel=0.05)
    without = float(reconstruct(angles, NoScaling()).norm())
    assert without > 3 * expected


@pytest.mark.parametrize("scaling", SCALINGS[1:], ids=lambda s: type(s).__name__)
def test_a_scaled_linear_operator_has_norm_one(scaling: Scaling) -> None:
    problem = measured()
    scaled, c = scaling(problem)
    assert isinstance(scaled.operator, LinearOperator)
    assert scaled.operator.norm() == pytest.approx(1)
    u = normal(2, 1, 12, 10)
    norm = RayTransform(SCAN).norm()
    torch.testing.assert_close(scaled.forward(u), problem.forward(u) / norm)
    torch.testing.assert_close(scaled.data * c * norm, problem.data)
    residual = problem.forward(c * u) - problem.data
    torch.testing.assert_close((scaled.forward(u) - scaled.data) * c * norm, residual)


def test_the_given_problem_is_left_alone() -> None:
    problem = measured()
    before, operator = problem.data.clone(), problem.operator
    for scaling in SCALINGS:
        scaling(problem)
    assert torch.equal(problem.data, before)
    assert problem.operator is operator
    scaled, c = NoScaling()(problem)
    assert scaled is problem
    assert c == 1


def test_nonlinear_operators_take_the_scale_inside() -> None:
    operator = TransmissionCT(Transmission(SCAN, 1.0), torch.float64)
    u = normal(2, 1, 12, 10)
    problem = InverseProblem(operator, operator(WATER * u.abs()))
    scaled, c = ImageScale(WATER)(problem)
    assert isinstance(scaled.operator, ScaledArgument)
    assert scaled.data is problem.data
    torch.testing.assert_close(scaled.forward(u), problem.forward(c * u))
    torch.testing.assert_close(scaled.gradient(u), c * problem.gradient(c * u))
    with pytest.raises(ConfigError, match=r"ImageScale\(c\)"):
        AdjointScale()(problem)


def test_scale_per_sample_is_the_largest_of_the_adjoint() -> None:
    problem = measured()
    _, c = AdjointScale()(problem)
    assert isinstance(c, Tensor)
    norm = RayTransform(SCAN).norm()
    expected = [float(problem.adjoint(y).abs().max()) / norm**2 for y in problem.data]
    assert c.flatten().tolist() == pytest.approx(expected)
    assert c.shape == (2, 1, 1, 1)


def test_a_sample_without_signal_gets_one() -> None:
    problem = measured()
    data = problem.data.clone()
    data[1] = 0
    scaled, c = AdjointScale()(replace(problem, data=data))
    assert isinstance(c, Tensor)
    assert float(c[1]) == 1
    assert bool(scaled.data.isfinite().all())
    assert not scaled.data[1].any()


def test_gradients_flow_through_the_scale() -> None:
    problem = measured()
    y = problem.data.clone().requires_grad_()

    def image(data: Tensor) -> Tensor:
        result: Tensor = model(AdjointScale())(replace(problem, data=data)).image
        return result

    direction = normal(*y.shape, seed=3)
    (gradient,) = torch.autograd.grad(image(y).sum(), y)
    h = 1e-6
    with torch.no_grad():
        quotient = (image(y + h * direction) - image(y - h * direction)).sum() / (2 * h)
    torch.testing.assert_close((gradient * direction).sum(), quotient, rtol=1e-6, atol=0)


@pytest.mark.parametrize("c", [0.0, -1.0, math.nan, math.inf])
def test_a_scale_must_be_positive(c: float) -> None:
    with pytest.raises(ConfigError, match="image scale c > 0"):
        ImageScale(c)


def test_only_measured_problems_are_scaled() -> None:
    with pytest.raises(ConfigError, match="Sealed"):
        ImageScale(WATER)(Sealed(measured()))


def test_an_operator_that_is_zero_is_not_divided_by() -> None:
    operator = 0.0 * RayTransform(SCAN, torch.float64)
    problem = InverseProblem(operator, torch.zeros(1, 1, 15, 17, dtype=torch.float64))
    scaled, _ = ImageScale(WATER)(problem)
    assert not scaled.gradient(normal(1, 1, 12, 10)).any()


def test_iterates_are_in_the_unit_of_the_image() -> None:
    scheme = model(ImageScale(WATER))
    problem = measured()
    images = [estimate.image for estimate in scheme.iterates(problem)]
    assert len(images) == 3
    assert torch.equal(images[-1], scheme(problem).image)
    assert isinstance(scheme.scheme, Chain)
    short = scheme.with_scheme(scheme.scheme[:2])
    assert torch.equal(images[1], short(problem).image)


def sense_problem(samples: int) -> InverseProblem:
    """Maps of unequal size, and one sample five times as large as the others."""
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(samples, 1, 3, 6, 6, dtype=torch.complex128, generator=generator)
    maps = maps * torch.linspace(0.5, 1, samples, dtype=torch.float64)[(..., *[None] * 4)]
    operator = CartesianMRI(Cartesian((6, 6), coils=3), dtype=torch.complex128)
    operator = operator.with_tensors({"maps": maps})
    u = operator.domain.random(generator, (samples, 2))
    u[1] *= 5
    return InverseProblem(operator, operator(u))


@pytest.mark.parametrize("scaling", SCALINGS[1:], ids=lambda s: type(s).__name__)
def test_data_with_more_axes_than_images_are_scaled_sample_by_sample(scaling: Scaling) -> None:
    problem = sense_problem(3)
    scaled, c = scaling(problem)
    assert scaled.data.shape == problem.data.shape
    u = problem.operator.domain.random(torch.Generator().manual_seed(1), (3, 2))
    for k in range(3):
        operator = problem.operator.of_sample(k)
        assert isinstance(operator, LinearOperator)
        alone = replace(problem, operator=operator, data=problem.data[k : k + 1])
        single, own = scaling(alone)
        norm = float(torch.linalg.matrix_norm(dense_matrix(operator, leading=(1, 1)), 2))
        factor = float(torch.as_tensor(own).flatten()[0])
        every = torch.as_tensor(c, dtype=torch.float64).expand(3, 1, 1, 1)
        assert factor == pytest.approx(float(every[k]))
        expected = problem.data[k : k + 1] / (factor * norm)
        torch.testing.assert_close(scaled.data[k : k + 1], expected, rtol=1e-5, atol=0)
        torch.testing.assert_close(single.data, scaled.data[k : k + 1], rtol=1e-9, atol=0)
        there, here = scaled.gradient(u)[k : k + 1], single.gradient(u[k : k + 1])
        torch.testing.assert_close(there, here, rtol=1e-8, atol=1e-12)


def test_the_kit_takes_batches_with_geometries_of_their_own() -> None:
    angles = torch.linspace(0, 3, 15, dtype=torch.float64).repeat(2, 1, 1)
    angles[1] *= 0.6
    operator = RayTransform(SCAN, torch.float64).with_tensors({"angles": angles})
    problem = InverseProblem(operator, operator(WATER * normal(2, 1, *SCAN.shape).abs()))
    report = check_reconstructor(model(ImageScale(WATER)), problem)
    assert report.measured("a batch is a stack of singles") < 1e-10


def test_gradients_in_angles_see_the_norm() -> None:
    """Finite differences of the whole map, in which ‖T‖ changes with the angles."""
    angles = torch.linspace(0, 3, 15, dtype=torch.float64).repeat(2, 1, 1)
    plain, truth = RayTransform(SCAN, torch.float64), WATER * normal(2, 1, *SCAN.shape).abs()
    data, scheme = plain(truth), model(ImageScale(WATER))

    def loss(at: Tensor) -> Tensor:
        operator = plain.with_tensors({"angles": at})
        image: Tensor = scheme(InverseProblem(operator, data)).image
        return image.square().sum()

    leaf, direction = angles.clone().requires_grad_(), normal(*angles.shape, seed=4)
    (gradient,) = torch.autograd.grad(loss(leaf), leaf)
    h = 1e-5
    with torch.no_grad():
        quotient = (loss(angles + h * direction) - loss(angles - h * direction)) / (2 * h)
    torch.testing.assert_close((gradient * direction).sum(), quotient, rtol=1e-3, atol=0)


def test_what_is_compiled_before_it_ran_gives_the_same() -> None:
    """The norm is found outside of the traced region, whichever comes first."""
    problem = measured(replace(SCAN, pixel_size=1.37))

    def scaled(data: Tensor) -> Tensor:
        inner, _ = ImageScale(WATER)(replace(problem, data=data))
        return inner.gradient(torch.zeros(2, 1, 12, 10, dtype=torch.float64))

    compiled = torch.compile(scaled, backend="aot_eager")
    first = compiled(problem.data)
    torch.testing.assert_close(first, scaled(problem.data))
    torch.testing.assert_close(compiled(problem.data), first)

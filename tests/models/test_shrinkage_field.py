"""Cascades of shrinkage fields: every step by dense matrices, Tikhonov, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tests.helpers import Dense, complex_normal, normal, relative

from learnedrecon.errors import GeometryError, ShapeError
from learnedrecon.evaluation.scores import count_parameters
from learnedrecon.models.like import Like
from learnedrecon.models.shrinkage_field import ShrinkageField
from learnedrecon.networks.experts import Experts
from learnedrecon.networks.periodic import correlated, correlated_back
from learnedrecon.operators.imaging.blur import Blur, PointSpread
from learnedrecon.operators.imaging.shapes import Identity
from learnedrecon.operators.imaging.wavelet import Wavelet, WaveletBasis
from learnedrecon.operators.space import Space
from learnedrecon.problem import InverseProblem
from learnedrecon.solvers.normal import NormalSolver
from learnedrecon.testing import dense_matrix
from learnedrecon.testing.steps import perturb

if TYPE_CHECKING:
    from tests.in_numpy import Array

    from learnedrecon.operators.linear import LinearOperator

SHAPE = (6, 5)
KERNEL = ((0.1, 0.2, 0.0), (0.1, 0.4, 0.1), (0.0, 0.3, 0.05))
SMALL = Experts(4, 3, 9, 1.5, 0.3)


def blur() -> Blur:
    return Blur(PointSpread(SHAPE, KERNEL), torch.float64)


def perturbed(**arguments: Any) -> Any:
    torch.manual_seed(0)
    model = ShrinkageField(**arguments).double()
    perturb(model, seed=0)
    return model


def filter_matrix(kernel: Array) -> Array:
    """A correlation with periodic borders as a matrix, column by column."""
    columns = []
    for index in range(SHAPE[0] * SHAPE[1]):
        unit = np.zeros(SHAPE)
        unit.ravel()[index] = 1
        offsets = [(i, j) for i in range(3) for j in range(3)]
        parts = [kernel[i, j] * np.roll(unit, (1 - i, 1 - j), (0, 1)) for i, j in offsets]
        columns.append(np.sum(parts, axis=0).ravel())
    return np.stack(columns, 1)


def shrunk(x: Array, weights: Array) -> Array:
    """Σ_j w_j g(x/δ - j), the sum of Gaussians."""
    distance = 2 * SMALL.reach / (SMALL.nodes - 1)
    nodes = np.arange(SMALL.nodes) - (SMALL.nodes - 1) / 2
    t = x[:, None] / distance - nodes
    result: Array = (np.exp(-(t**2) / 2) / np.sqrt(2 * np.pi)) @ weights
    return result


@pytest.mark.parametrize("operator", [blur(), Identity(Space(SHAPE, torch.float64))])
def test_every_iterate_by_dense_matrices(operator: LinearOperator) -> None:
    model = perturbed(iterations=3, experts=SMALL, weight=2.0)
    y = normal(1, 1, *SHAPE, seed=1)
    t = dense_matrix(operator).numpy() / operator.norm()
    back = u = t.T @ y.numpy().ravel() / operator.norm()
    found = list(model.iterates(InverseProblem(operator, y)))
    for step, each in zip(model.scheme, found, strict=True):
        weight = float(step.log_weight.detach().exp())
        filters = [filter_matrix(k) for k in step.experts.filters().detach().numpy()[:, 0]]
        rows = step.experts.weights.detach().numpy()
        system = weight * t.T @ t + sum(f.T @ f for f in filters)
        pull = sum(f.T @ shrunk(f @ u, w) for f, w in zip(filters, rows, strict=True))
        assert np.abs(pull).max() > 0.1
        u = np.linalg.solve(system, weight * back + pull)
        np.testing.assert_allclose(each.image.detach().numpy().ravel(), u, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("shape", [(7,), (6, 5), (4, 3, 5)])
def test_without_functions_it_is_the_tikhonov_solution(shape: tuple[int, ...]) -> None:
    """By our conjugate gradients on (T, √(1/λ) f_1, ...) stacked, with T*T + λ⁻¹Σf_iᵀf_i."""
    point = torch.zeros([3] * len(shape))
    point[(1,) * len(shape)], point[(0,) * len(shape)] = 0.7, 0.3
    operator = Blur(PointSpread(shape, tuple_of(point)), torch.float64)
    like = Like.of(operator)
    model = perturbed(iterations=1, experts=Experts(2, 3, 5), weight=3.0, like=like)
    (step,) = model.scheme
    with torch.no_grad():
        step.experts.weights.zero_()
    y = normal(1, 1, *shape, seed=2)
    filters, norm = step.experts.filters().detach(), float(operator.norm())
    weight = float(step.log_weight.detach().exp())
    n = operator.domain.size
    units = torch.eye(n, dtype=torch.float64).reshape(n, 1, *shape)
    squares = correlated_back(correlated(units, filters), filters).reshape(n, n)
    t = dense_matrix(operator) / norm
    root = torch.linalg.cholesky(t.mT @ t + squares / weight)
    found = model(InverseProblem(operator, y)).image.detach()
    right = (t.mT @ (y.flatten() / norm))[None, None]
    by_cg = NormalSolver(1e-13, 500)(Dense(root.mT), right, 0.0)
    assert relative(found.flatten(), by_cg.flatten()) < 1e-8


def tuple_of(point: torch.Tensor) -> Any:
    return point.tolist()


@pytest.mark.parametrize(
    "operator",
    [blur(), 0.5 * blur(), Blur(PointSpread((8, 4), KERNEL, method="fft"), torch.complex128)],
)
def test_the_multiplier_is_the_transform_of_a_point(operator: LinearOperator) -> None:
    unit = torch.zeros(1, 1, *operator.domain.shape, dtype=operator.domain.dtype)
    unit[..., 0, 0] = 1
    found = operator.normal_multiplier(unit)
    assert found is not None
    expected = torch.fft.fftn(operator.adjoint(operator(unit)), dim=(-2, -1))[0, 0]
    torch.testing.assert_close(found.to(expected.dtype), expected, rtol=0, atol=1e-12)


def test_blurs_of_every_sample_have_multipliers_of_their_own() -> None:
    kernels = torch.rand(2, 1, 3, 3, generator=torch.Generator().manual_seed(1)).double()
    both, y = blur().with_tensors({"kernel": kernels}), normal(2, 1, *SHAPE, seed=3)
    model = perturbed(iterations=2, experts=SMALL)
    found = model(InverseProblem(both, y)).image
    for index in range(2):
        one = Blur(PointSpread(SHAPE, tuple_of(kernels[index, 0])), torch.float64)
        alone = model(InverseProblem(one, y[index : index + 1])).image
        assert relative(found[index : index + 1].detach(), alone.detach()) < 1e-10


def test_real_and_imaginary_parts_and_channels_share_filters() -> None:
    operator = Blur(PointSpread(SHAPE, KERNEL), torch.complex128)
    model = perturbed(iterations=2, experts=SMALL, like=Like.of(operator, channels=2))
    real = perturbed(iterations=2, experts=SMALL)
    y = complex_normal(1, 2, *SHAPE, seed=4)
    found = model(InverseProblem(operator, y)).image.detach()
    for channel in range(2):
        single = y[:, channel : channel + 1]
        parts = [
            real(InverseProblem(blur(), p.contiguous())).image for p in (single.real, single.imag)
        ]
        expected = torch.complex(*parts).detach()
        assert relative(found[:, channel : channel + 1], expected) < 1e-10


def test_derivatives_by_finite_differences() -> None:
    model = perturbed(iterations=2, experts=Experts(2, 3, 5, 1.5, 0.3))
    names = dict(model.named_parameters())
    operator = Blur(PointSpread((4, 3), KERNEL), torch.float64)

    def image(y: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
        given = dict(zip(names, weights, strict=True))
        at = (InverseProblem(operator, y),)
        found: torch.Tensor = torch.func.functional_call(model, given, at).image
        return found

    weights = [p.detach().clone().requires_grad_() for p in names.values()]
    assert torch.autograd.gradcheck(image, (normal(1, 1, 4, 3, seed=5).requires_grad_(), *weights))


@pytest.mark.parametrize("boundary", ["reflect", "zero", "valid"])
def test_other_borders_are_refused(boundary: Any) -> None:
    operator = Blur(PointSpread(SHAPE, KERNEL, boundary), torch.float64)
    problem = InverseProblem(operator, operator(normal(1, 1, *SHAPE)))
    with pytest.raises(GeometryError, match=r"periodic borders.*Found .*Blur.*use MoDL"):
        perturbed(iterations=1, experts=SMALL)(problem)


def test_what_is_no_convolution_is_refused() -> None:
    """An isometry is one, as T*T = I; a wavelet transform says nothing of it."""
    operator = Wavelet(WaveletBasis((8, 8), "haar", 1), torch.float64)
    with pytest.raises(GeometryError, match="periodic borders"):
        perturbed(iterations=1, experts=SMALL)(InverseProblem(operator, normal(1, 1, 8, 8)))


def test_images_smaller_than_a_filter_are_refused() -> None:
    operator = Identity(Space((2, 8), torch.float64))
    with pytest.raises(ShapeError, match=r"at least 3 pixels.*narrower"):
        perturbed(iterations=1, experts=SMALL)(InverseProblem(operator, normal(1, 1, 2, 8)))


def test_parameters() -> None:
    assert count_parameters(ShrinkageField()) == 5 * (24 * (25 + 53) + 1) == 9_365
    assert count_parameters(ShrinkageField(like=Like(3, image_complex=True))) == 9_365

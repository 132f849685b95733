"""Invertible learned primal-dual: the paper's size, its formulas, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from learnedrecon.errors import ConfigError, GeometryError
from learnedrecon.evaluation.scores import count_parameters
from learnedrecon.models.invertible_primal_dual import InvertiblePrimalDual, SplitPrimalDual
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.differentiation import BackwardName, set_backward
from learnedrecon.schemes.invertible import inversion_error
from learnedrecon.schemes.reversible import Reversible
from learnedrecon.schemes.step import Chain
from learnedrecon.testing.steps import perturb

GEOMETRY = ParallelBeam((12, 12), AngleRange(9), FlatDetector(19))
RAY = RayTransform(GEOMETRY, torch.float64)


def data(batch: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return RAY(torch.rand(batch, 1, 12, 12, generator=generator, dtype=torch.float64))


def test_the_paper_has_402600_parameters() -> None:
    assert count_parameters(InvertiblePrimalDual()) == 402_600


def test_the_split_scheme_is_as_large_as_learned_primal_dual() -> None:
    assert count_parameters(SplitPrimalDual()) == 253_220


def test_it_unrolls_the_papers_formulas() -> None:
    model = InvertiblePrimalDual(3, 6).double()
    scheme = model.scheme
    assert isinstance(scheme, Chain)
    norm, y = RAY.norm(), data()
    x, h = torch.zeros(2, 1, 12, 12).double(), torch.zeros_like(y)
    for step in scheme:
        dual, primal = (step.get_submodule(f"{name}_network") for name in ("dual", "primal"))
        h = h + dual(torch.cat([RAY(x) / norm, y / norm], 1))
        x = x + primal(RAY.adjoint(h) / norm)
    torch.testing.assert_close(model(InverseProblem(RAY, y)).image, x)


def test_the_split_scheme_unrolls_its_formulas_for_a_nonlinear_operator() -> None:
    operator = TransmissionCT(Transmission(GEOMETRY, 0.05), torch.float64)
    y = operator(0.5 * torch.ones(1, 1, 12, 12, dtype=torch.float64))
    model = SplitPrimalDual(3, 2, 2, 6).double()
    scheme = model.scheme
    assert isinstance(scheme, Chain)
    x = [torch.zeros(1, 2, 12, 12).double() for _ in range(2)]
    h = [torch.zeros(1, 2, 9, 19).double() for _ in range(2)]
    for k, step in enumerate(scheme):
        new, old = k % 2, 1 - k % 2
        dual, primal = (step.get_submodule(f"{name}_network") for name in ("dual", "primal"))
        seen = torch.cat([h[old], operator(x[0][:, :1] + x[1][:, :1]), y], 1)
        h[new] = h[new] + dual(seen)
        back = operator.linearise(x[old][:, :1])[1].adjoint(h[0][:, :1] + h[1][:, :1])
        x[new] = x[new] + primal(torch.cat([x[old], back], 1))
    expected = x[0][:, :1] + x[1][:, :1]
    torch.testing.assert_close(model(InverseProblem(operator, y)).image, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_round_trip_at_the_papers_depth(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = InvertiblePrimalDual(hidden=8).to(dtype)
    problem, _ = model.scaling(InverseProblem(RAY, data().to(dtype)))
    start = model.initial(problem)
    error = inversion_error(model.scheme, start, problem)
    assert error < (1e-5 if dtype == torch.float32 else 1e-14)


def test_one_argument_switches_the_way_back() -> None:
    gradients = []
    ways: list[BackwardName] = ["reversible", "checkpointed", "backprop"]
    for backward in ways:
        torch.manual_seed(0)
        model = SplitPrimalDual(4, 2, 2, 6).double()
        set_backward(model, backward)
        perturb(model, seed=0)
        loss = model(InverseProblem(RAY, data())).image.square().sum()
        gradients.append(torch.autograd.grad(loss, list(model.parameters())))
    for other in gradients[1:]:
        for found, expected in zip(gradients[0], other, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    scheme = InvertiblePrimalDual().scheme
    assert isinstance(scheme, Chain)
    assert scheme.backward_mode == Reversible()


def test_a_nonlinear_operator_is_refused() -> None:
    operator = TransmissionCT(Transmission(GEOMETRY, 0.05), torch.float64)
    model = InvertiblePrimalDual(2, 4).double()
    with pytest.raises(GeometryError, match="at=u"):
        model(InverseProblem(operator, data().abs()))


def test_bad_specs() -> None:
    with pytest.raises(ConfigError, match="InvertiblePrimalDualSpec as the spec"):
        InvertiblePrimalDual.from_spec(SplitPrimalDual().spec)

"""Equilibrium models once more in numpy: dense matrices, and correlations by scipy."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tests.in_numpy import IMAGE, RAY, C, T, data, gradient, network, number, scaled_data

from learnedrecon.errors import ConfigError
from learnedrecon.evaluation.certificate import certify
from learnedrecon.evaluation.scores import count_parameters
from learnedrecon.functionals.fidelities import LeastSquares
from learnedrecon.models.equilibrium import (
    EquilibriumGradient,
    FixedPointSolver,
    PotentialLayers,
)
from learnedrecon.models.equilibrium_splitting import (
    EquilibriumADMM,
    EquilibriumPrimalDual,
    EquilibriumProximal,
)
from learnedrecon.networks.bounded import NearIdentity
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.fixed_point import FixedPoint
from learnedrecon.schemes.implicit import Implicit, JacobianFree
from learnedrecon.solvers.anderson import Anderson
from learnedrecon.solvers.fixed_point import Picard
from learnedrecon.solvers.normal import NormalSolver
from learnedrecon.testing.steps import perturb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.in_numpy import Array

    from learnedrecon.schemes.reconstructor import Iterative

STEPS = 4


def proximal(step: torch.nn.Module, y: Array) -> Iterator[Array]:
    u = T.T @ y
    while True:
        u = network(step, u - 0.8 * T.T @ (T @ u - y))
        yield u


def admm(step: torch.nn.Module, y: Array) -> Iterator[Array]:
    alpha = number(step, "log_penalty")
    z, w = T.T @ y, np.zeros(IMAGE[0] * IMAGE[1])
    while True:
        x = np.linalg.solve(np.eye(len(z)) + alpha * T.T @ T, z - w + alpha * T.T @ y)
        z = network(step, x + w)
        w = w + x - z
        yield z


def primal_dual(step: torch.nn.Module, y: Array) -> Iterator[Array]:
    tau = number(step, "log_step")
    sigma = 0.5 / tau
    u, h = T.T @ y, np.zeros(len(y))
    while True:
        before, u = u, network(step, u - tau * T.T @ h)
        h = (h + sigma * (T @ (2 * u - before) - y)) / (1 + sigma)
        yield u


COMMON: dict[str, Any] = {
    "network": PotentialLayers(2, 3, 5, 0.15),
    "epsilon": 0.7,
    "image_scale": C,
}
MODELS = {
    "gradient": (
        lambda: EquilibriumGradient(**COMMON, weight=0.5),
        gradient,
    ),
    "proximal": (
        lambda: EquilibriumProximal(**COMMON, step=0.8),
        proximal,
    ),
    "admm": (
        lambda: EquilibriumADMM(**COMMON, penalty=2.0, data_step=NormalSolver(1e-13)),
        admm,
    ),
    "primal_dual": (
        lambda: EquilibriumPrimalDual(**COMMON, step=0.7, product=0.5),
        primal_dual,
    ),
}


def built(name: str) -> Iterative:
    torch.manual_seed(0)
    model = MODELS[name][0]().double()
    perturb(model, seed=0)
    return model


@pytest.mark.parametrize("name", MODELS)
def test_every_iterate_in_numpy(name: str) -> None:
    model, y = built(name), data()
    assert isinstance(model.scheme, FixedPoint)
    model.scheme = FixedPoint(model.scheme.step, Picard(0.0, STEPS))
    found = [estimate.image for estimate in model.iterates(InverseProblem(RAY, y))]
    assert len(found) == STEPS
    by_hand = MODELS[name][1](model.scheme.step, scaled_data())
    for image in found:
        expected = C * next(by_hand).reshape(1, 1, *IMAGE)
        np.testing.assert_allclose(image.detach().numpy(), expected, rtol=1e-9, atol=1e-10)


def test_only_the_gradient_scheme_is_certified_where_t_has_a_null_space() -> None:
    for name, why in {"proximal": "μ > 0", "admm": "averaged", "primal_dual": "averaged"}.items():
        assert why in certify(built(name), RAY, fidelity=LeastSquares()).reason
    assert certify(built("gradient"), RAY, fidelity=LeastSquares()).holds


def test_3553_parameters() -> None:
    assert count_parameters(EquilibriumGradient()) == 3_553


@pytest.mark.parametrize("name", MODELS)
def test_both_pieces_of_the_network_matter_to_the_iterates(name: str) -> None:
    """Or the comparison with numpy would say little: thresholds of almost 0 and of infinity."""
    at, images = InverseProblem(RAY, data()), []
    for log_threshold in (None, -30.0, 30.0):
        model = built(name)
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                if log_threshold is not None and key.endswith("log_threshold"):
                    parameter.fill_(log_threshold)
        *_, last = islice(model.iterates(at), STEPS)
        images.append(last.image)
    for other in images[1:]:
        assert float((images[0] - other).norm()) > 0.02 * float(images[0].norm())


@pytest.mark.parametrize("build", [EquilibriumProximal, EquilibriumADMM, EquilibriumPrimalDual])
def test_denoisers_begin_near_the_identity(build: Callable[[], Iterative]) -> None:
    torch.manual_seed(0)
    (near,) = (m for m in build().modules() if isinstance(m, NearIdentity))
    u = torch.rand(1, 1, 16, 16)
    assert float((near(u) - u).detach().norm()) < 0.15 * float(u.norm())


def test_tolerances_of_both_solvers() -> None:
    solver = FixedPointSolver(1e-3, 7, backward_tolerance=1e-5)
    scheme = EquilibriumGradient(solver=solver).scheme
    assert isinstance(scheme, FixedPoint)
    assert scheme.solver == Anderson(1e-3, 7)
    assert scheme.backward_mode == Implicit(Anderson(1e-3, 7), 1e-5)
    solver = replace(solver, backward="jacobian_free")
    scheme = EquilibriumGradient(solver=solver).scheme
    assert isinstance(scheme, FixedPoint)
    assert scheme.backward_mode == JacobianFree()


def test_fields_out_of_range() -> None:
    for build in (
        lambda: EquilibriumGradient(weight=0.0),
        lambda: PotentialLayers(layers=0),
        lambda: PotentialLayers(width=0),
        lambda: PotentialLayers(filters=2.5),  # type: ignore[arg-type]
        lambda: PotentialLayers(threshold=0.0),
        lambda: PotentialLayers(bound="all"),  # type: ignore[arg-type]
        lambda: EquilibriumGradient(epsilon=1.0),
        lambda: FixedPointSolver(backward_tolerance=0.0),
        lambda: EquilibriumProximal(step=-1.0),
        lambda: EquilibriumADMM(penalty=0.0),
        lambda: NormalSolver(max_iterations=0),
        lambda: NormalSolver(tolerance=1.0),
        lambda: EquilibriumPrimalDual(product=1.0),
    ):
        with pytest.raises(ConfigError, match="Expected"):
            build()
    with pytest.raises(ConfigError, match="EquilibriumADMM"):
        EquilibriumADMM.from_spec(EquilibriumProximal().spec)

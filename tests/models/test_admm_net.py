"""ADMM-Net: ADMM before training, with its minimiser; a step in numpy; filters and functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from scipy.fft import dct
from tests.in_numpy import IMAGE, RAY, C, T, data, scaled_data

from learnedrecon.errors import ConfigError
from learnedrecon.evaluation.scores import count_parameters
from learnedrecon.models.admm_net import ADMMNet
from learnedrecon.models.like import Like
from learnedrecon.networks.shrinkage import (
    Analysis,
    PiecewiseLinear,
    Synthesis,
    cosine_filters,
    soft_threshold,
)
from learnedrecon.problem import InverseProblem
from learnedrecon.solvers.normal import NormalSolver
from learnedrecon.testing.steps import perturb

if TYPE_CHECKING:
    from tests.in_numpy import Array

EXACT = NormalSolver(1e-13, 300)
SMALL: dict[str, Any] = {"iterations": 3, "data_step": EXACT, "image_scale": C, "penalty": 0.3}
THETA, RHO = 0.06, 0.3


def filtered(kernels: Array, u: Array) -> Array:
    """Correlations with periodic borders, by shifts."""
    offsets = [(i, j) for i in range(3) for j in range(3)]
    return np.stack(
        [sum(k[i, j] * np.roll(u, (1 - i, 1 - j), (0, 1)) for i, j in offsets) for k in kernels]
    )


def transposed(kernels: Array, features: Array) -> Array:
    turned = kernels[:, ::-1, ::-1]
    result: Array = sum(filtered(k[None], f)[0] for k, f in zip(turned, features, strict=True))
    return result


def solved(right: Array, penalty: float) -> Array:
    system = T.T @ T + penalty * np.eye(T.shape[1])
    return np.asarray(np.linalg.solve(system, right.ravel()), np.float64).reshape(IMAGE)


def iterates(model: Any) -> list[Array]:
    problem = InverseProblem(RAY, data())
    return [e.image.detach().numpy().reshape(IMAGE) / C for e in model.iterates(problem)]


def test_untrained_it_is_admm_with_soft_thresholding() -> None:
    basis = dct(np.eye(3), axis=0, norm="ortho")
    kernels = np.einsum("ai,bj->abij", basis, basis).reshape(9, 3, 3) / 3
    back = u = (T.T @ scaled_data()).reshape(IMAGE)
    b = np.zeros((9, *IMAGE))
    thresholds = THETA * np.r_[0, np.ones(8)][:, None, None]
    for found in iterates(ADMMNet(**SMALL, threshold=THETA).double()):
        c = filtered(kernels, u)
        z = np.sign(c + b) * np.maximum(np.abs(c + b) - thresholds, 0)
        b = b + c - z
        assert 0 < np.count_nonzero(z[1:]) < z[1:].size
        u = solved(back + RHO * transposed(kernels, z - b), RHO)
        np.testing.assert_allclose(found, u, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_its_fixed_point_is_the_minimiser() -> None:
    """T*(Tu - y) + D*p = 0 with p = ρb in the subdifferential of ρθ‖·‖₁ at Du."""
    model: Any = ADMMNet(**SMALL | {"iterations": 1}, threshold=THETA).double()
    scaled, _ = model.scaled(InverseProblem(RAY, data()))
    (step,) = model.scheme
    state = model.initial(scaled)
    for _ in range(400):
        state = step(state, scaled)
    u, b = state
    descent = scaled.gradient(u) + RHO * step.synthesis(b)
    assert float(descent.abs().max()) < 1e-5
    assert float(b[:, 0].abs().max()) < 1e-6
    assert float(b.abs().max()) < THETA * (1 + 1e-5)
    features = step.analysis(u)[:, 1:]
    assert float(features.abs().sum()) > 0.1
    expected = THETA * features.abs().sum()
    torch.testing.assert_close((b[:, 1:] * features).sum(), expected, rtol=1e-4, atol=0)


def test_every_iterate_with_other_weights() -> None:
    model: Any = ADMMNet(**SMALL, nodes=11).double()
    perturb(model, seed=0)
    back = u = (T.T @ scaled_data()).reshape(IMAGE)
    b, nodes = np.zeros((9, *IMAGE)), np.linspace(-1, 1, 11)
    for step, found in zip(model.scheme, iterates(model), strict=True):
        weights = {n: p.detach().numpy() for n, p in step.named_parameters()}
        c = filtered(weights["analysis.kernels"][:, 0], u)
        z = np.stack(
            [shrunk(nodes, v, x) for v, x in zip(weights["shrinkage.values"], c + b, strict=True)]
        )
        b = b + weights["rate"] * (c - z)
        penalty = float(np.exp(weights["log_penalty"]))
        kernels = weights["synthesis.kernels"][:, 0]
        u = solved(back + penalty * transposed(kernels, z - b), penalty)
        np.testing.assert_allclose(found, u, rtol=1e-9, atol=1e-9)


def shrunk(nodes: Array, values: Array, x: Array) -> Array:
    """Linear between the nodes, slope 1 outside."""
    result: Array = np.interp(x, nodes, values) + x - np.clip(x, -1, 1)
    return result


@pytest.mark.parametrize("space", [(5,), (4, 6), (3, 4, 5)])
def test_filters_are_a_tight_frame_and_transposes(space: tuple[int, ...]) -> None:
    axes, generator = len(space), torch.Generator().manual_seed(1)
    analysis, synthesis = Analysis(axes).double(), Synthesis(axes).double()
    u = torch.randn(2, 3, *space, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(synthesis(analysis(u)), u, rtol=1e-6, atol=1e-6)
    assert analysis(torch.ones_like(u))[:, 1 :: 3**axes].abs().max() < 1e-6
    perturb(analysis, seed=2)
    synthesis.load_state_dict(analysis.state_dict())
    features = analysis(u)
    v = torch.randn(features.shape, generator=generator, dtype=torch.float64)
    torch.testing.assert_close((features * v).sum(), (u * synthesis(v)).sum())
    assert cosine_filters(axes).shape == (3**axes, 1, *[3] * axes)


def test_piecewise_linear_functions() -> None:
    function = PiecewiseLinear(2, 5).double()
    x = torch.linspace(-2, 2, 33, dtype=torch.float64).expand(1, 4, 33).clone()
    torch.testing.assert_close(function(x), x)
    perturb(function, seed=3)
    nodes, values = np.linspace(-1, 1, 5), function.values.detach().numpy()
    found = function(x).detach().numpy()[0]
    for channel in range(4):
        expected = shrunk(nodes, values[channel % 2], x[0, channel].numpy())
        np.testing.assert_allclose(found[channel], expected, rtol=1e-12, atol=1e-12)


def test_soft_thresholding_at_a_node_is_exact() -> None:
    function = PiecewiseLinear(1, 101).double()
    with torch.no_grad():
        function.values[:] = soft_threshold(function.nodes(), 0.06)
    x = torch.linspace(-3, 3, 1001, dtype=torch.float64).expand(1, 1, 1001).clone()
    torch.testing.assert_close(function(x), soft_threshold(x, 0.06), rtol=1e-12, atol=1e-12)


def test_parameters() -> None:
    assert count_parameters(ADMMNet()) == 10_730
    assert count_parameters(ADMMNet(like=Like(3, image_complex=True))) == 10_730
    assert count_parameters(ADMMNet(1, 11, like=Like(image_axes=3))) == 27 * (2 * 27 + 11) + 2


def test_one_node_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least two nodes"):
        PiecewiseLinear(1, 1)

"""Plug-and-play: averaged by construction, its energies, its limits, and what is refused."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import torch
from tests.helpers import normal
from torch import nn

from learnedrecon.errors import ConfigError
from learnedrecon.evaluation.certificate import ContractionCertificate, certify
from learnedrecon.evaluation.certificate_attack import measured_contraction
from learnedrecon.functionals.fidelities import LeastSquares
from learnedrecon.models.equilibrium import FixedPointSolver, PotentialLayers
from learnedrecon.models.plug_and_play import (
    ConvolutionLayers,
    Denoiser,
    GradientStepDenoising,
    PlugAndPlayADMM,
    PlugAndPlayFBS,
    Residual,
)
from learnedrecon.models.plug_and_play_steps import (
    ForwardBackwardStep,
    GradientDenoiserStep,
    MultiplierStep,
)
from learnedrecon.networks.bounded import Averaged
from learnedrecon.networks.potential import PotentialNet, PotentialSpec
from learnedrecon.operators.pointwise import Diagonal
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.space import Space
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.fixed_point import FixedPoint
from learnedrecon.schemes.state import Image
from learnedrecon.solvers.normal import NormalSolver

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.operators.linear import LinearOperator

SHAPE = (7, 6)
RAY = RayTransform(ParallelBeam(SHAPE, AngleRange(4), FlatDetector(9)), torch.float64)
T = RAY / float(RAY.norm())
EXACT = NormalSolver(1e-13, 200)
CHANNELS = (1, *SHAPE)


def potential(layers: int = 1) -> PotentialNet:
    """With thresholds and biases of which no two are alike."""
    torch.manual_seed(0)
    net = PotentialNet(PotentialSpec(1, 3, 5, layers, 0.5)).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return net.requires_grad_(requires_grad=False)


def denoiser(layers: int = 1, theta: float = 0.5) -> Averaged:
    return Averaged(potential(layers), theta)


def problem(operator: LinearOperator = T, batch: int = 1) -> InverseProblem:
    data = operator(2 * normal(batch, *CHANNELS, seed=3)) + 0.1
    return InverseProblem(operator, data, solver=EXACT)


def proof(step: nn.Module, operator: LinearOperator = T, mu: float = 0.0) -> ContractionCertificate:
    return certify(FixedPoint(step), operator, fidelity=LeastSquares(), smallest=mu)  # type: ignore[arg-type]


@pytest.mark.parametrize("theta", [0.3, 0.5, 0.8])
def test_an_averaged_network_satisfies_the_inequality_of_averaged_maps(theta: float) -> None:
    """‖Du - Dv‖² ≤ ‖u - v‖² - (1 - θ)/θ ‖(u - Du) - (v - Dv)‖²."""
    network = denoiser(3, theta)
    assert network.averagedness_bound() == theta
    u, v = 2 * normal(64, *CHANNELS, seed=1), 2 * normal(64, *CHANNELS, seed=2)
    v = u + (v - u) * torch.logspace(-3, 0, 64).double()[:, None, None, None]
    moved = (network(u) - network(v)).flatten(1).square().sum(1)
    rest = (u - network(u) - v + network(v)).flatten(1).square().sum(1)
    before = (u - v).flatten(1).square().sum(1)
    assert bool((moved <= before - (1 - theta) / theta * rest + 1e-12).all())
    assert float((moved / before).min()) < 0.9


def test_a_network_that_expands_is_not_averaged() -> None:
    spec = PotentialSpec(1, 3, 5, 1, 0.3, bound="none")
    network = Averaged(PotentialNet(spec))
    with torch.no_grad():
        for layer in network.network.layers:  # type: ignore[union-attr]
            layer.filters.weight.mul_(4)
    assert network.averagedness_bound() == float("inf")
    with pytest.raises(ConfigError, match=r"theta in \(0, 1\)"):
        Averaged(PotentialNet(spec), 1.0)


def test_the_denoiser_is_the_identity_minus_the_gradient_of_its_potential() -> None:
    network, u = denoiser(), 2 * normal(3, *CHANNELS).requires_grad_()
    (slope,) = torch.autograd.grad(network.potential(u).sum(), u)
    assert float((u - slope - network(u)).detach().abs().max()) < 1e-13
    z = torch.complex(normal(2, *CHANNELS), normal(2, *CHANNELS, seed=7)).requires_grad_()
    wide = Averaged(PotentialNet(PotentialSpec(2, 3, 5, 1, 0.3)).double(), 0.4)
    (slope,) = torch.autograd.grad(wide.potential(z).sum(), z)
    assert float((z - slope - wide(z)).detach().abs().max()) < 1e-13


def test_several_layers_have_no_potential() -> None:
    with pytest.raises(ConfigError, match="3 potential layers is in general no gradient"):
        denoiser(3).potential(normal(1, *CHANNELS))
    jacobian = torch.autograd.functional.jacobian(denoiser(3), 0.3 * normal(1, *CHANNELS))
    matrix = jacobian.reshape(42, 42)
    assert float((matrix - matrix.T).abs().max()) > 1e-3


STEPS: dict[str, Any] = {
    "fbs": lambda: ForwardBackwardStep(denoiser(2), 1.8),
    "admm": lambda: MultiplierStep(denoiser(2), 3.0),
    "gradient": lambda: GradientDenoiserStep(denoiser(), 0.7, 1.9),
}


@pytest.mark.parametrize("name", STEPS)
def test_no_attack_finds_an_averaged_step_expanding(name: str) -> None:
    step = STEPS[name]().double()
    certificate = proof(step)
    assert certificate.holds
    assert certificate.factor is None
    assert certificate.averaged is not None
    assert certificate.lipschitz == 1
    given = problem()
    assert 0.7 < measured_contraction(step, given, pairs=3, ascents=25) <= 1 + 1e-9
    u, v = normal(32, *CHANNELS), normal(32, *CHANNELS, seed=9)
    batch = InverseProblem(T, given.data.expand(32, -1, -1, -1), solver=EXACT)
    first, second = (step.read(step(step.lift(x), batch)) for x in (u, v))
    theta = certificate.averaged
    rest = (u - first - v + second).flatten(1).square().sum(1)
    moved, before = ((a - b).flatten(1).square().sum(1) for a, b in ((first, second), (u, v)))
    assert bool((moved <= before - (1 - theta) / theta * rest + 1e-9).all())


@pytest.mark.parametrize("name", STEPS)
def test_a_well_posed_problem_makes_it_a_contraction(name: str) -> None:
    space = Space(SHAPE, torch.float64)
    operator = Diagonal(space, 0.6 + 0.4 * normal(*SHAPE).tanh().abs())
    step = STEPS[name]().double()
    certificate = proof(step, operator, 0.35)
    assert certificate.factor is not None
    found = measured_contraction(step, problem(operator), pairs=3, ascents=25)
    assert found <= certificate.factor < 1


def test_every_ground_is_named_and_what_is_refused() -> None:
    grounds = {g.part: g for g in proof(ForwardBackwardStep(denoiser(2), 1.8)).grounds}
    assert grounds["fixed point"].basis == "given"
    assert "Averaged, PotentialNet, PotentialLayer" in grounds["network"].statement
    text = str(proof(ForwardBackwardStep(denoiser(), 1.8)))
    assert "An averaged map of u, by proof" in text
    assert "there is one: it minimises a convex piecewise quadratic function" in text
    plain = Residual(torch.nn.Conv2d(1, 1, 3, padding=1).double())
    for step in (ForwardBackwardStep(plain), MultiplierStep(plain)):
        assert "the denoiser Residual has no bound" in proof(step).reason
    assert "outside (0, 2/L)" in proof(ForwardBackwardStep(denoiser(), 2.1)).reason
    assert "0.8-averaged, more than 0.5" in proof(MultiplierStep(denoiser(1, 0.8))).reason
    loose = proof(ForwardBackwardStep(denoiser(1, 0.8)))
    assert loose.holds
    assert {g.part: g.basis for g in loose.grounds}["fixed point"] == "given"
    assert "outside (0, 2)" in proof(GradientDenoiserStep(denoiser(), 1.0, 2.0)).reason


@pytest.mark.parametrize("product", [0.5, 1.0, 1.9])
def test_the_energy_of_the_gradient_step_does_not_increase(product: float) -> None:
    """By at least (1/τ - λ/2)‖u⁺ - u‖² in every step."""
    step, given = GradientDenoiserStep(denoiser(), 0.4, product), problem()
    state = Image(3 * normal(1, *CHANNELS, seed=5))
    for _ in range(30):
        following = step(state, given)
        fallen = step.energy(state.image, given) - step.energy(following.image, given)
        least = (1 / step.tau - 0.2) * (following.image - state.image).square().sum()
        assert float(fallen) >= float(least) - 1e-11
        state = following


def test_the_energy_of_forward_backward_splitting_does_not_increase() -> None:
    """``energy`` of u is that of the next iterate, which is in the range of D."""
    step, given = ForwardBackwardStep(denoiser(), 0.9), problem()
    state, energies = Image(3 * normal(1, *CHANNELS, seed=5)), []
    for _ in range(30):
        energies.append(float(step.energy(state.image, given)))
        state = step(state, given)
    assert all(b <= a + 1e-11 for a, b in pairwise(energies))
    assert energies[-1] < 0.8 * energies[0]


def run_to_rest(step: Any, given: InverseProblem, steps: int = 3000) -> Tensor:
    with torch.no_grad():
        state = step.begin(given.back, given)
        for _ in range(steps):
            state = step(state, given)
    image: Tensor = step.image(state)
    return image


def test_admm_and_forward_backward_splitting_have_the_same_fixed_point() -> None:
    given = problem(Diagonal(Space(SHAPE, torch.float64), 0.6 + 0.4 * normal(*SHAPE).tanh().abs()))
    one = run_to_rest(ForwardBackwardStep(denoiser(2), 0.8), given, 400)
    other = run_to_rest(MultiplierStep(denoiser(2), 0.8), given, 400)
    assert float((one - other).abs().max()) < 1e-9


def test_identity_weights_leave_gradient_descent() -> None:
    """D = Id for filters of zero: FBS is Landweber's iteration."""
    network = denoiser(2)
    for layer in network.network.layers:  # type: ignore[union-attr]
        layer.filters.weight.zero_()
    given, u = problem(), normal(1, *CHANNELS)
    found = ForwardBackwardStep(network, 0.7)(Image(u), given).image
    assert torch.allclose(found, u - 0.7 * T.adjoint(T(u) - given.data), atol=1e-14)


def test_parameter_counts() -> None:
    def count(model: nn.Module) -> int:
        return sum(p.numel() for p in model.parameters())

    assert count(Denoiser()) == count(PlugAndPlayFBS()) == count(PlugAndPlayADMM()) == 3552
    assert count(Denoiser(network=ConvolutionLayers())) == 4945
    assert count(GradientStepDenoising()) == 1632


def test_a_trained_denoiser_is_plugged_in() -> None:
    torch.manual_seed(1)
    trained, layers = Denoiser(network=PotentialLayers(2, 2, 4)), PotentialLayers(2, 2, 4)
    model = PlugAndPlayFBS(network=layers, solver=FixedPointSolver(1e-4, 5))
    before = model.step.network(torch.ones(1, 1, 5, 5))  # type: ignore[operator]
    loaded = model.load_denoiser(trained).step.network(torch.ones(1, 1, 5, 5))  # type: ignore[operator]
    assert torch.equal(loaded, trained.scheme.network(torch.ones(1, 1, 5, 5)))  # type: ignore[operator]
    assert not torch.equal(loaded, before)
    with pytest.raises(ConfigError, match="the same 'network'"):
        PlugAndPlayFBS().load_denoiser(trained)


def test_a_residual_denoiser_takes_away_what_its_network_finds() -> None:
    u = normal(2, 1, 5, 4)
    network = nn.Conv2d(1, 1, 1, bias=False).double()
    weight = float(network.weight.detach())
    torch.testing.assert_close(Residual(network)(u), (1 - weight) * u)

"""The schemes on complex images: learned gradient and primal-dual steps train on MRI."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from learnedrecon.functionals.regularisers import Dirichlet
from learnedrecon.models.learned_gradient import ImageAndMemory, LearnedGradientStep
from learnedrecon.models.learned_primal_dual import PrimalDual, PrimalDualStep
from learnedrecon.networks import AsReal, ConvNet, ConvSpec
from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.cartesian_spec import Cartesian
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.backward import Checkpointed
from learnedrecon.schemes.step import Chain, Repeat
from learnedrecon.testing import check_step

if TYPE_CHECKING:
    from learnedrecon.schemes.step import Step

SHAPE, ENCODED, MEMORY = (12, 10), (24, 10), 1


def random(*shape: int, seed: int, dtype: torch.dtype = torch.complex64) -> Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def truths(number: int) -> Tensor:
    """Smooth complex blobs, (number, 1, *SHAPE)."""
    y, x = (torch.linspace(-1, 1, n) for n in SHAPE)
    generator = torch.Generator().manual_seed(3)
    centres = torch.rand(number, 2, 1, 1, generator=generator) - 0.5
    bumps = torch.exp(-4 * ((y[:, None] - centres[:, 0]) ** 2 + (x - centres[:, 1]) ** 2))
    return (bumps * torch.exp(1j * (1 + x + y[:, None])))[:, None]


def problem_of(
    coils: int | None, dtype: torch.dtype = torch.complex64
) -> tuple[InverseProblem, Tensor]:
    """Two lines of three measured, another choice for every sample."""
    generator = torch.Generator().manual_seed(5)
    axes = (1,) if coils is None else (1, 1)
    mask = torch.rand(4, *axes, 1, SHAPE[1], generator=generator) < 0.67
    mask[..., SHAPE[1] // 2] = True
    tensors = {"mask": mask}
    if coils is not None:
        maps = random(coils, *SHAPE, seed=6, dtype=dtype)
        tensors["maps"] = maps / maps.abs().square().sum(0).sqrt()
    operator = CartesianMRI(Cartesian(SHAPE, coils, ENCODED), dtype=dtype).with_tensors(tensors)
    truth = truths(4).to(dtype)
    return InverseProblem(operator, operator(truth), regulariser=Dirichlet()), truth


def network(inputs: int, outputs: int, axes: int = 2) -> AsReal:
    kernel = (1,) * (axes - 2) + (3, 3)
    channels = (2 * inputs, 16, 2 * outputs)
    return AsReal(ConvNet(ConvSpec(channels, kernel, last_scale=0.1)))


def learned_gradient(coils: int | None) -> Step[ImageAndMemory]:  # noqa: ARG001 - what other kinds look at
    step = LearnedGradientStep(network(3 + MEMORY, 1 + MEMORY))
    return Repeat(step, 4, Checkpointed(2))


def primal_dual(coils: int | None) -> Step[PrimalDual]:
    axes = 2 if coils is None else 3
    return Chain([PrimalDualStep(network(3, 1, axes), network(3, 2)) for _ in range(3)])


def run(scheme: Step, problem: InverseProblem) -> Tensor:  # type: ignore[type-arg]
    start = problem.adjoint(problem.data)
    if isinstance(scheme, Repeat):
        state = ImageAndMemory(start, torch.zeros_like(start).expand(-1, MEMORY, -1, -1))
        return scheme(state, problem).image
    both = torch.cat([start, start], dim=1)
    return scheme(PrimalDual(both, torch.zeros_like(problem.data)), problem).primal[:, :1]


@pytest.mark.parametrize("coils", [None, 3])
@pytest.mark.parametrize("build", [learned_gradient, primal_dual])
def test_training_beats_the_zero_filled_image(build, coils: int | None) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - one of many functions
    torch.manual_seed(0)
    problem, truth = problem_of(coils)
    scheme = build(coils)
    optimiser = torch.optim.Adam(scheme.parameters(), lr=3e-3)
    zero_filled = float((problem.adjoint(problem.data) - truth).abs().square().mean())
    for _ in range(60):
        optimiser.zero_grad()
        loss = (run(scheme, problem) - truth).abs().square().mean()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.3 * zero_filled


@pytest.mark.parametrize("coils", [None, 3])
def test_ways_to_differentiate_agree_on_complex_states(coils: int | None) -> None:
    torch.manual_seed(0)
    problem, _ = problem_of(coils, torch.complex128)
    step = LearnedGradientStep(network(3 + MEMORY, 1 + MEMORY)).double()
    start = problem.adjoint(problem.data)
    state = ImageAndMemory(start, torch.zeros_like(start).expand(-1, MEMORY, -1, -1))
    check_step(Repeat(step, 3, Checkpointed(2)), state, problem)

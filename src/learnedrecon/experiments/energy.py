"""The energy that the fixed point of a scheme minimises, and its value and gradient there."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NamedTuple

import torch

from learnedrecon.errors import ConfigError, describe
from learnedrecon.evaluation.certificate import fixed_point_step
from learnedrecon.functionals.fidelities import LeastSquares
from learnedrecon.models.base import LearnedScheme
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.problem import InverseProblem, changed
from learnedrecon.schemes.energy import EnergyStep
from learnedrecon.schemes.reconstructor import Iterative

if TYPE_CHECKING:
    from torch import Tensor, nn

    from learnedrecon.operators.base import Operator
    from learnedrecon.problem import Problem

_UNKNOWN = "Its fixed point is not known to minimise an energy"


class Minimiser(NamedTuple):
    """The energy that the fixed point of a scheme minimises, or the reason why none is known.

    Attributes:
        energy: Formula of the energy J that it minimises; empty where none is known.
        reason: Reason why none is known; empty where one is.
        value: J at a fixed point, in units of the scaled problem; None where it was not computed.
        gradient: ‖∇J‖ there relative to that at zero; None where it was not computed.
    """

    energy: str
    reason: str
    value: float | None = None
    gradient: float | None = None

    def __str__(self) -> str:
        """One sentence."""
        if self.reason:
            return f"{_UNKNOWN}: {self.reason}."
        text = f"Its fixed point is the minimiser of {self.energy}"
        if self.value is None:
            return f"{text}."
        return (
            f"{text}: {self.value:.6g} for data of a random image, where the gradient is "
            f"{self.gradient:.1e} of that at 0."
        )


def energy(model: nn.Module, problem: Problem, image: Tensor | None = None) -> Tensor:
    """The energy that the fixed point of a scheme minimises.

    For ``equilibrium_gradient`` with a network of one potential layer it is ½‖Tu - y‖² + λρ(u),
    where ∇ρ = R; for gradient-step plug-and-play ½‖Tu - y‖² + λg(u), where D = Id - ∇g. T, y and u
    are those of the scaled problem: T/‖T‖, y/(c‖T‖), u/c, see
    :class:`learnedrecon.schemes.scaling.ImageScale`. It is differentiable in the image.

    Args:
        model: Scheme with a fixed point.
        problem: Batch of a linear T with the data term LeastSquares.
        image: u, (batch, channel, *domain.shape), in the unit of the model's images; the model's
            reconstruction unless given.

    Returns:
        Value of every sample, (batch,).

    Raises:
        ConfigError: The fixed point is not known to minimise an energy; the message says why.
    """
    step = fixed_point_step(model)
    if reason := _reason(step) or _other_data_term(problem):
        raise ConfigError(
            describe(
                expected="a scheme whose fixed point minimises a known energy",
                found=reason,
                fix="use a network of one potential layer, PotentialLayers(layers=1)",
            )
        )
    assert isinstance(step, EnergyStep)
    found = model(problem).image if image is None else image
    if not isinstance(model, Iterative):
        return step.energy(found, problem)
    scaled, c = model.scaled(problem)
    return step.energy(found / c, scaled)


def minimiser(model: nn.Module, operator: Operator, *, seed: int = 0) -> Minimiser | None:
    """The energy that a fixed point minimises, with its value for data of a random image.

    It is None for a scheme without a fixed point.

    Args:
        model: Scheme with a fixed point; a copy of it runs, in the precision of the operator.
        operator: T, linear.
        seed: Seed of the random image whose data are used.
    """
    step = fixed_point_step(model)
    if isinstance(step, str):
        return None
    if reason := _reason(step):
        return Minimiser("", reason)
    assert isinstance(step, EnergyStep)
    if not isinstance(operator, LinearOperator):
        return Minimiser("", f"{type(operator).__name__} is not linear")
    twin = copy.deepcopy(model).to(operator.domain.dtype.to_real())
    twin = twin.requires_grad_(requires_grad=False).eval()
    if not isinstance(twin, LearnedScheme):
        return Minimiser(step.energy_text(), "")
    size = (1, twin.like.channels)
    image = operator.domain.random(torch.Generator().manual_seed(seed), size)
    device = next((b.device for b in operator.buffers()), image.device)
    problem = InverseProblem(operator, operator((twin.image_scale or 1.0) * image.to(device)))
    with torch.no_grad():
        point = twin(problem).image
        value = energy(twin, problem, point)
    gradient, first = (_gradient(twin, problem, u) for u in (point, torch.zeros_like(point)))
    return Minimiser(
        step.energy_text(),
        "",
        float(value),
        float(gradient.norm() / first.norm().clamp_min(1e-300)),
    )


def _gradient(model: nn.Module, problem: Problem, image: Tensor) -> Tensor:
    with torch.enable_grad():
        u = image.detach().requires_grad_()
        return torch.autograd.grad(energy(model, problem, u).sum(), u)[0]


def _reason(step: object) -> str:
    """The reason why the fixed points of a step are not known to minimise an energy, or empty."""
    if isinstance(step, str):
        return step
    if not isinstance(step, EnergyStep):
        return f"{type(step).__name__} has none that is known"
    return step.no_energy()


def _other_data_term(problem: Problem) -> str:
    kinds: list[str] = []

    def seen(inner: InverseProblem) -> InverseProblem:
        kinds.append("" if type(inner.fidelity) is LeastSquares else type(inner.fidelity).__name__)
        return inner

    changed(problem, seen)
    return f"the data term {kinds[0]} in place of LeastSquares" if kinds[0] else ""

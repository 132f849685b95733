"""Schemes of a depth, differentiated in every way, and one of deepinv's."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from benchmarks.against.stand_in import deepinv
from learnedrecon.models.equilibrium import (
    EquilibriumGradient,
    FixedPointBackwardName,
    FixedPointSolver,
)
from learnedrecon.models.invertible_primal_dual import InvertiblePrimalDual, SplitPrimalDual
from learnedrecon.models.learned_primal_dual import LearnedPrimalDual
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.backward import Backprop, Backward, Checkpointed
from learnedrecon.schemes.reversible import Reversible
from learnedrecon.schemes.step import Chain

if TYPE_CHECKING:
    from learnedrecon.operators.linear import LinearOperator
    from learnedrecon.schemes.reconstructor import Iterative

ENDLESS = 1e-12  # a tolerance that no solver reaches in float32, so that all N iterations are done


@dataclass(frozen=True)
class Case:
    """A row of the table.

    Attributes:
        scheme: what is trained.
        backward: how it is differentiated.
        build: from a depth N to a model, Problem → image.
        growth: "linear", "constant", "states", or "peer", for which there is no target.
    """

    scheme: str
    backward: str
    build: Callable[[int], nn.Module]
    growth: str


class Images(nn.Module):
    """A reconstructor whose value is the image alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, problem: InverseProblem) -> Tensor:
        """(batch, 1, ny, nx)."""
        return self.model(problem).image


class DeepinvUnrolled(nn.Module):
    """Proximal gradient descent with a DnCNN of its own in every iteration, deepinv's.

    The network has our sizes, 3×3 convolutions 1-32-32-1 with ReLU. The operator is ours: its own
    Tomography holds more.
    """

    def __init__(self, depth: int) -> None:
        super().__init__()
        optim, models, unfolded = map(deepinv, ("optim", "models", "unfolded"))
        priors = [
            optim.PnP(models.DnCNN(1, 1, depth=3, nf=32, pretrained=None)) for _ in range(depth)
        ]
        self.unrolled = unfolded.unfolded_builder(
            "PGD",
            params_algo={"stepsize": [1.0] * depth, "g_param": [0.05] * depth},
            trainable_params=["stepsize"],
            data_fidelity=optim.data_fidelity.L2(),
            prior=priors,
            max_iter=depth,
        )

    def forward(self, problem: InverseProblem) -> Tensor:
        """(batch, 1, ny, nx)."""
        physics = deepinv("physics")
        operator: Any = problem.operator
        norm = operator.norm()
        scaled = physics.LinearPhysics(
            A=lambda u: operator(u) / norm,
            A_adjoint=lambda v: operator.adjoint(v) / norm,
            img_size=(1, *operator.domain.shape),
        )
        return self.unrolled(problem.data / norm, scaled)


def _lpd(every: Callable[[int], int | None]) -> Callable[[int], nn.Module]:
    def build(n: int) -> nn.Module:
        k = every(n)
        return _with(LearnedPrimalDual(n), Backprop() if k is None else Checkpointed(k))

    return build


def _split(backward: Backward) -> Callable[[int], nn.Module]:
    return lambda n: _with(SplitPrimalDual(n), backward)


def _invertible(backward: Backward) -> Callable[[int], nn.Module]:
    return lambda n: _with(InvertiblePrimalDual(n), backward)


def _with(model: Iterative, backward: Backward) -> nn.Module:
    """The images of a model that is differentiated in another way."""
    assert isinstance(model.scheme, Chain)
    model.scheme.backward_mode = backward
    return Images(model)


def _equilibrium(backward: FixedPointBackwardName) -> Callable[[int], nn.Module]:
    return lambda n: Images(
        EquilibriumGradient(solver=FixedPointSolver(ENDLESS, n, backward, ENDLESS))
    )


def root(depth: int) -> int:
    """The whole number closest to √N."""
    return round(math.sqrt(depth))


CASES: dict[str, Case] = {
    "lpd-backprop": Case("LPD", "Backprop", _lpd(lambda _: None), "linear"),
    "lpd-checkpointed-1": Case("LPD", "Checkpointed(1)", _lpd(lambda _: 1), "states"),
    "lpd-checkpointed-root": Case("LPD", "Checkpointed(√N)", _lpd(root), "states"),
    "split-backprop": Case("split LPD", "Backprop", _split(Backprop()), "linear"),
    "split-reversible": Case("split LPD", "Reversible", _split(Reversible()), "constant"),
    "invertible-reversible": Case(
        "invertible LPD", "Reversible", _invertible(Reversible()), "constant"
    ),
    "equilibrium-implicit": Case("equilibrium", "Implicit", _equilibrium("implicit"), "constant"),
    "equilibrium-jacobian-free": Case(
        "equilibrium", "JacobianFree", _equilibrium("jacobian_free"), "constant"
    ),
    "deepinv": Case("deepinv, unrolled PGD", "autograd", DeepinvUnrolled, "peer"),
}
TIMED: dict[str, Callable[[int], nn.Module]] = {
    "split LPD, Backprop": _split(Backprop()),
    "split LPD, Reversible": _split(Reversible()),
    "split LPD, Checkpointed(1)": _split(Checkpointed()),
    "invertible LPD, Backprop": _invertible(Backprop()),
    "invertible LPD, Reversible": _invertible(Reversible()),
}


def every_of(name: str, depth: int) -> int | None:
    """After how many steps a state is stored; None where it is not a matter of steps."""
    return {"lpd-checkpointed-1": 1, "lpd-checkpointed-root": root(depth)}.get(name)


class TrainingStep:
    """Forward, backward and Adam on one image, with weights, gradients and moments already there.

    Args:
        build: from a depth to a model.
        depth: N.
        operator: T; the data are T of a random image.
    """

    def __init__(
        self, build: Callable[[int], nn.Module], depth: int, operator: LinearOperator
    ) -> None:
        torch.manual_seed(0)
        self.truth = torch.rand((1, 1, *operator.domain.shape))
        with torch.no_grad():
            self.problem = InverseProblem(operator, operator(self.truth))
        operator.norm()
        self.model = build(depth)
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=1e-5)
        for parameter in self.model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        self.optimiser.step()

    def loss(self) -> Tensor:
        """The forward pass."""
        return (self.model(self.problem) - self.truth).square().mean()

    def __call__(self) -> None:
        """The whole step."""
        self.finish(self.loss())

    def finish(self, loss: Tensor) -> None:
        """The backward pass and Adam."""
        loss.backward()
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=False)

    def kept_bytes(self) -> int:
        """Weights, gradients and the two moments of Adam."""
        return 4 * sum(p.numel() * p.element_size() for p in self.model.parameters())

"""Variational networks with a learned stopping time (Effland et al., J. Math. Imaging Vis. 2020).

    u_{s+1} = u_s - T/S (Σ_k K_kᵀ ρ'_k(K_k u_s) + ∇D(u_s)),   s = 0..S-1

are S explicit Euler steps of the gradient flow of R + D up to the time T > 0, which is learned with
the filters and activations; all steps share them. For a linear operator A and data b,

    u_{s+1} = (I + T/S A*A)⁻¹ (u_s + T/S (A*b - Σ_k K_kᵀ ρ'_k(K_k u_s)))

are the semi-implicit steps of the paper, implicit in the data term, which limits T/S no longer.
With 24 filters 5×5 and 31 Gaussians each form has 1 345 parameters. For the loss J, with the
adjoint states p_s = dJ/du_s,

    dJ/dT = 1/T Σ_s ⟨p_{s+1}, u_{s+1} - u_s⟩                        explicit,
    dJ/dT = 1/T Σ_s ⟨p_{s+1}, (I + T/S A*A)⁻¹ (u_{s+1} - u_s)⟩      semi-implicit.

The linear system is solved by ``Problem.solve`` and differentiated implicitly. In this page T is
the time.

Differences from the paper: T = exp(·) is not bounded from above; filters and activations are those
of :mod:`learnedrecon.models.variational`; the operator is divided by its norm, with the image in
units of c.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from learnedrecon.models.base import LearnedScheme
from learnedrecon.models.checks import require_counts, require_positive
from learnedrecon.models.equilibrium_splitting import WithSolver
from learnedrecon.models.like import Like, LikeArgument, as_like
from learnedrecon.models.start import Start, start_of
from learnedrecon.models.variational import EXPERTS, Descent, VariationalStep
from learnedrecon.networks.experts import Experts, FieldOfExperts
from learnedrecon.schemes.step import Repeat
from learnedrecon.solvers.normal import NormalSolver

if TYPE_CHECKING:
    from learnedrecon.problem import Problem
    from learnedrecon.recorded import Record

_DATA_STEP = NormalSolver()


class FlowStep(VariationalStep):
    """The Euler step u ← u - T/S (Σ_k K_kᵀ ρ'_k(K_k u) + ∇D(u)).

    ``log_step`` is the logarithm of T, which the log shows as ``time``.

    Args:
        experts: Filters and activations on the real channels of an image.
        like: Images that the filters are made for.
        steps: Number S of steps up to the time T.
        time: Initial time T.
    """

    def __init__(self, experts: FieldOfExperts, like: Like, steps: int, time: float) -> None:
        super().__init__(experts, like)
        self.steps = steps
        nn.init.constant_(self.log_step, math.log(time))

    def size(self) -> Tensor:
        """The step size T/S."""
        return self.log_step.exp() / self.steps

    def diagnostics(self) -> dict[str, float]:
        """The stopping time T."""
        return {"time": float(self.log_step.detach().exp())}


class ImplicitFlowStep(FlowStep):
    """The step u ← (I + T/S A*A)⁻¹ (u + T/S (A*b - Σ_k K_kᵀ ρ'_k(K_k u))), for ½‖Au - b‖².

    Args:
        experts: Filters and activations on the real channels of an image.
        like: Images that the filters are made for.
        steps: Number S of steps up to the time T.
        time: Initial time T.

    Raises:
        GeometryError: In a call, A is nonlinear.
    """

    def forward(self, state: Descent, problem: Problem) -> Descent:
        u, before = state
        size = self.size()
        prior, outside = self.prior(u)
        image = problem.solve(u / size + problem.back - prior, 1 / size)
        return Descent(image, torch.maximum(before, outside))


class VariationalFlow(LearnedScheme):
    """The gradient flow of a learned energy, stopped at a learned time.

    ``Estimate.extra["outside"]`` is that of a variational network; the training log has T as
    ``step.time``. Weights are drawn from torch's default generator.

    Args:
        iterations: Number S of Euler steps, which share all weights.
        time: Initial stopping time T > 0, for an operator of norm 1.
        experts: Numbers and sizes of filters and activations.
        image_scale: Size c of a typical image value, in its unit.
        start: Initial image u⁰, see :func:`learnedrecon.models.start.start_of`.
        like: Operator whose images the filters are made for; real images with two axes unless
            given.

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(
        self,
        iterations: int = 10,
        time: float = 5.0,
        experts: Experts = EXPERTS,
        *,
        image_scale: float = 1.0,
        start: Start = "auto",
        like: LikeArgument = None,
    ) -> None:
        kind = as_like(like)
        field = FieldOfExperts(experts, kind.image_numbers, kind.image_axes)
        step = FlowStep(field, kind, iterations, time)
        super().__init__(Repeat(step, iterations), kind, start_of(start), image_scale)

    @staticmethod
    def check(spec: Record) -> None:
        require_counts(spec, {"iterations": 1})
        require_positive(spec, "time", "image_scale")


class SemiImplicitFlow(LearnedScheme):
    """The gradient flow of a learned energy with an implicit data term, stopped at a learned time.

    ``Estimate.extra["outside"]`` is that of a variational network; the training log has T as
    ``step.time``. Weights are drawn from torch's default generator.

    Args:
        iterations: Number S of semi-implicit Euler steps, which share all weights.
        time: Initial stopping time T > 0, for an operator of norm 1.
        experts: Numbers and sizes of filters and activations.
        data_step: Tolerances of the conjugate gradients of the data step.
        image_scale: Size c of a typical image value, in its unit.
        start: Initial image u⁰, see :func:`learnedrecon.models.start.start_of`.
        like: Operator whose images the filters are made for; real images with two axes unless
            given.

    Raises:
        ConfigError: An argument is out of range.
        GeometryError: In a call, the operator is nonlinear.
    """

    def __init__(
        self,
        iterations: int = 10,
        time: float = 5.0,
        experts: Experts = EXPERTS,
        *,
        data_step: NormalSolver = _DATA_STEP,
        image_scale: float = 1.0,
        start: Start = "auto",
        like: LikeArgument = None,
    ) -> None:
        kind = as_like(like)
        field = FieldOfExperts(experts, kind.image_numbers, kind.image_axes)
        scheme = Repeat(ImplicitFlowStep(field, kind, iterations, time), iterations)
        super().__init__(scheme, kind, start_of(start), image_scale, WithSolver(data_step))

    @staticmethod
    def check(spec: Record) -> None:
        require_counts(spec, {"iterations": 1})
        require_positive(spec, "time", "image_scale")

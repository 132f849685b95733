"""Variational networks (Chen, Ranftl, Pock 2014; Kobler et al. 2017; Hammernik et al. 2018).

    u ← u - λ_t (Σ_k K_kᵀ ρ'_k(K_k u) + ∇D(u)),   ∇D(u) = T*(Tu - y),   t = 1..N

K_k are filters of zero mean in the unit ball and ρ'_k sums of Gaussians, own ones in every step,
λ_t > 0. With T the identity it is a denoiser; complex images have filters with a real and an
imaginary part, K u = K_re Re u + K_im Im u. Numbers of parameters with 31 Gaussians per activation:

    6 720      5 steps, 24 filters 5×5, without the five λ_t
    19 200     5 steps, 48 filters 7×7, without the five λ_t
    131 050    10 steps, 48 filters 11×11 on complex images, with the ten λ_t

A step is λ_t times the gradient of R_t(u) + D(u), and R_t has a closed form by erf.

Differences from the papers: filters are parametrised rather than projected; the sum over filters is
divided by their number (in Hammernik et al. too); λ_t = exp(·) multiplies both terms; the
transposed filters fold the symmetric border back, so that the force is a gradient at the border,
where the code of Hammernik et al. crops; T/‖T‖ and y/(c‖T‖) with the image in units of c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import torch
from torch import Tensor, nn

from learnedrecon.models.base import LearnedScheme
from learnedrecon.models.checks import require_counts, require_positive
from learnedrecon.models.like import Like, LikeArgument, as_like
from learnedrecon.models.start import Start, start_of
from learnedrecon.networks.experts import Experts, FieldOfExperts, Force
from learnedrecon.schemes.step import Chain, Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from learnedrecon.problem import Problem
    from learnedrecon.recorded import Record

EXPERTS: Final = Experts()


class Descent(NamedTuple):
    """The state of a variational network.

    Attributes:
        image: u, (batch, channel, *domain.shape).
        outside: Largest fraction so far of filter responses outside the nodes of their
            activations, where these are zero, (batch,).
    """

    image: Tensor
    outside: Tensor


class VariationalStep(Step[Descent]):
    """The step u ← u - λ(Σ_k K_kᵀ ρ'_k(K_k u) + ∇D(u)).

    Args:
        experts: Filters and activations on the real channels of an image.
        like: Images that the filters are made for.
    """

    def __init__(self, experts: FieldOfExperts, like: Like) -> None:
        super().__init__()
        self.experts = experts
        self.like = like
        self.log_step = nn.Parameter(torch.zeros(()))

    def begin(self, image: Tensor, problem: Problem) -> Descent:  # noqa: ARG002 - what other classes look at
        return Descent(image, image.new_zeros(len(image), dtype=self.log_step.dtype))

    def extra(self, state: Descent) -> Mapping[str, Tensor]:
        return {"outside": state.outside}

    def forward(self, state: Descent, problem: Problem) -> Descent:
        u, before = state
        prior, outside = self.prior(u)
        force = prior + problem.gradient(u)
        return Descent(u - self.size() * force, torch.maximum(before, outside))

    def prior(self, u: Tensor) -> Force:
        """The learned force ∇R(u), and the fraction of responses outside the nodes, (batch,)."""
        gradient, outside = self.experts(self.like.to_channels(u))
        batch = (len(u), *u.shape[2 : 2 + self.like.image_folded])
        image = self.like.from_channels(gradient, batch)
        return Force(image, outside.reshape(len(u), -1).mean(1))

    def size(self) -> Tensor:
        """The step size λ."""
        return self.log_step.exp()

    def energy(self, u: Tensor) -> Tensor:
        """R(u) = Σ_k Σ_x ρ_k(K_k u)(x), (batch,), the gradient of which is the learned force.

        Args:
            u: Image in units of c, (batch, channel, *domain.shape).
        """
        return self.experts.energy(self.like.to_channels(u)).reshape(len(u), -1).sum(1)


class VariationalNetwork(LearnedScheme):
    """A variational network: unrolled gradient descent on learned energies.

    ``Estimate.extra["outside"]`` and the validation log have the largest fraction of filter
    responses that are outside the nodes: there an activation is zero and does not learn. If it is
    not near 0, increase ``experts.reach`` or ``image_scale``. Weights are drawn from torch's
    default generator.

    Args:
        iterations: Number of steps, each with its own filters, activations and λ.
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
        iterations: int = 5,
        experts: Experts = EXPERTS,
        *,
        image_scale: float = 1.0,
        start: Start = "auto",
        like: LikeArgument = None,
    ) -> None:
        kind = as_like(like)
        steps = [variational_step(kind, experts) for _ in range(iterations)]
        super().__init__(Chain(steps), kind, start_of(start), image_scale)

    @staticmethod
    def check(spec: Record) -> None:
        require_counts(spec, {"iterations": 1})
        require_positive(spec, "image_scale")

    def diagnostics(self, problem: Problem | None = None) -> dict[str, float]:
        """The largest fraction of filter responses outside the nodes, of a given problem."""
        found = super().diagnostics(problem)
        if problem is not None:
            with torch.no_grad():
                found["outside"] = float(self(problem).extra["outside"].max())
        return found


def variational_step(like: Like, experts: Experts) -> VariationalStep:
    """A step of a variational network with new weights.

    Args:
        like: Images that the filters are made for.
        experts: Numbers and sizes of filters and activations.
    """
    field = FieldOfExperts(experts, like.image_numbers, like.image_axes)
    return VariationalStep(field, like)

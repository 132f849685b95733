"""Deep equilibria of splitting methods (after Gilton, Ongie, Willett, IEEE TCI 7, 2021).

DE-Prox:  u = R(u - ηT*(Tu - y))
DE-ADMM:  x = (I + αT*T)⁻¹(z - w + αT*y),  z = R(x + w),  w = w + x - z;  the image is z
DE-PDHG:  u⁺ = R(u - τT*h),  h⁺ = (h + σ(T(2u⁺ - u) - y))/(1 + σ);  the image is u

with R(u) = u - ε(u - P(u))/2 and the 1-Lipschitz network of ``equilibrium_gradient`` as P: a
denoiser that is initially near the identity. For η = α = τ all three have the same fixed points.
The first two have a certificate if T*T ≥ μ > 0 and ε is small enough; the last has none. Where T
has a null space none of them has one, unlike ``equilibrium_gradient``.

Differences from the paper: as in ``equilibrium_gradient``; α and τ are trained; the data step of
ADMM is that of `Problem.solve` for every T; DE-PDHG is not in the paper.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from learnedrecon.errors import ConfigError, describe
from learnedrecon.models.base import LearnedScheme
from learnedrecon.models.checks import require_below_one, require_positive
from learnedrecon.models.equilibrium import (
    LAYERS,
    SOLVER,
    FixedPointSolver,
    PotentialLayers,
    ProximalEquilibrium,
    denoiser,
)
from learnedrecon.models.learned_primal_dual import PrimalDual, begin_with
from learnedrecon.models.like import LikeArgument, as_like
from learnedrecon.models.start import AdjointImage
from learnedrecon.problem import changed
from learnedrecon.schemes.contraction import (
    ROUNDING,
    AnalysedStep,
    CertifiedStep,
    Contraction,
    require_positive_number,
    unbounded,
)
from learnedrecon.solvers.normal import NormalSolver

if TYPE_CHECKING:
    from learnedrecon.networks.bounded import NearIdentity
    from learnedrecon.problem import Problem
    from learnedrecon.recorded import Record


class ImageAndMultiplier(NamedTuple):
    """The state of ADMM: the image and the scaled dual variable.

    Attributes:
        image: z, (batch, channel, *domain.shape).
        multiplier: w, the scaled dual variable, of the same shape.
    """

    image: Tensor
    multiplier: Tensor


class AdmmEquilibrium(CertifiedStep[ImageAndMultiplier]):
    """The step x = (I + αT*T)⁻¹(z - w + αT*y); z ← R(x + w); w ← w + x - z, 'DE-ADMM'.

    Gilton, Ongie, Willett, IEEE TCI 7, 2021; R takes the place of the proximal map. The data step
    is (T*T + I/α)⁻¹(T*y + (z - w)/α), by :meth:`learnedrecon.problem.Problem.solve`: in closed form
    where T has one, else by conjugate gradients. T is linear.

    Fixed points have x = z and w = -αT*(Tz - y), so that z = R(z - αT*(Tz - y)): they are those of
    :class:`ProximalEquilibrium` with η = α.

    Contraction (the map is Douglas and Rachford's; Ryu et al., ICML 2019, prove a sharper factor):
    let v = x + w, P(a) = (I + αT*T)⁻¹(a + αT*y), M = (I + αT*T)⁻¹ and R = Id + N, N ε-Lipschitz.
    After a step z + w = v and z - w = 2R(v) - v = v + 2N(v), so that the next v is
    P(v + 2N(v)) - N(v), and two of them differ by M(v - v') + (2M - I)(N(v) - N(v')). The
    eigenvalues of M lie between 1/(1 + αL) and 1/(1 + αμ), those of 2M - I between
    (1 - αL)/(1 + αL) and (1 - αμ)/(1 + αμ), hence

        γ = 1/(1 + αμ) + ε·max(|1 - αμ|/(1 + αμ), |1 - αL|/(1 + αL)),

    below 1 only if μ > 0. The norm of αMT* is at most √α/2, and z = R(v), hence the sensitivity
    (1 + ε)√α/2. The proof is for data steps that are solved exactly.

    Args:
        network: Network R, with R - Id ε-Lipschitz.
        penalty: α > 0, trained as log α.

    Raises:
        ConfigError: α is not positive.
        GeometryError: In a call, T is nonlinear.
    """

    def __init__(self, network: NearIdentity, penalty: float = 1.0) -> None:
        super().__init__()
        require_positive_number("penalty", penalty)
        self.network = network
        self.log_penalty = nn.Parameter(torch.tensor(math.log(penalty)))

    def begin(self, image: Tensor, problem: Problem) -> ImageAndMultiplier:  # noqa: ARG002 - what other classes look at
        return ImageAndMultiplier(image, torch.zeros_like(image))

    def forward(self, state: ImageAndMultiplier, problem: Problem) -> ImageAndMultiplier:
        z, w = state
        inverse = (-self.log_penalty).exp()
        sum_of_both = problem.solve(problem.back + inverse * (z - w), inverse) + w
        image = self.network(sum_of_both)
        return ImageAndMultiplier(image, sum_of_both - image)

    def lift(self, variable: Tensor) -> ImageAndMultiplier:
        image = self.network(variable)
        return ImageAndMultiplier(image, variable - image)

    def read(self, state: ImageAndMultiplier) -> Tensor:
        return state.image + state.multiplier

    def contraction(self, largest: float, smallest: float) -> Contraction:
        epsilon = self.network.deviation_bound()
        penalty = float(self.log_penalty.detach().exp())
        ends = [penalty * smallest, penalty * largest]
        reflected = max(abs(1 - t) / (1 + t) for t in ends)
        factor = 1 / (1 + ends[0]) + epsilon * reflected + 2 * ROUNDING
        reason = unbounded(epsilon)
        if not factor < 1:
            reason = reason or (
                f"1/(1 + αμ) + ε·‖2(I + αT*T)⁻¹ - I‖ is at most {factor:.4g} with "
                f"μ = {smallest:.4g}; with μ = 0 a step of ADMM is averaged at best, so it needs a "
                "larger μ or a smaller ε"
            )
        sensitivity = (1 + epsilon) * math.sqrt(penalty) / 2 * (1 + ROUNDING)
        return Contraction(epsilon, penalty, factor, sensitivity, reason, variable="x + w")


class PrimalDualEquilibrium(AnalysedStep[PrimalDual]):
    """The step u⁺ = R(u - τT*h); h⁺ = (h + σ(T(2u⁺ - u) - y))/(1 + σ), 'DE-PDHG'.

    The primal-dual hybrid gradient method (Chambolle, Pock 2011) for the data term ½‖Tu - y‖², with
    R in the place of the proximal map of the primal variable. σ = p/τ with p < 1, so that τσ‖T‖² <
    1 where ‖T‖ ≤ 1 (see :class:`Scaling`). T is linear. Fixed points have h = Tu - y and
    u = R(u - τT*(Tu - y)): they are those of :class:`ProximalEquilibrium` with η = τ.

    There is no certificate: with a proximal map in the place of R, a step is averaged in the norm
    of ((1/τ, -T*), (-T, 1/σ)) (He, Yuan 2012), which is no contraction, and R near the identity
    need not be a proximal map.

    Args:
        network: Network R, with R - Id ε-Lipschitz.
        step: Step size τ > 0, trained as log τ.
        product: p = τσ in (0, 1).

    Raises:
        ConfigError: τ or p is out of range.
        GeometryError: In a call, T is nonlinear.
    """

    def __init__(self, network: NearIdentity, step: float = 0.95, product: float = 0.9) -> None:
        super().__init__()
        require_positive_number("step", step)
        if not 0 < product < 1:
            raise ConfigError(
                describe(
                    expected="a product τσ of the step sizes in (0, 1)",
                    found=str(product),
                    fix="use 0.9 for an operator of norm 1",
                )
            )
        self.network = network
        self.log_step = nn.Parameter(torch.tensor(math.log(step)))
        self.product = product

    def begin(self, image: Tensor, problem: Problem) -> PrimalDual:
        return begin_with(image, problem, 1, 1)

    def image(self, state: PrimalDual) -> Tensor:
        return state.primal

    def forward(self, state: PrimalDual, problem: Problem) -> PrimalDual:
        u, h = state
        tau = self.log_step.exp()
        sigma = self.product / tau
        image = self.network(u - tau * problem.adjoint(h))
        ahead = problem.forward(2 * image - u) - problem.data
        return PrimalDual(image, (h + sigma * ahead) / (1 + sigma))

    def contraction(self, largest: float, smallest: float) -> Contraction:  # noqa: ARG002 - what other classes look at
        reason = "a step of PDHG is averaged at best, and only with a proximal map in place of R"
        if not self.product * largest < 1:
            reason = f"τσ‖T‖² ≤ {self.product * largest:.4g} is not below 1, and {reason}"
        epsilon = self.network.deviation_bound()
        step = float(self.log_step.detach().exp())
        return Contraction(epsilon, step, math.inf, math.inf, unbounded(epsilon) or reason)


class EquilibriumProximal(LearnedScheme):
    """DE-Prox: the fixed point of a proximal gradient step with a learned denoiser.

    Weights are drawn from torch's default generator.

    Args:
        step: Step size η > 0, for an operator of norm 1.
        epsilon: ε in (0, 1): with a smaller ε the iteration is faster and R weaker.
        network: Architecture of the network P.
        solver: Tolerances of the fixed point and of its derivative.
        image_scale: Size c of a typical image value, in its unit.
        like: Operator whose images the network is built for; real images with two axes unless
            given.

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(
        self,
        step: float = 0.95,
        epsilon: float = 0.999,
        *,
        network: PotentialLayers = LAYERS,
        solver: FixedPointSolver = SOLVER,
        image_scale: float = 1.0,
        like: LikeArgument = None,
    ) -> None:
        kind = as_like(like)
        scheme = solver(ProximalEquilibrium(denoiser(network, epsilon, kind), step))
        super().__init__(scheme, kind, AdjointImage(), image_scale)

    @staticmethod
    def check(spec: Record) -> None:
        require_positive(spec, "step", "image_scale")
        require_below_one(spec, "epsilon")


@dataclass(frozen=True)
class WithSolver:
    """Function from a problem to the same problem with another solver of its normal equations.

    Attributes:
        solver: Solver of :meth:`learnedrecon.problem.Problem.solve`.
    """

    solver: NormalSolver

    def __call__(self, problem: Problem) -> Problem:
        return changed(problem, lambda inner: replace(inner, solver=self.solver))


DATA_STEP = NormalSolver()


class EquilibriumADMM(LearnedScheme):
    """DE-ADMM: the fixed point of an ADMM step with a learned denoiser.

    Weights are drawn from torch's default generator.

    Args:
        penalty: Initial α > 0.
        epsilon: ε in (0, 1): with a smaller ε the iteration is faster and R weaker.
        network: Architecture of the network P.
        solver: Tolerances of the fixed point and of its derivative.
        data_step: Tolerances of the conjugate gradients of the data step.
        image_scale: Size c of a typical image value, in its unit.
        like: Operator whose images the network is built for; real images with two axes unless
            given.

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(
        self,
        penalty: float = 1.0,
        epsilon: float = 0.999,
        *,
        network: PotentialLayers = LAYERS,
        solver: FixedPointSolver = SOLVER,
        data_step: NormalSolver = DATA_STEP,
        image_scale: float = 1.0,
        like: LikeArgument = None,
    ) -> None:
        kind = as_like(like)
        scheme = solver(AdmmEquilibrium(denoiser(network, epsilon, kind), penalty))
        super().__init__(scheme, kind, AdjointImage(), image_scale, WithSolver(data_step))

    @staticmethod
    def check(spec: Record) -> None:
        require_positive(spec, "penalty", "image_scale")
        require_below_one(spec, "epsilon")


class EquilibriumPrimalDual(LearnedScheme):
    """DE-PDHG: the fixed point of a primal-dual step with a learned denoiser.

    Weights are drawn from torch's default generator.

    Args:
        step: Initial step size τ > 0, for an operator of norm 1.
        product: Product τσ of both step sizes, in (0, 1).
        epsilon: ε in (0, 1): with a smaller ε the iteration is faster and R weaker.
        network: Architecture of the network P.
        solver: Tolerances of the fixed point and of its derivative.
        image_scale: Size c of a typical image value, in its unit.
        like: Operator whose images the network is built for; real images with two axes unless
            given.

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(
        self,
        step: float = 0.95,
        product: float = 0.9,
        epsilon: float = 0.999,
        *,
        network: PotentialLayers = LAYERS,
        solver: FixedPointSolver = SOLVER,
        image_scale: float = 1.0,
        like: LikeArgument = None,
    ) -> None:
        kind = as_like(like)
        scheme = solver(PrimalDualEquilibrium(denoiser(network, epsilon, kind), step, product))
        super().__init__(scheme, kind, AdjointImage(), image_scale)

    @staticmethod
    def check(spec: Record) -> None:
        require_positive(spec, "step", "image_scale")
        require_below_one(spec, "epsilon", "product")

"""Deep equilibria of splitting methods (after Gilton, Ongie, Willett, IEEE TCI 7, 2021).

DE-Prox:  u = R(u - ηT*(Tu - y))
DE-ADMM:  x = (I + αT*T)⁻¹(z - w + αT*y),  z = R(x + w),  w = w + x - z;  the image is z
DE-PDHG:  u⁺ = R(u - τT*h),  h⁺ = (h + σ(T(2u⁺ - u) - y))/(1 + σ);  the image is u

with R(u) = u - ε(u - P(u))/2 and the 1-Lipschitz network of ``equilibrium_gradient`` as P: a
denoiser that begins near the identity. For η = α = τ all three have the same fixed points. The
first two have a certificate if T*T ≥ μ > 0 and ε is small enough, the last has none; none of them
has one where T has a null space, unlike ``equilibrium_gradient``.

Differences from the paper: as in ``equilibrium_gradient``; α and τ are trained; the data step of
ADMM is solved by conjugate gradients for every T; DE-PDHG is not in the paper.
"""

from __future__ import annotations

from dataclasses import dataclass

from learnedrecon.models.checks import (
    require_below_one,
    require_counts,
    require_positive,
    require_spec,
)
from learnedrecon.models.equilibrium import EquilibriumSpec
from learnedrecon.models.initial import (
    AdjointImage,
    FirstPrimal,
    ImageAlone,
    MultiplierStart,
    PrimalDualStart,
    TheImage,
)
from learnedrecon.schemes.contraction import ProximalEquilibrium
from learnedrecon.schemes.equilibrium_splitting import AdmmEquilibrium, PrimalDualEquilibrium
from learnedrecon.schemes.reconstructor import Iterative
from learnedrecon.schemes.scaling import ImageScale


@dataclass(frozen=True)
class EquilibriumProximal(EquilibriumSpec):
    """The configuration of DE-Prox.

    Attributes:
        step: η > 0, for an operator of norm 1.

    Raises:
        ConfigError: a field is out of range.
    """

    step: float = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "step")


def equilibrium_proximal(spec: EquilibriumProximal | None = None) -> Iterative:
    """Builds DE-Prox; weights are drawn from torch's default generator.

    Args:
        spec: the configuration, all of it default unless given.

    Raises:
        ConfigError: another kind of spec.
    """
    spec = require_spec(EquilibriumProximal() if spec is None else spec, EquilibriumProximal)
    return Iterative(
        initial=ImageAlone(AdjointImage()),
        scheme=spec.fixed_point(ProximalEquilibrium(spec.denoiser(), spec.step)),
        readout=TheImage(),
        scaling=ImageScale(spec.image_scale),
    )


@dataclass(frozen=True)
class EquilibriumADMM(EquilibriumSpec):
    """The configuration of DE-ADMM.

    Attributes:
        penalty: α > 0 at the start of training.
        data_tolerance: of the data step, relative.
        data_iterations: of conjugate gradients in a data step, at most.

    Raises:
        ConfigError: a field is out of range.
    """

    penalty: float = 1.0
    data_tolerance: float = 1e-5
    data_iterations: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "penalty")
        require_below_one(self, "data_tolerance")
        require_counts(self, {"data_iterations": 1})


def equilibrium_admm(spec: EquilibriumADMM | None = None) -> Iterative:
    """Builds DE-ADMM; weights are drawn from torch's default generator.

    Args:
        spec: the configuration, all of it default unless given.

    Raises:
        ConfigError: another kind of spec.
    """
    spec = require_spec(EquilibriumADMM() if spec is None else spec, EquilibriumADMM)
    step = AdmmEquilibrium(
        spec.denoiser(),
        spec.penalty,
        tolerance=spec.data_tolerance,
        max_iterations=spec.data_iterations,
    )
    return Iterative(
        initial=MultiplierStart(AdjointImage()),
        scheme=spec.fixed_point(step),
        readout=TheImage(),
        scaling=ImageScale(spec.image_scale),
    )


@dataclass(frozen=True)
class EquilibriumPrimalDual(EquilibriumSpec):
    """The configuration of DE-PDHG.

    Attributes:
        step: τ > 0 at the start of training, for an operator of norm 1.
        product: τσ in (0, 1).

    Raises:
        ConfigError: a field is out of range.
    """

    step: float = 0.95
    product: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "step")
        require_below_one(self, "product")


def equilibrium_primal_dual(spec: EquilibriumPrimalDual | None = None) -> Iterative:
    """Builds DE-PDHG; weights are drawn from torch's default generator.

    Args:
        spec: the configuration, all of it default unless given.

    Raises:
        ConfigError: another kind of spec.
    """
    spec = require_spec(EquilibriumPrimalDual() if spec is None else spec, EquilibriumPrimalDual)
    return Iterative(
        initial=PrimalDualStart(1, 1, AdjointImage()),
        scheme=spec.fixed_point(PrimalDualEquilibrium(spec.denoiser(), spec.step, spec.product)),
        readout=FirstPrimal(),
        scaling=ImageScale(spec.image_scale),
    )

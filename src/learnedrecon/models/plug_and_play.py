"""Plug-and-play with a trained denoiser D in the place of a proximal map (Venkatakrishnan 2013).

FBS:            u = D(u - ηT*(Tu - y))
ADMM:           x = (I + αT*T)⁻¹(z - w + αT*y),  z = D(x + w),  w = w + x - z;  the image is z
gradient step:  u = (I + τT*T)⁻¹(u - τλ(u - D(u)) + τT*y)     (Hurault, Leclaire, Papadakis 2022)

D is trained before on noise (:class:`Denoiser`, T = I), and not for T. The first denoiser,
``PotentialLayers``, is D = (Id + P)/2 with the 1-Lipschitz network P of ``equilibrium_gradient``:
firmly non-expansive by construction. Then a step of FBS is averaged for η < 2/‖T‖², one of ADMM for
every α, and iterates converge if there is a fixed point (Ryu et al., ICML 2019; Hertrich, Neumayer,
Steidl 2021): 'learnedrecon certify' prints what the proof rests on. With one layer
D = Id - ∇g for a convex g, FBS and ADMM minimise an energy, and the gradient step minimises
½‖Tu - y‖² + λg(u), which does not increase for τλ < 2. ``ConvolutionLayers`` is D = Id - N with
plain convolutions N, without any bound: nothing is certified. The image scale c scales the
denoiser: c·D(·/c) removes c times the noise of its training (Xu et al., IEEE SPL 27, 2020).

Parameters of D: 3 layers of width 8 with 16 filters, 3 552; one layer of 32 filters 7×7, 1 632; 4
convolutions 1-16-16-16-1, 4 945.

Differences from the papers: small networks in place of DnCNN and DRUNet; D has no input for the
noise level; g is a convex ridge function and not ½‖u - N(u)‖², with a constant step size in place
of backtracking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from torch import nn

from learnedrecon.errors import ConfigError, describe
from learnedrecon.models.base import LearnedScheme
from learnedrecon.models.checks import require_counts, require_positive
from learnedrecon.models.equilibrium import SOLVER, FixedPointSolver, PotentialLayers
from learnedrecon.models.equilibrium_splitting import DATA_STEP, WithSolver
from learnedrecon.models.like import Like, LikeArgument, as_like
from learnedrecon.models.plug_and_play_steps import (
    DenoiserStep,
    ForwardBackwardStep,
    GradientDenoiserStep,
    MultiplierStep,
)
from learnedrecon.models.start import AdjointImage
from learnedrecon.networks.bounded import Averaged
from learnedrecon.networks.conv import Convolutions
from learnedrecon.solvers.normal import NormalSolver  # noqa: TC001 - recorded by its annotation

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from learnedrecon.problem import Problem
    from learnedrecon.recorded import Record
    from learnedrecon.schemes.step import Step


class Residual(nn.Module):
    """D(u) = u - N(u), without a bound of its Lipschitz constant.

    Args:
        network: Network N.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, u: Tensor) -> Tensor:
        noise: Tensor = self.network(u).to(u.dtype)
        return u - noise


@dataclass(frozen=True)
class ConvolutionLayers:
    """A denoiser of plain convolutions, ReLU between them; initially near the identity.

    Attributes:
        convolutions: Number of convolutions, 3×3, at least 2.
        hidden: Number of channels between them.

    Raises:
        ConfigError: A field is out of range.
    """

    convolutions: int = 4
    hidden: int = 16

    def __post_init__(self) -> None:
        require_counts(self, {"convolutions": 2, "hidden": 1})


DenoiserLayers: TypeAlias = PotentialLayers | ConvolutionLayers
LAYERS = PotentialLayers(3, 8, 16, 0.1)
RIDGE = PotentialLayers(1, 1, 32, 0.02, kernel=7)


def denoiser_network(layers: DenoiserLayers, like: Like) -> nn.Module:
    """A denoiser D with new weights, initially near the identity.

    Args:
        layers: Architecture: averaged by construction, or plain convolutions.
        like: Images that the network is built for.

    Raises:
        ConfigError: A network with a bound cannot be built for these images.
    """
    if isinstance(layers, PotentialLayers):
        return Averaged(layers.network(like))
    build = Convolutions((layers.hidden,) * (layers.convolutions - 1), last_scale=0.1)
    return Residual(like.on_images(build, 1, 1))


class Denoiser(LearnedScheme):
    """A denoiser u = D(T*y), for T = I: it is what plug-and-play takes, trained on noise.

    Weights are drawn from torch's default generator.

    Args:
        network: Architecture of D.
        image_scale: Size c of a typical image value, in its unit.
        like: Operator whose images D is built for; real images with two axes unless given.

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(
        self,
        *,
        network: DenoiserLayers = LAYERS,
        image_scale: float = 1.0,
        like: LikeArgument = None,
    ) -> None:
        kind = as_like(like)
        step = DenoiserStep(denoiser_network(network, kind))
        super().__init__(step, kind, AdjointImage(), image_scale)

    @staticmethod
    def check(spec: Record) -> None:
        require_positive(spec, "image_scale")


class PlugAndPlay(LearnedScheme, recorded=False):
    """Base class of plug-and-play methods: the fixed point of a step with a denoiser.

    Args:
        step: Step, whose ``network`` is D.
        solver: Tolerances of the fixed point, which is found by plain iteration.
        like: Images that D is built for.
        image_scale: Size c of a typical image value, in its unit.
        prepare: Function Problem → problem, applied before everything else.
    """

    def __init__(
        self,
        step: Step[Any],
        solver: FixedPointSolver,
        like: Like,
        image_scale: float,
        prepare: Callable[[Problem], Problem] | None = None,
    ) -> None:
        super().__init__(solver.picard(step), like, AdjointImage(), image_scale, prepare)
        self.step = step

    def load_denoiser(self, denoiser: Denoiser) -> Self:
        """The same method with the weights of a trained denoiser, which are copied.

        Args:
            denoiser: Denoiser of the same architecture.

        Raises:
            ConfigError: The architectures differ.
        """
        theirs, own = denoiser.scheme.network, self.step.network
        assert isinstance(theirs, nn.Module)
        assert isinstance(own, nn.Module)
        weights = theirs.state_dict()
        if _shapes(own) != _shapes(theirs):
            raise ConfigError(
                describe(
                    expected=f"a denoiser of the network {self.spec.network}",
                    found=f"{denoiser.spec.network}",
                    fix="give both methods the same 'network' and images of the same kind",
                )
            )
        own.load_state_dict(weights)
        return self


def _shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


class PlugAndPlayFBS(PlugAndPlay):
    """Plug-and-play forward-backward splitting, certified for an averaged denoiser.

    Weights are drawn from torch's default generator; see :meth:`PlugAndPlay.load_denoiser`.

    Args:
        step: Step size η in (0, 2), for an operator of norm 1; larger ones denoise less often.
        network: Architecture of D.
        solver: Tolerances of the fixed point and of its derivative.
        image_scale: Size c of a typical image value; with a larger one D denoises more.
        like: Operator whose images D is built for; real images with two axes unless given.

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(
        self,
        step: float = 1.0,
        *,
        network: DenoiserLayers = LAYERS,
        solver: FixedPointSolver = SOLVER,
        image_scale: float = 1.0,
        like: LikeArgument = None,
    ) -> None:
        kind = as_like(like)
        scheme = ForwardBackwardStep(denoiser_network(network, kind), step)
        super().__init__(scheme, solver, kind, image_scale)

    @staticmethod
    def check(spec: Record) -> None:
        require_positive(spec, "step", "image_scale")


class PlugAndPlayADMM(PlugAndPlay):
    """Plug-and-play ADMM, certified for a firmly non-expansive denoiser.

    Weights are drawn from torch's default generator; see :meth:`PlugAndPlay.load_denoiser`.

    Args:
        penalty: α > 0: with a larger one D denoises less.
        network: Architecture of D.
        solver: Tolerances of the fixed point and of its derivative.
        data_step: Tolerances of the conjugate gradients of the data step.
        image_scale: Size c of a typical image value; with a larger one D denoises more.
        like: Operator whose images D is built for; real images with two axes unless given.

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(
        self,
        penalty: float = 1.0,
        *,
        network: DenoiserLayers = LAYERS,
        solver: FixedPointSolver = SOLVER,
        data_step: NormalSolver = DATA_STEP,
        image_scale: float = 1.0,
        like: LikeArgument = None,
    ) -> None:
        kind = as_like(like)
        scheme = MultiplierStep(denoiser_network(network, kind), penalty)
        super().__init__(scheme, solver, kind, image_scale, WithSolver(data_step))

    @staticmethod
    def check(spec: Record) -> None:
        require_positive(spec, "penalty", "image_scale")


class GradientStepDenoising(PlugAndPlay):
    """Gradient-step plug-and-play: the minimiser of ½‖Tu - y‖² + λg(u), D = Id - ∇g.

    Weights are drawn from torch's default generator; see :meth:`PlugAndPlay.load_denoiser`.

    Args:
        weight: λ > 0.
        product: τλ in (0, 2): step size of the descent on λg, in units of 1/λ.
        network: Architecture of D, with one layer, so that g is known.
        solver: Tolerances of the fixed point and of its derivative.
        data_step: Tolerances of the conjugate gradients of the data step.
        image_scale: Size c of a typical image value, in its unit.
        like: Operator whose images D is built for; real images with two axes unless given.

    Raises:
        ConfigError: An argument is out of range, or the network has several layers.
    """

    def __init__(
        self,
        weight: float = 1.0,
        product: float = 1.0,
        *,
        network: PotentialLayers = RIDGE,
        solver: FixedPointSolver = SOLVER,
        data_step: NormalSolver = DATA_STEP,
        image_scale: float = 1.0,
        like: LikeArgument = None,
    ) -> None:
        kind = as_like(like)
        scheme = GradientDenoiserStep(Averaged(network.network(kind)), weight, product)
        super().__init__(scheme, solver, kind, image_scale, WithSolver(data_step))

    @staticmethod
    def check(spec: Record) -> None:
        require_positive(spec, "weight", "product", "image_scale")

"""The generalised learned step: any of the quantities that a problem offers, as inputs.

    Λ_k(u) = Γ_k(u, y, T*y, T(u), ∇R(u)),   k = 1..5,   the result P_X(u),   R(u) = ½‖∇u‖²

Which inputs Γ_k has is an argument, so that the worth of each can be measured. y and T(u) are
data: they come to the images by T*, each for itself ("adjoint"), by T*F with the ramp filter F
("filtered"), or as T*Γ'_k(y, T(u)) with a network Γ'_k on the data ("network"). P_X clips values to
an interval, if one is given: in the result and in every iterate that is shown, not between steps.

Γ_k(u, ...) = u + N_k(u, ...) where u is an input, otherwise N_k(...). N_k and Γ'_k: 3×3
convolutions with two hidden layers of 32 channels, ReLU, Xavier uniform, bias 0, the last layer of
N_k scaled by 0.1 where u is added: 10 721 + 10 145 parameters in each step with all inputs, 104 330
in all. An N_k of -η(T*T(u) - T*y) - ηα∇R(u) is gradient descent.

Differences from the paper: there is no single one; T/‖T‖ and y/(c‖T‖) with the image in units of c;
T*y is [∂T(u⁰)]*y for a nonlinear T; no ∇D, which for least squares is T*T(u) - T*y; F is multiplied
by twice the number of detector pixels, as in ``filtered_primal_dual``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, get_args

import torch
from torch import Tensor, nn

from learnedrecon.errors import ConfigError, describe
from learnedrecon.functionals.constraints import Box
from learnedrecon.functionals.regularisers import Dirichlet
from learnedrecon.models.base import LearnedScheme
from learnedrecon.models.checks import require_choice, require_counts, require_positive
from learnedrecon.models.filtered_primal_dual import require_ramp_filter, require_real
from learnedrecon.models.learned_gradient import WithRegulariser, regulariser_gradient
from learnedrecon.models.like import Like, LikeArgument, as_like
from learnedrecon.models.start import Start, start_of
from learnedrecon.networks.conv import Convolutions
from learnedrecon.networks.filters import RampFilter
from learnedrecon.schemes.step import Chain, Step

if TYPE_CHECKING:
    from learnedrecon.problem import Problem
    from learnedrecon.recorded import Record

InputName: TypeAlias = Literal["image", "data", "back", "prediction", "regulariser"]
Through: TypeAlias = Literal["adjoint", "filtered", "network"]
Bounds: TypeAlias = tuple[float | None, float | None]
_NAMES: tuple[InputName, ...] = get_args(InputName)
_MOVING = {"image", "prediction", "regulariser"}
_UNFILTERED = 'choose through="adjoint" or "network"'


@dataclass(frozen=True)
class StepInputs:
    """The inputs of a generalised step, and how those that are data come to the images.

    Attributes:
        names: Inputs among "image" u, "data" y, "back" T*y, "prediction" T(u) and "regulariser"
            ∇R(u), at least one of them a function of u.
        through: "adjoint" for T*y and T*T(u), "filtered" for T*Fy and T*FT(u) with the ramp filter
            F, "network" for T*Γ'(y, T(u)) with a network.

    Raises:
        ConfigError: An input is unknown, occurs twice, or no input depends on u.
    """

    names: tuple[InputName, ...] = _NAMES
    through: Through = "network"

    def __post_init__(self) -> None:
        require_choice(self, "through", get_args(Through))
        known = len(set(self.names)) == len(self.names) and set(self.names) <= set(_NAMES)
        twice = self.through == "adjoint" and {"data", "back"} <= set(self.names)
        if not (known and _MOVING & set(self.names)) or twice:
            raise ConfigError(
                describe(
                    expected=f"'names' of inputs among {', '.join(_NAMES)}, each once, one of "
                    f"{', '.join(sorted(_MOVING))} among them, on which the next step depends, and "
                    'not both "data" and "back" where through is "adjoint", as both are T*y',
                    found=f"{self.names} through {self.through!r}",
                    fix="correct the list",
                )
            )

    @property
    def of_data(self) -> int:
        """The number of inputs that are data."""
        return len({"data", "prediction"} & set(self.names))

    @property
    def of_images(self) -> int:
        """The number of inputs of Γ, each an image."""
        moved = min(self.of_data, 1) if self.through == "network" else self.of_data
        return len(self.names) - self.of_data + moved


ALL_INPUTS = StepInputs()


class ImageAndBack(NamedTuple):
    """The state of a generalised scheme.

    Attributes:
        image: u, (batch, channel, *domain.shape).
        back: T*y, of the same shape; 0 where it is no input.
    """

    image: Tensor
    back: Tensor


class GeneralisedStep(Step[ImageAndBack]):
    """The step u ← Γ(u, y, T*y, T(u), ∇R(u)), with P_X of the image as its result.

    Args:
        network: Network N, from the number of inputs to 1 image.
        dual_network: Network on data, or filter, before T*; from all inputs that are data to any
            number of data.
        names: Inputs, as in :class:`StepInputs`.
        projection: P_X.
    """

    def __init__(
        self,
        network: nn.Module,
        dual_network: nn.Module,
        names: tuple[InputName, ...],
        projection: Box | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.dual_network = dual_network
        self.names = names
        self.projection = projection

    def begin(self, image: Tensor, problem: Problem) -> ImageAndBack:
        if "back" in self.names:
            return ImageAndBack(image, problem.adjoint(problem.data, at=image))
        return ImageAndBack(image, torch.zeros_like(image))

    def image(self, state: ImageAndBack) -> Tensor:
        return state.image if self.projection is None else self.projection.prox(state.image, 1.0)

    def forward(self, state: ImageAndBack, problem: Problem) -> ImageAndBack:
        u, back = state
        seen = [u] if "image" in self.names else []
        seen += [back] if "back" in self.names else []
        seen += [regulariser_gradient(problem, u)] if "regulariser" in self.names else []
        data = [problem.data] if "data" in self.names else []
        data += [problem.forward(u)] if "prediction" in self.names else []
        if data:
            moved = self.dual_network(torch.cat(data, dim=1)).to(data[0].dtype)
            seen += [problem.adjoint(moved, at=_beside(u, moved))]
        update = self.network(torch.cat(seen, dim=1)).to(u.dtype)
        return ImageAndBack(u + update if "image" in self.names else update, back)


class GeneralisedScheme(LearnedScheme):
    """The generalised learned scheme with chosen inputs, own weights in every step.

    Weights are drawn from torch's default generator.

    Args:
        iterations: Number of steps, each with its own weights.
        hidden: Number of channels of the two hidden layers of every network.
        inputs: Inputs of Γ.
        bounds: Least and largest value of the result, in the unit of the image, either None for
            none; no projection unless given.
        image_scale: Size c of a typical image value, in its unit.
        start: Initial image u⁰, see :func:`learnedrecon.models.start.start_of`.
        like: Operator whose images and data the networks are built for; real images with two axes
            unless given.

    Raises:
        ConfigError: An argument is out of range, or bounds or a ramp filter are asked for complex
            images.
        GeometryError: In a call, data have no ramp filter where ``inputs`` ask for one.
    """

    def __init__(
        self,
        iterations: int = 5,
        hidden: int = 32,
        *,
        inputs: StepInputs = ALL_INPUTS,
        bounds: Bounds | None = None,
        image_scale: float = 1.0,
        start: Start = "auto",
        like: LikeArgument = None,
    ) -> None:
        kind = as_like(like)
        projection = None if bounds is None else _box(bounds, image_scale)
        steps = [_step(kind, hidden, inputs, projection) for _ in range(iterations)]
        fixed_r = WithRegulariser(Dirichlet(kind.image_axes))
        prepare = fixed_r if "regulariser" in inputs.names else None
        super().__init__(Chain(steps), kind, start_of(start), image_scale, prepare)
        self.sees_data = inputs.of_data > 0 and inputs.through == "network"
        self.is_filtered = inputs.of_data > 0 and inputs.through == "filtered"

    def scaled(self, problem: Problem) -> tuple[Problem, Tensor | float]:
        if self.is_filtered:
            require_ramp_filter(problem, "through='filtered'", _UNFILTERED)
        return super().scaled(problem)

    @staticmethod
    def check(spec: Record) -> None:
        require_counts(spec, {"iterations": 1, "hidden": 1})
        require_positive(spec, "image_scale")
        like = as_like(spec.like)
        if spec.inputs.through == "filtered":
            require_real(like, "through='filtered'", _UNFILTERED)
        if spec.bounds is not None:
            _box(spec.bounds, spec.image_scale)
            if like.image_complex:
                raise ConfigError(
                    describe(
                        expected="real images for 'bounds', as complex numbers have no order",
                        found=str(spec.bounds),
                        fix="omit the bounds",
                    )
                )


class ScaledRamp(nn.Module):
    """The ramp filter times twice the number of detector pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.filter = RampFilter()

    def forward(self, data: Tensor) -> Tensor:
        """Applies the filter along the last axis."""
        return 2 * data.shape[-1] * self.filter(data)


def _step(like: Like, hidden: int, inputs: StepInputs, projection: Box | None) -> GeneralisedStep:
    scale = 0.1 if "image" in inputs.names else 1.0
    build = Convolutions((hidden, hidden), last_scale=scale)
    on_data: nn.Module = ScaledRamp() if inputs.through == "filtered" else nn.Identity()
    if inputs.through == "network" and inputs.of_data:
        on_data = like.on_data(Convolutions((hidden, hidden)), inputs.of_data, 1)
    network = like.on_images(build, inputs.of_images, 1)
    return GeneralisedStep(network, on_data, inputs.names, projection)


def _box(bounds: Bounds, c: float) -> Box:
    low, high = bounds
    return Box(-math.inf if low is None else low / c, math.inf if high is None else high / c)


def _beside(u: Tensor, data: Tensor) -> Tensor:
    """The image at which T is linearised, for several data per image."""
    number = data.shape[1] // u.shape[1]
    return u if u.shape[1] == 1 or number == 1 else torch.cat([u] * number, dim=1)

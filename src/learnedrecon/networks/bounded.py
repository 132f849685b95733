"""Convolutions with a bound of their norm, and networks with a Lipschitz bound."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from learnedrecon.errors import ConfigError, describe
from learnedrecon.networks.spectral import Padding, conv_norm_bound

if TYPE_CHECKING:
    from collections.abc import Callable

Bound: TypeAlias = Literal["layers", "none"]
_FINE = {1: 256, 2: 64, 3: 24}
_CONVOLVE: dict[int, Callable[..., Tensor]] = {
    1: functional.conv1d,
    2: functional.conv2d,
    3: functional.conv3d,
}


@dataclass(frozen=True)
class KernelSpec:
    """The kernels of a :class:`BoundedConv`.

    Attributes:
        kernel: Odd width of the kernel.
        dims: Number of space axes, 1 to 3.
        padding: "zeros" or "circular".
        bound: "layers" divides the weight by a bound of its norm, "none" does not.

    Raises:
        ConfigError: A field is out of range.
    """

    kernel: int = 3
    dims: int = 2
    padding: Padding = "zeros"
    bound: Bound = "layers"

    def __post_init__(self) -> None:
        require(
            self.kernel >= 1 and self.kernel % 2 == 1 and self.dims in _CONVOLVE,
            expected="an odd kernel in 1, 2 or 3 dimensions",
            found=f"kernel={self.kernel}, dims={self.dims}",
        )
        require(
            self.padding in {"zeros", "circular"},
            expected="padding 'zeros' or 'circular'",
            found=f"padding={self.padding!r}",
        )
        require(
            self.bound in {"layers", "none"},
            expected="bound 'layers' or 'none'",
            found=f"bound={self.bound!r}",
        )


class BoundedConv(nn.Module):
    """A convolution divided by a bound of its norm: ‖K‖ ≤ 1 on images of every size.

    With ``spec.bound`` "none" it is an ordinary one. The bound is that of :func:`conv_norm_bound`;
    it is part of the graph, and cached between calls without gradients as long as no entry of the
    weight changes (not in compiled code). Weights are drawn orthogonal, with an initial norm of at
    most 1 even where they are not divided.

    Args:
        c_in: Number of input channels.
        c_out: Number of output channels.
        spec: Configuration of the kernel.

    Shapes: (batch, c_in, *space) to (batch, c_out, *space).
    """

    def __init__(self, c_in: int, c_out: int, spec: KernelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.weight = nn.Parameter(torch.empty(c_out, c_in, *[spec.kernel] * spec.dims))
        self.bias = nn.Parameter(torch.zeros(c_out))
        nn.init.orthogonal_(self.weight)
        if spec.bound == "none":
            with torch.no_grad():
                self.weight.div_(self._divisor())
        self._kept: tuple[Tensor, Tensor] | None = None

    def bounded_weight(self) -> Tensor:
        """The weight of the convolution, divided by the bound if ``spec.bound`` is "layers"."""
        if self.spec.bound == "none":
            return self.weight
        recorded = torch.is_grad_enabled() and self.weight.requires_grad
        if recorded or torch.compiler.is_compiling():
            return self.weight / self._divisor()
        if self._kept is None or not _same(self._kept[0], self.weight):
            with torch.inference_mode(mode=False), torch.no_grad():
                self._kept = (self.weight.detach().clone(), self.weight / self._divisor())
        return self._kept[1]

    @torch.no_grad()
    def norm_bound(self) -> float:
        """A bound of the norm of the convolution, in float64 and on a fine grid.

        It is infinite where a weight or a bias is not finite.
        """
        weight = self.bounded_weight().double()
        if not bool(weight.isfinite().all() and self.bias.isfinite().all()):
            return math.inf
        points = max(_FINE[self.spec.dims], 4 * self.spec.kernel)
        return float(conv_norm_bound(weight, padding=self.spec.padding, points=points))

    def forward(self, u: Tensor) -> Tensor:
        return self.convolve(u, self.bounded_weight())

    def convolve(self, u: Tensor, weight: Tensor) -> Tensor:
        """The convolution with a given :meth:`bounded_weight`."""
        dims, width = self.spec.dims, self.spec.kernel // 2
        if self.spec.padding == "circular":
            u = functional.pad(u, (width, width) * dims, mode="circular")
            width = 0
        return _CONVOLVE[dims](u, weight, self.bias, padding=width)

    def _divisor(self) -> Tensor:
        points = max(16, 3 * self.spec.kernel)
        return conv_norm_bound(self.weight, padding=self.spec.padding, points=points)

    def __getstate__(self) -> dict[str, object]:
        return {**super().__getstate__(), "_kept": None}


class BoundedNetwork(nn.Module, ABC):
    """Base class of networks with a known bound of their Lipschitz constant."""

    @property
    @abstractmethod
    def ends(self) -> tuple[int, int]:
        """The numbers of input and output channels."""

    @abstractmethod
    def lipschitz_bound(self) -> float:
        """A bound of the Lipschitz constant for the present weights, in exact arithmetic.

        The weights are those of the forward pass, in their precision. The bound is infinite if a
        number is not finite, or if there is a layer without a known bound, such as one added later.
        """

    def no_potential(self) -> str:
        """The reason why :meth:`potential` is unknown; empty where it is known."""
        return f"{type(self).__name__} is not known to be the gradient of a function"

    def potential(self, u: Tensor) -> Tensor:  # noqa: ARG002 - what other classes look at
        """A function p with N = ∇p, where N is a gradient.

        Args:
            u: Images, (batch, channels, *space).

        Returns:
            Value of every sample, (batch,).

        Raises:
            ConfigError: N is not known to be a gradient.
        """
        raise refused_potential(self.no_potential())


class NearIdentity(nn.Module):
    """R(u) = u - ε N(u) with a 1-Lipschitz N, so that R - Id is ε-Lipschitz by construction.

    N sees c complex channels as 2c real ones, real parts first, which preserves norms.

    Args:
        network: Network N with equally many input and output channels.
        epsilon: ε ≥ 0.

    Raises:
        ConfigError: ε < 0, or N changes the number of channels.
    """

    def __init__(self, network: BoundedNetwork, epsilon: float) -> None:
        super().__init__()
        first, last = network.ends
        require(
            epsilon >= 0 and first == last,
            expected="epsilon >= 0, and a network with as many channels out as in",
            found=f"epsilon={epsilon}, channels {first} to {last}",
        )
        self.network = network
        self.epsilon = float(epsilon)

    def forward(self, u: Tensor) -> Tensor:
        return u - self.epsilon * on_real_parts(self.network, u)

    def no_potential(self) -> str:
        """The reason why R is not known to be a gradient; empty where it is one."""
        return self.network.no_potential()

    def potential(self, u: Tensor) -> Tensor:
        """The function ρ with R = ∇ρ, ½‖u‖² - εp(u) with N = ∇p; (batch,).

        Raises:
            ConfigError: N is not known to be a gradient.
        """
        return half_square(u) - self.epsilon * self.network.potential(real_parts(u))

    def deviation_bound(self) -> float:
        """A bound of the Lipschitz constant of R - Id, for the present weights.

        It includes a margin for ε in float32, and is infinite where no bound of N is known.
        """
        bound = self.network.lipschitz_bound()
        return self.epsilon * bound * (1 + 2.0**-23) if math.isfinite(bound) else math.inf


class Averaged(nn.Module):
    """D(u) = (1 - θ)u + θP(u) with a 1-Lipschitz P: a θ-averaged map by construction.

    With θ ≤ 1/2 it is firmly non-expansive, as proximal maps are. P sees complex images as
    :class:`NearIdentity` does.

    Args:
        network: Network P with equally many input and output channels.
        theta: θ in (0, 1).

    Raises:
        ConfigError: θ is out of range, or P changes the number of channels.
    """

    def __init__(self, network: BoundedNetwork, theta: float = 0.5) -> None:
        super().__init__()
        first, last = network.ends
        require(
            0 < theta < 1 and first == last,
            expected="theta in (0, 1), and a network with as many channels out as in",
            found=f"theta={theta}, channels {first} to {last}",
        )
        self.network = network
        self.theta = float(theta)

    def forward(self, u: Tensor) -> Tensor:
        return u + self.theta * (on_real_parts(self.network, u) - u)

    def averagedness_bound(self) -> float:
        """θ where P is 1-Lipschitz for the present weights, otherwise infinity."""
        return self.theta if self.network.lipschitz_bound() <= 1 else math.inf

    def no_potential(self) -> str:
        """The reason why D is not known to be a gradient; empty where it is one."""
        return self.network.no_potential()

    def potential(self, u: Tensor) -> Tensor:
        """The function g with D = Id - ∇g, θ(½‖u‖² - p(u)) with P = ∇p; (batch,).

        Raises:
            ConfigError: P is not known to be a gradient.
        """
        return self.theta * (half_square(u) - self.network.potential(real_parts(u)))


def on_real_parts(network: nn.Module, u: Tensor) -> Tensor:
    """A real network on an image, which sees c complex channels as 2c real ones.

    Args:
        network: Network with equally many input and output channels.
        u: Images, (batch, c, *space), real or complex; real parts come first.
    """
    seen = network(real_parts(u)).to(u.real.dtype)
    return torch.complex(*seen.chunk(2, dim=1)) if u.is_complex() else seen


def real_parts(u: Tensor) -> Tensor:
    """The real channels of an image: itself, or its real parts before its imaginary parts.

    Args:
        u: Images, (batch, c, *space).
    """
    return torch.cat([u.real, u.imag], dim=1) if u.is_complex() else u


def half_square(u: Tensor) -> Tensor:
    """½‖u‖² of every sample, (batch,).

    Args:
        u: Images, (batch, ...).
    """
    return 0.5 * u.abs().square().flatten(1).sum(1)


def refused_potential(reason: str) -> ConfigError:
    """The error for a potential that is unknown.

    Args:
        reason: Reason why it is unknown.
    """
    return ConfigError(
        describe(
            expected="a network that is the gradient of a function",
            found=reason,
            fix="use one potential layer, PotentialLayers(layers=1)",
        )
    )


def require(condition: object, *, expected: str, found: str) -> None:
    """Check of a field of a spec.

    Args:
        condition: True if the field is valid.
        expected: Noun phrase for valid values.
        found: Value of the field in words.

    Raises:
        ConfigError: The condition does not hold.
    """
    if not condition:
        raise ConfigError(describe(expected=expected, found=found, fix="correct the specification"))


def _same(kept: Tensor, weight: Tensor) -> bool:
    """By value: a write through ``weight.data`` leaves no other trace."""
    alike = kept.dtype == weight.dtype and kept.device == weight.device
    return alike and torch.equal(kept, weight)

"""Residual networks with a Lipschitz constant of at most 1, initially near the identity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from learnedrecon.networks._checks import check_images
from learnedrecon.networks.bounded import (
    Bound,
    BoundedConv,
    BoundedNetwork,
    KernelSpec,
    half_square,
    refused_potential,
    require,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_TRANSPOSE: dict[int, Callable[..., Tensor]] = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}


@dataclass(frozen=True)
class PotentialSpec:
    """The configuration of a :class:`PotentialNet`.

    Attributes:
        channels: Number of channels of the image.
        width: Number of channels between the layers, at least ``channels``.
        filters: Number of filters of W in every layer.
        layers: Number of layers.
        threshold: Initial τ > 0, in the unit of the image that the network sees.
        kernel: Odd width of W.
        dims: Number of space axes, 1 to 3.
        bound: "layers" divides every W by a bound of its norm, "none" does not.

    Raises:
        ConfigError: A field is out of range.
    """

    channels: int = 1
    width: int = 8
    filters: int = 16
    layers: int = 3
    threshold: float = 0.01
    kernel: int = 3
    dims: int = 2
    bound: Bound = "layers"

    def __post_init__(self) -> None:
        require(
            1 <= self.channels <= self.width and min(self.filters, self.layers) >= 1,
            expected="1 <= channels <= width, and at least one filter and one layer",
            found=f"channels={self.channels}, width={self.width}, filters={self.filters}, "
            f"layers={self.layers}",
        )
        require(
            self.threshold > 0 and math.isfinite(self.threshold),
            expected="a threshold above 0",
            found=f"threshold={self.threshold}",
        )
        KernelSpec(self.kernel, self.dims, bound=self.bound)


class PotentialLayer(nn.Module):
    """The layer z ← z - 2 W^T σ(Wz + b), σ(s) = min(max(s, -τ), τ), with ‖W‖ ≤ 1 and τ > 0.

    σ is the derivative of a Huber function, so W^T σ(W· + b) is the gradient of a convex one with
    constant ‖W‖² ≤ 1, and Id minus twice such a gradient is non-expansive (Meunier, Delattre,
    Araujo, Allauzen, ICML 2022). For any W: σ(s) - σ(t) = D(s - t) with a diagonal 0 ≤ D ≤ 1, and
    the eigenvalues of I - 2 W^T D W lie between 1 - 2‖W‖² and 1.

    Args:
        spec: Configuration of the network that contains the layer.
    """

    def __init__(self, spec: PotentialSpec) -> None:
        super().__init__()
        self.filters = BoundedConv(
            spec.width, spec.filters, KernelSpec(spec.kernel, spec.dims, bound=spec.bound)
        )
        start = torch.full((spec.filters,), math.log(spec.threshold))
        self.log_threshold = nn.Parameter(start)

    def forward(self, z: Tensor) -> Tensor:
        weight = self.filters.bounded_weight()
        kernel = self.filters.spec
        tau = self.log_threshold.exp().reshape(-1, *[1] * kernel.dims)
        slopes = torch.clamp(self.filters.convolve(z, weight), -tau, tau)
        return z - 2 * _TRANSPOSE[kernel.dims](slopes, weight, padding=kernel.kernel // 2)

    def ridge(self, z: Tensor) -> Tensor:
        """Σ H(Wz + b) with Huber functions H of derivative σ, so that the layer is Id - 2∇ of it.

        Args:
            z: Images, (batch, width, *space).

        Returns:
            Value of every sample, (batch,).
        """
        responses = self.filters(z)
        tau = self.log_threshold.exp().reshape(-1, *[1] * self.filters.spec.dims)
        near = torch.minimum(responses.abs(), tau)
        return (near * (responses.abs() - near / 2)).flatten(1).sum(1)

    def norm_bound(self) -> float:
        """A bound of the Lipschitz constant; infinite where a weight is not finite."""
        if not bool(self.log_threshold.isfinite().all()):
            return math.inf
        return max(1.0, 2 * self.filters.norm_bound() ** 2 - 1)


class PotentialNet(BoundedNetwork):
    """A network N of potential layers on the image extended by zeros: ‖N(u) - N(v)‖ ≤ ‖u - v‖.

    The network maps (batch, channels, *space) to the same shape. The Lipschitz bound is 1 if
    ``spec.bound`` is "layers"; without it the bound grows with the weights and is still known. For
    small τ the network is near the identity. With one layer and ``width = channels``, u - N(u) is
    twice the gradient of a convex ridge regulariser (Goujon et al., IEEE TCI 9, 2023).

    Args:
        spec: Configuration of the layers.
    """

    def __init__(self, spec: PotentialSpec) -> None:
        super().__init__()
        self.spec = spec
        self.layers = nn.Sequential(*[PotentialLayer(spec) for _ in range(spec.layers)])

    @property
    def ends(self) -> tuple[int, int]:
        return self.spec.channels, self.spec.channels

    def forward(self, u: Tensor) -> Tensor:
        """Applies the network.

        Raises:
            ShapeError: ``u`` is not (batch, channels, *space).
            DtypeError: ``u`` is not real floating point.
        """
        spec = self.spec
        check_images(u, channels=spec.channels, dims=spec.dims, name="PotentialNet")
        return self.layers(self._extended(u))[:, : spec.channels]

    def _extended(self, u: Tensor) -> Tensor:
        missing = self.spec.width - self.spec.channels
        return torch.cat([u, u.new_zeros(u.shape[0], missing, *u.shape[2:])], dim=1)

    def no_potential(self) -> str:
        first = self.layers[0]
        if type(self) is not PotentialNet or type(first) is not PotentialLayer:
            return super().no_potential()
        many = len(self.layers)
        reason = f"a composition of {many} potential layers is in general no gradient"
        return "" if many == 1 else reason

    def potential(self, u: Tensor) -> Tensor:
        """½‖u‖² - 2Σ H(Wu + b) for one layer; see :meth:`BoundedNetwork.potential`."""
        if reason := self.no_potential():
            raise refused_potential(reason)
        layer = self.layers[0]
        assert isinstance(layer, PotentialLayer)
        return half_square(u) - 2 * layer.ridge(self._extended(u))

    @torch.no_grad()
    def lipschitz_bound(self) -> float:
        total = 1.0
        for layer in self.layers:
            total *= _bound_of(layer)
        return total


def _bound_of(layer: nn.Module) -> float:
    return layer.norm_bound() if type(layer) is PotentialLayer else math.inf


class Correction(BoundedNetwork):
    """N(u) = (u - P(u))/2, which is 1-Lipschitz if P is.

    N is near zero where P is near the identity, so that u - εN(u) is a denoiser that is initially
    near the identity.

    Args:
        network: Network P.
    """

    def __init__(self, network: PotentialNet) -> None:
        super().__init__()
        self.network = network

    @property
    def ends(self) -> tuple[int, int]:
        return self.network.ends

    def forward(self, u: Tensor) -> Tensor:
        """Applies the network.

        Raises:
            ShapeError: ``u`` is not (batch, channels, *space).
            DtypeError: ``u`` is not real floating point.
        """
        return 0.5 * (u - self.network(u))

    def no_potential(self) -> str:
        return self.network.no_potential()

    def potential(self, u: Tensor) -> Tensor:
        """(½‖u‖² - p(u))/2 with P = ∇p; see :meth:`BoundedNetwork.potential`."""
        return 0.5 * (half_square(u) - self.network.potential(u))

    def lipschitz_bound(self) -> float:
        return 0.5 * (1 + self.network.lipschitz_bound())

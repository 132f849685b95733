"""Fields of experts: learned regularisers Σ_k ρ_k(K_k u) with Gaussian radial basis functions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from learnedrecon.errors import ConfigError, ShapeError, describe, require
from learnedrecon.networks._checks import check_images
from learnedrecon.networks.radial_basis import radial_sum

if TYPE_CHECKING:
    from collections.abc import Callable

_CONVOLVE: dict[int, Callable[..., Tensor]] = {
    1: functional.conv1d,
    2: functional.conv2d,
    3: functional.conv3d,
}
_TRANSPOSE: dict[int, Callable[..., Tensor]] = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}


@dataclass(frozen=True)
class Experts:
    """The configuration of a :class:`FieldOfExperts`.

    Attributes:
        filters: Number of filters K_k.
        kernel: Odd width of the filters along every space axis.
        nodes: Number of Gaussians of every activation ρ'_k.
        reach: Largest node; the nodes are equidistant on [-reach, reach].
        slope: Initial slope of ρ'_k, which is linear.

    Raises:
        ConfigError: A field is out of range.
    """

    filters: int = 24
    kernel: int = 5
    nodes: int = 31
    reach: float = 1.0
    slope: float = 0.04

    def __post_init__(self) -> None:
        require(
            self.filters >= 1 and self.nodes >= 2 and self.kernel >= 3 and self.kernel % 2 == 1,
            ConfigError,
            expected="at least one filter, an odd kernel width from 3, and at least two nodes",
            found=f"{self}",
            fix="correct the Experts",
        )
        require(
            self.reach > 0 and math.isfinite(self.reach) and math.isfinite(self.slope),
            ConfigError,
            expected="a reach above 0 and finite, and a finite slope",
            found=f"{self}",
            fix="correct the Experts",
        )


class Force(NamedTuple):
    """The gradient of a regulariser, and how often its activations were outside their nodes.

    Attributes:
        gradient: ∇R(u), of the shape of the image.
        outside: Fraction of the filter responses that are outside the nodes, (batch,).
    """

    gradient: Tensor
    outside: Tensor


class FieldOfExperts(nn.Module):
    """The gradient of R(u) = 1/K Σ_k Σ_x ρ_k(K_k u)(x), filters K_k of zero mean in the unit ball.

    ρ'_k(s) = Σ_j w_kj g(s/δ - j) with the density g of the normal distribution and the distance δ
    of the nodes, so that w_kj is close to ρ'_k at node j; ρ_k(0) = 0. The image is extended
    symmetrically by half the width of the filters, and the transpose folds this border back, so
    that the network is the exact gradient of R.

    The filters are parametrised: the stored kernel minus its mean in every channel, divided by its
    norm where that is above 1. Several channels (colours, or real and imaginary parts) share the
    activation of a filter, and their norm is the joint one.

    Args:
        spec: Numbers of filters and nodes.
        channels: Number of channels of an image.
        dims: Number of space axes, 1 to 3.
    """

    def __init__(self, spec: Experts, channels: int = 1, dims: int = 2) -> None:
        super().__init__()
        self.spec = spec
        self.channels, self.dims = channels, dims
        self.kernels = nn.Parameter(torch.randn(spec.filters, channels, *(spec.kernel,) * dims))
        nodes = torch.linspace(-spec.reach, spec.reach, spec.nodes)
        self.weights = nn.Parameter((spec.slope * nodes).repeat(spec.filters, 1))

    @property
    def distance(self) -> float:
        """The distance δ of the nodes."""
        return 2 * self.spec.reach / (self.spec.nodes - 1)

    def filters(self) -> Tensor:
        """The filters K, (filters, channels, *kernel), of zero mean and norm at most 1."""
        space = tuple(range(2, self.kernels.ndim))
        centred = self.kernels - self.kernels.mean(space, keepdim=True)
        size = centred.square().sum((1, *space), keepdim=True)
        return centred / size.clamp(min=1).sqrt()

    def responses(self, u: Tensor) -> Tensor:
        """K u, (batch, filters, *space).

        Raises:
            ShapeError: ``u`` is not (batch, channels, *space), or smaller than half a filter.
            DtypeError: ``u`` is not real floating point.
        """
        check_images(u, channels=self.channels, dims=self.dims, name="FieldOfExperts")
        return self._convolved(u, self.filters())

    def forward(self, u: Tensor) -> Force:
        """∇R(u), and the fraction of responses outside the nodes.

        Raises:
            ShapeError: ``u`` is not (batch, channels, *space), or smaller than half a filter.
            DtypeError: ``u`` is not real floating point.
        """
        check_images(u, channels=self.channels, dims=self.dims, name="FieldOfExperts")
        filters = self.filters()
        x = self._in_distances(self._convolved(u, filters))
        slopes = radial_sum(x, self.weights) / self.spec.filters
        wide = _TRANSPOSE[self.dims](slopes, filters)
        beyond = x.detach().abs() > (self.spec.nodes - 1) / 2
        gradient = folded_back(wide.to(u.dtype), self.spec.kernel // 2, self.dims)
        return Force(gradient, beyond.to(u.dtype).flatten(1).mean(1))

    def energy(self, u: Tensor) -> Tensor:
        """R(u), (batch,), in closed form by erf.

        Raises:
            ShapeError: ``u`` is not (batch, channels, *space), or smaller than half a filter.
            DtypeError: ``u`` is not real floating point.
        """
        return self.potential(self.responses(u)).flatten(1).sum(1) / self.spec.filters

    def potential(self, s: Tensor) -> Tensor:
        """ρ_k(s), of the shape (batch, filters, *space) of ``s``."""
        x = self._in_distances(s)
        middle = x.new_zeros(1, x.shape[1], *[1] * (x.ndim - 2))
        below = radial_sum(middle, self.weights, -1)
        return self.distance * (radial_sum(x, self.weights, -1) - below)

    def activation(self, s: Tensor) -> Tensor:
        """ρ'_k(s), of the shape (batch, filters, *space) of ``s``."""
        return radial_sum(self._in_distances(s), self.weights)

    def _convolved(self, u: Tensor, filters: Tensor) -> Tensor:
        return _CONVOLVE[self.dims](mirrored(u, self.spec.kernel // 2, self.dims), filters)

    def _in_distances(self, s: Tensor) -> Tensor:
        return s.to(self.weights.dtype) / self.distance


def mirrored(u: Tensor, width: int, axes: int) -> Tensor:
    """The symmetric extension of an image, (b a | a b c | c b) for a width of two.

    Args:
        u: Image, (batch, channel, *space).
        width: Number of pixels on every side.
        axes: Number of trailing axes to extend.

    Raises:
        ShapeError: An axis has fewer pixels than the width.
    """
    if min(u.shape[-axes:]) < width:
        raise ShapeError(
            describe(
                expected=f"at least {width} pixels along each axis, which the filters mirror",
                found=f"shape {tuple(u.shape)}",
                fix="use larger images or narrower filters",
            )
        )
    for axis in range(u.ndim - axes, u.ndim):
        n = u.shape[axis]
        first, last = u.narrow(axis, 0, width), u.narrow(axis, n - width, width)
        u = torch.cat([first.flip(axis), u, last.flip(axis)], dim=axis)
    return u


def folded_back(v: Tensor, width: int, axes: int) -> Tensor:
    """The transpose of :func:`mirrored`: the border is added to the pixels that it mirrors.

    Args:
        v: Extended image, (batch, channel, *space).
        width: Number of pixels on every side.
        axes: Number of trailing axes that are extended.
    """
    for axis in range(v.ndim - axes, v.ndim):
        n = v.shape[axis] - 2 * width
        u = v.narrow(axis, width, n).clone()
        u.narrow(axis, 0, width).add_(v.narrow(axis, 0, width).flip(axis))
        u.narrow(axis, n - width, width).add_(v.narrow(axis, width + n, width).flip(axis))
        v = u
    return v

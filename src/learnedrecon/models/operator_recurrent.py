"""Operator-recurrent network (de Hoop, Lassas, Wong, Math. Stat. Learn. 4(1/2), 2022).

    h ← b₀ + A₀h + B₀Xh + relu(b₁ + A₁h + B₁Xh),   k = 1..10

The input is a linear operator X, which multiplies h once in every layer: without relu the network
is a polynomial of X with learned matrices, and (I + X)⁻¹b is one by its Neumann series. Own
weights in every layer.

As a reconstruction method X = T*T and h consists of f = 8 images, T*y each at first, of which the
first is the result. A and B are 3×3 convolutions from f images to f, Xavier uniform, those with
index 1 scaled by 0.1; b = 0. A₀ and B₀ are initially those of the Landweber iteration

    u ← u + T*y - T*Tu,   T*y ← T*y

on the first two images and 0 on the others, to which the scheme is reduced by A₁ = B₁ = b₁ = 0.
2 320 parameters in a layer, 23 200 in all. T is linear and is evaluated for f images in every step.

Differences from the paper: convolutions of several images in place of matrices of all pixels, which
:class:`AffineMap` has; T*T in place of a measured X; T/‖T‖ and y/(c‖T‖) with the image in units of
c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from learnedrecon.models.base import LearnedScheme
from learnedrecon.models.checks import require_counts, require_positive
from learnedrecon.models.like import Like, LikeArgument, as_like
from learnedrecon.models.recurrent import on_parts
from learnedrecon.models.start import AdjointImage
from learnedrecon.networks.conv import Convolutions
from learnedrecon.schemes.step import Chain, Step

if TYPE_CHECKING:
    from learnedrecon.problem import Problem
    from learnedrecon.recorded import Record

_LEAST = 2


class Features(NamedTuple):
    """The state of an operator-recurrent network.

    Attributes:
        features: h, (batch, features · channel, *domain.shape), the result first.
    """

    features: Tensor


class AffineMap(nn.Module):
    """An affine map of all numbers of its argument, h ↦ b + Ah: the dense form of the paper.

    Weights are drawn from torch's default generator.

    Args:
        inputs: Shape of an argument without its batch axis.
        outputs: Shape of a result without its batch axis.

    Shapes: (batch, *inputs) to (batch, *outputs).
    """

    def __init__(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> None:
        super().__init__()
        self.outputs = outputs
        self.linear = nn.Linear(torch.Size(inputs).numel(), torch.Size(outputs).numel())
        nn.init.xavier_uniform_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, h: Tensor) -> Tensor:
        """Applies the map."""
        found: Tensor = self.linear(h.flatten(1))
        return found.unflatten(1, self.outputs)


class OperatorRecurrentStep(Step[Features]):
    """The layer h ← b₀ + A₀h + B₀Xh + relu(b₁ + A₁h + B₁Xh).

    Args:
        straight: Affine map (h, Xh) ↦ b₀ + A₀h + B₀Xh, from 2f images to f.
        bent: Affine map (h, Xh) ↦ b₁ + A₁h + B₁Xh, from 2f images to f.
        features: Number f of images in h, initially all the same.
        normal: True for X = T*T, which every linear T has; False for X = T, with domain and
            codomain of the same shape.

    Raises:
        GeometryError: In a call, T is nonlinear and X = T*T.
    """

    def __init__(
        self, straight: nn.Module, bent: nn.Module, features: int, *, normal: bool = True
    ) -> None:
        super().__init__()
        self.straight = straight
        self.bent = bent
        self.features = features
        self.normal = normal

    def begin(self, image: Tensor, problem: Problem) -> Features:  # noqa: ARG002 - what other classes look at
        return Features(torch.cat([image] * self.features, dim=1))

    def image(self, state: Features) -> Tensor:
        h = state.features
        return h[:, : h.shape[1] // self.features]

    def forward(self, state: Features, problem: Problem) -> Features:
        (h,) = state
        multiplied = problem.forward(h)
        if self.normal:
            multiplied = problem.adjoint(multiplied)
        both = torch.cat([h, multiplied], dim=1)
        bent = on_parts(torch.relu, self.bent(both).to(h.dtype))
        return Features(self.straight(both).to(h.dtype) + bent)


class OperatorRecurrent(LearnedScheme):
    """Operator-recurrent network: layers that are linear in T*T, with own weights in each.

    Weights are drawn from torch's default generator.

    Args:
        iterations: Number of layers.
        features: Number f of images in h, at least 2.
        image_scale: Size c of a typical image value, in its unit.
        like: Operator whose images the network is built for; real images with two axes unless
            given.

    Raises:
        ConfigError: An argument is out of range.
        GeometryError: In a call, T is nonlinear.
    """

    def __init__(
        self,
        iterations: int = 10,
        features: int = 8,
        *,
        image_scale: float = 1.0,
        like: LikeArgument = None,
    ) -> None:
        kind = as_like(like)
        steps = [_step(kind, features) for _ in range(iterations)]
        super().__init__(Chain(steps), kind, AdjointImage(), image_scale)

    @staticmethod
    def check(spec: Record) -> None:
        require_counts(spec, {"iterations": 1, "features": _LEAST})
        require_positive(spec, "image_scale")


def _step(like: Like, features: int) -> OperatorRecurrentStep:
    straight = like.on_images(Convolutions(()), 2 * features, features)
    bent = like.on_images(Convolutions((), last_scale=0.1), 2 * features, features)
    _set_landweber(straight, like, features)
    return OperatorRecurrentStep(straight, bent, features)


@torch.no_grad()
def _set_landweber(network: nn.Module, like: Like, features: int) -> None:
    """Makes a single convolution u ← u + v - Xu, v ← v, for h = (u, v, ...) and Xh after it."""
    (weight,) = (p for p in network.parameters() if p.ndim > 1)
    weight.zero_()
    middle = weight.flatten(2)[..., 3**like.image_axes // 2]
    parts = like.image_numbers // like.channels
    outputs = torch.arange(weight.shape[0]).view(parts, features, like.channels)
    inputs = torch.arange(weight.shape[1]).view(parts, 2 * features, like.channels)
    for into, of, factor in ((0, 0, 1), (0, 1, 1), (0, features, -1), (1, 1, 1)):
        middle[outputs[:, into].flatten(), inputs[:, of].flatten()] = factor

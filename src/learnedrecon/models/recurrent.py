"""Recurrent inference machine (Putzky, Welling, 2017; Lønning et al., Med. Image Anal. 53, 2019).

    x = relu(A(u, ∇D(u))),   h ← GRU(x, h),   u ← u + B(h),   k = 1..8,  h⁰ = 0

with shared weights. GRU is convolutional (Cho et al. 2014):

    r, z = σ(P(x, h)),   h ← (1 - z) h + z tanh(Q(x, r h)).

A, P, Q, B: 3×3 convolutions 2-32, 64-64, 64-32 and 32-1, Xavier uniform, bias 0, B scaled by 0.1:
56 289 parameters. The papers train with the mean over all iterates of the squared error, here the
loss ``{name: deep_supervision, decay: 1.0}``.

Differences from the papers: one recurrent layer in place of two; 32 features in place of 64 to 256;
no striding; T/‖T‖ and y/(c‖T‖) with the image in units of c, and D without division by the noise
variance; the start is filtered backprojection where T has one, otherwise T*y. For complex images
all functions act on real and imaginary parts, and features count as images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from learnedrecon.models.base import LearnedScheme
from learnedrecon.models.checks import require_counts, require_positive
from learnedrecon.models.like import Like, LikeArgument, as_like
from learnedrecon.models.start import Start, start_of
from learnedrecon.networks.conv import Convolutions
from learnedrecon.schemes.step import Repeat, Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from learnedrecon.problem import Problem
    from learnedrecon.recorded import Record


class ImageAndHidden(NamedTuple):
    """The state of a recurrent inference machine: the image and hidden features.

    Attributes:
        image: u, (batch, channel, *domain.shape).
        hidden: h, (batch, features · channel, *domain.shape).
    """

    image: Tensor
    hidden: Tensor


class ConvGRU(nn.Module):
    """Convolutional gated recurrent unit, h ← (1 - z) h + z tanh(Q(x, r h)), r, z = σ(P(x, h)).

    Args:
        gates: Network P, from x and h, stacked, to r and z.
        candidate: Network Q, from x and r h, stacked, to the size of h.

    Shapes: x and h (batch, channels, *space), real or complex; real and imaginary parts have
    gates of their own.
    """

    def __init__(self, gates: nn.Module, candidate: nn.Module) -> None:
        super().__init__()
        self.gates = gates
        self.candidate = candidate

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        """The next h."""
        gates = self.gates(torch.cat([x, h], dim=1)).to(h.dtype)
        reset, update = on_parts(torch.sigmoid, gates).chunk(2, dim=1)
        seen = torch.cat([x, on_parts(torch.mul, reset, h)], dim=1)
        candidate = on_parts(torch.tanh, self.candidate(seen).to(h.dtype))
        return h + on_parts(torch.mul, update, candidate - h)


class RecurrentStep(Step[ImageAndHidden]):
    """The step x = relu(A(u, ∇D(u))); h ← GRU(x, h); u ← u + B(h).

    Args:
        encoder: Network A, from 2 images to f.
        unit: Recurrent unit, from x and h of f images each to h.
        decoder: Network B, from f images to 1.
        features: Number f of images in h.
    """

    def __init__(
        self, encoder: nn.Module, unit: nn.Module, decoder: nn.Module, features: int
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.unit = unit
        self.decoder = decoder
        self.features = features

    def begin(self, image: Tensor, problem: Problem) -> ImageAndHidden:  # noqa: ARG002 - what other classes look at
        channels = self.features * image.shape[1]
        return ImageAndHidden(image, image.new_zeros(len(image), channels, *image.shape[2:]))

    def forward(self, state: ImageAndHidden, problem: Problem) -> ImageAndHidden:
        u, h = state
        seen = self.encoder(torch.cat([u, problem.gradient(u)], dim=1)).to(u.dtype)
        h = self.unit(on_parts(torch.relu, seen), h)
        return ImageAndHidden(u + self.decoder(h).to(u.dtype), h)


class RecurrentInferenceMachine(LearnedScheme):
    """Recurrent inference machine: a learned gradient scheme with a gated recurrent unit.

    Weights are drawn from torch's default generator.

    Args:
        iterations: Number of repetitions of the step.
        hidden: Number of images in h.
        image_scale: Size c of a typical image value, in its unit.
        start: Initial image u⁰, see :func:`learnedrecon.models.start.start_of`.
        like: Operator whose images the networks are built for; real images with two axes unless
            given.

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(
        self,
        iterations: int = 8,
        hidden: int = 32,
        *,
        image_scale: float = 1.0,
        start: Start = "auto",
        like: LikeArgument = None,
    ) -> None:
        kind = as_like(like)
        scheme = Repeat(_step(kind, hidden), iterations)
        super().__init__(scheme, kind, start_of(start), image_scale)

    @staticmethod
    def check(spec: Record) -> None:
        require_counts(spec, {"iterations": 1, "hidden": 1})
        require_positive(spec, "image_scale")


def _step(like: Like, f: int) -> RecurrentStep:
    one, last = Convolutions(()), Convolutions((), last_scale=0.1)
    unit = ConvGRU(like.on_images(one, 2 * f, 2 * f), like.on_images(one, 2 * f, f))
    encoder, decoder = like.on_images(one, 2, f), like.on_images(last, f, 1)
    return RecurrentStep(encoder, unit, decoder, f)


def on_parts(function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """A real function of tensors, of the real and the imaginary parts of complex ones.

    Args:
        function: Function of as many real tensors, entry by entry.
        tensors: Tensors, all real or all complex.
    """
    if not tensors[0].is_complex():
        return function(*tensors)
    real, imaginary = [t.real for t in tensors], [t.imag for t in tensors]
    return torch.complex(function(*real), function(*imaginary))

"""deepinv's blurs and its wavelet transform on the CPU."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.against.stand_in import deepinv


@dataclass(frozen=True)
class Pair:
    """A map and its adjoint (or inverse) as somebody computes them.

    Attributes:
        name: whose, and by which of its options.
        forward: from a batch of images.
        adjoint: from what ``forward`` gives.
        data: the tensors in what ``forward`` gives.
    """

    name: str
    forward: Callable[[Tensor], Any]
    adjoint: Callable[[Any], Tensor]
    data: Callable[[Any], Sequence[Tensor]] = lambda value: (value,)


def missing(*packages: str) -> list[str]:
    """Those of deepinv and other packages that cannot be imported."""
    names = ("deepinv", *packages)
    return [name for name in names if importlib.util.find_spec(name) is None]


def blurs(kernel: Tensor, boundary: str, shape: tuple[int, int]) -> list[Pair]:
    """Every way that deepinv has to convolve with this kernel."""
    physics = deepinv("physics")
    weights = kernel.float()[None, None]
    pairs = []
    for use_fft in (False, True):
        blur = physics.Blur(filter=weights, padding=boundary, use_fft=use_fft)
        name = f"deepinv Blur(use_fft={use_fft})"
        pairs.append(Pair(name, blur.A, blur.A_adjoint))
    if boundary == "circular":
        blur = physics.BlurFFT(img_size=(1, *shape), filter=weights)
        pairs.append(Pair("deepinv BlurFFT", blur.A, blur.A_adjoint))
    return pairs


def wavelet(name: str, levels: int) -> Pair:
    """Its periodic wavelet transform, which is that of ptwt."""
    denoiser = deepinv("models").WaveletDenoiser(level=levels, wv=name, mode="periodic")

    def inverse(parts: list[Any]) -> Tensor:
        return denoiser.iwt(list(parts))

    return Pair("deepinv WaveletDenoiser.dwt, iwt", denoiser.dwt, inverse, _leaves)


def _leaves(parts: Any) -> list[Tensor]:  # noqa: ANN401 - nested lists of tensors
    if isinstance(parts, torch.Tensor):
        return [parts]
    return [leaf for part in parts for leaf in _leaves(part)]

"""Noise models, drawn on the device, with one generator per sample of a batch.

A model is a frozen dataclass of numbers, so that it can be written to a configuration and a
checkpoint. The noise of a sample depends only on its own generator, not on its batch or its
position there.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Generator, Tensor

from learnedrecon.data.seeds import Split, seed_sequence
from learnedrecon.errors import ConfigError, DataError, DtypeError, ShapeError, describe

if TYPE_CHECKING:
    from collections.abc import Sequence

_MAX_COUNT: Final = 2.0**31
"""Expected counts above this overflow the 32-bit integers that CUDA draws."""


class Noise(ABC):
    """Base class of noise models: random maps from noiseless to measured data."""

    @property
    def relative_level(self) -> float | None:
        """The standard deviation of white noise relative to mean(abs(y)); None for other noise."""
        return None

    def apply(
        self, clean: Tensor, generators: Sequence[Generator], measured: Tensor | None = None
    ) -> Tensor:
        """One realisation of the noise of each sample, on its measured entries.

        Args:
            clean: Noiseless data (batch, ...), float32 or float64; Gaussian models also accept
                complex64 and complex128.
            generators: Generators, one per sample, on the device of ``clean``, see
                :func:`sample_generator`. Their states advance.
            measured: Boolean mask of the measured entries, which broadcasts against ``clean``; None
                for all. The other entries do not change, and a level relative to the data is
                relative to the measured ones.

        Returns:
            New tensor of the shape, dtype and device of ``clean``.

        Raises:
            ShapeError: There is no batch axis, or not one generator per sample.
            DtypeError: The model does not accept the dtype.
            DataError: A value is NaN, infinite or outside the model, or a generator is on another
                device.
        """
        self._check_dtype(clean)
        _check_generators(clean, generators)
        self._check_values(clean)
        if not generators:
            return clean.clone()
        if measured is None:
            samples = zip(clean.unbind(), generators, strict=True)
            return torch.stack([self._draw(one, generator, one) for one, generator in samples])
        there = measured.to(torch.bool).expand(clean.shape)
        drawn = torch.stack(
            [
                self._draw(one, generator, one[mask])
                for one, generator, mask in zip(clean, generators, there, strict=True)
            ]
        )
        return torch.where(there, drawn, clean)

    @abstractmethod
    def _draw(self, clean: Tensor, generator: Generator, measured: Tensor) -> Tensor:
        """One realisation for one sample, without the batch axis.

        Args:
            clean: The noiseless sample.
            generator: The random numbers.
            measured: The entries of the sample that are measured, in any shape.
        """

    def _check_dtype(self, clean: Tensor) -> None:
        _check_dtype(clean, (torch.float32, torch.float64, torch.complex64, torch.complex128))

    def _check_values(self, clean: Tensor) -> None:
        _reject(~torch.isfinite(clean), clean, expected="finite noiseless data")


@dataclass(frozen=True)
class NoNoise(Noise):
    """No noise: data are checked as in other models, and copied."""

    def _draw(self, clean: Tensor, generator: Generator, measured: Tensor) -> Tensor:  # noqa: ARG002 - none is drawn
        return clean


@dataclass(frozen=True)
class Gaussian(Noise):
    """White Gaussian noise of a given standard deviation.

    Complex noise has E|n|² = ``sigma``², half of it in the real part.

    Attributes:
        sigma: Standard deviation, in the unit of the data.
    """

    sigma: float

    def __post_init__(self) -> None:
        _check_number("sigma", self.sigma, zero_allowed=True)

    def _draw(self, clean: Tensor, generator: Generator, measured: Tensor) -> Tensor:  # noqa: ARG002 - what other classes look at
        return clean + self.sigma * _standard_normal(clean, generator)


@dataclass(frozen=True)
class GaussianRange(Noise):
    """White Gaussian noise whose standard deviation is drawn for each sample, U(low, high).

    Attributes:
        low: Smallest standard deviation, in the unit of the data.
        high: Largest standard deviation.

    Raises:
        ConfigError: A number is negative or not finite, or low is above high.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_number("low", self.low, zero_allowed=True)
        _check_number("high", self.high, zero_allowed=True)
        if self.low > self.high:
            raise ConfigError(
                describe(
                    expected="low <= high",
                    found=f"low = {self.low}, high = {self.high}",
                    fix="exchange them",
                )
            )

    def _draw(self, clean: Tensor, generator: Generator, measured: Tensor) -> Tensor:  # noqa: ARG002 - what other classes look at
        share = torch.rand((), generator=generator, device=clean.device)
        sigma = self.low + (self.high - self.low) * float(share)
        return clean + sigma * _standard_normal(clean, generator)


@dataclass(frozen=True)
class RelativeGaussian(Noise):
    """White Gaussian noise of standard deviation ``level`` · mean(abs(y)), the mean per sample.

    The mean is over the measured entries, so that the level does not decrease with the
    acceleration.

    This is the noise of Adler and Öktem (2017, 2018) with ``level`` .05.

    Attributes:
        level: Standard deviation relative to the mean magnitude of the data.
    """

    level: float

    def __post_init__(self) -> None:
        _check_number("level", self.level, zero_allowed=True)

    @property
    def relative_level(self) -> float:
        return self.level

    def _draw(self, clean: Tensor, generator: Generator, measured: Tensor) -> Tensor:
        size = measured.abs().mean() if measured.numel() else measured.new_zeros(()).abs()
        return clean + self.level * size * _standard_normal(clean, generator)


@dataclass(frozen=True)
class PoissonCounts(Noise):
    """Photon counting noise of transmissions y = exp(-P u): Poisson(``photons``·y) / ``photons``.

    Transmissions above 1, from phantoms with negative attenuation, are accepted.

    Attributes:
        photons: Expected count of an unattenuated ray.
    """

    photons: float

    def __post_init__(self) -> None:
        _check_number("photons", self.photons, zero_allowed=False)

    def _check_dtype(self, clean: Tensor) -> None:
        _check_dtype(clean, (torch.float32, torch.float64))

    def _check_values(self, clean: Tensor) -> None:
        super()._check_values(clean)
        _reject(clean < 0.0, clean, expected="transmissions, which are not negative")
        _reject(
            self.photons * clean > _MAX_COUNT,
            clean,
            expected=f"transmissions with at most {_MAX_COUNT:.3g} expected counts at "
            f"{self.photons:g} photons",
        )

    def _draw(self, clean: Tensor, generator: Generator, measured: Tensor) -> Tensor:  # noqa: ARG002 - what other classes look at
        return torch.poisson(self.photons * clean, generator=generator) / self.photons


@dataclass(frozen=True)
class PoissonLog(Noise):
    """Photon counting noise of line integrals y: data -ln(c/N) with c ~ Poisson(N exp(-y)).

    With N = 4096 photons and a least count of 0.1 this is the noise of LoDoPaB-CT (Leuschner et al.
    2021).

    Attributes:
        photons: Expected count N of an unattenuated ray.
        min_count: Value in place of a count of zero, which has no logarithm.
    """

    photons: float
    min_count: float = 0.1

    def __post_init__(self) -> None:
        _check_number("photons", self.photons, zero_allowed=False)
        _check_number("min_count", self.min_count, zero_allowed=False)

    def _check_dtype(self, clean: Tensor) -> None:
        _check_dtype(clean, (torch.float32, torch.float64))

    def _check_values(self, clean: Tensor) -> None:
        super()._check_values(clean)
        smallest = math.log(self.photons / _MAX_COUNT)
        _reject(
            clean < smallest,
            clean,
            expected=f"line integrals of at least {smallest:.4g}, which give {_MAX_COUNT:.3g} "
            f"counts at {self.photons:g} photons",
        )

    def _draw(self, clean: Tensor, generator: Generator, measured: Tensor) -> Tensor:  # noqa: ARG002 - what other classes look at
        counts = torch.poisson(self.photons * torch.exp(-clean), generator=generator)
        counts = torch.where(counts == 0.0, self.min_count, counts)
        return -torch.log(counts / self.photons)


def sample_generator(
    seed: int, split: Split, index: int, device: torch.device | str = "cpu"
) -> Generator:
    """The noise generator of a sample, seeded by a hash of ``(seed, split, index)``.

    PyTorch's generator on the CPU uses 32 of the 63 bits of the hash, the one on CUDA all of them;
    the two draw different numbers.

    Args:
        seed: Seed of the data set.
        split: "train", "validation" or "test".
        index: Index of the sample in its split.
        device: Device of the generator.

    Raises:
        ConfigError: The split is unknown, or a number is out of range.
    """
    words = seed_sequence(seed, split, index, purpose="noise").generate_state(1, np.uint64)
    generator = Generator(device)
    generator.manual_seed(int(words[0]) >> 1)
    return generator


def _standard_normal(like: Tensor, generator: Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=like.device)


def _check_number(name: str, number: float, *, zero_allowed: bool) -> None:
    if not math.isfinite(number) or number < 0.0 or (number == 0.0 and not zero_allowed):
        sign = "not negative" if zero_allowed else "positive"
        raise ConfigError(
            describe(
                expected=f"{name} to be finite and {sign}",
                found=f"{name} = {number}",
                fix=f"choose another {name}",
            )
        )


def _check_dtype(clean: Tensor, allowed: tuple[torch.dtype, ...]) -> None:
    if clean.dtype not in allowed:
        raise DtypeError(
            describe(
                expected=f"data of type {', '.join(str(dtype) for dtype in allowed)}",
                found=str(clean.dtype),
                fix="convert the data, or choose another noise model",
            )
        )


def _check_generators(clean: Tensor, generators: Sequence[Generator]) -> None:
    if clean.ndim == 0 or len(generators) != len(clean):
        raise ShapeError(
            describe(
                expected="data of shape (batch, ...) and one generator for each sample",
                found=f"data of shape {tuple(clean.shape)} and {len(generators)} generators",
                fix="build the generators with sample_generator, one for each sample id",
            )
        )
    for place, generator in enumerate(generators):
        if generator.device.type != clean.device.type:
            raise DataError(
                describe(
                    expected=f"generators on the device of the data, {clean.device}",
                    found=f"generator {place} on {generator.device}",
                    fix="give this device to sample_generator",
                )
            )


def _reject(wrong: Tensor, clean: Tensor, *, expected: str) -> None:
    if not bool(wrong.any()):
        return
    first = tuple(int(i) for i in wrong.nonzero()[0])
    raise DataError(
        describe(
            expected=expected,
            found=f"{int(wrong.sum())} of {wrong.numel()} values that are not, the first being "
            f"{clean[first].item()} in sample {first[0]} at {first[1:]}",
            fix="check the image and the operator that produced these data",
        )
    )

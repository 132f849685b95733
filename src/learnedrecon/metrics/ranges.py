"""Data ranges of PSNR and SSIM, which must be explicit because published tables differ in them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import torch

from learnedrecon.errors import ConfigError, DataError, describe

PRESETS = "'range=NUMBER' (the same for all images, 'range=1') or 'max-min' (of each true image)"


@dataclass(frozen=True)
class FixedRange:
    """The same data range for all images; SSIM in the learned primal-dual paper has the range 2.

    Attributes:
        value: Data range, in the unit of the image.

    Raises:
        ConfigError: ``value`` is not positive and finite.
    """

    value: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.value) and self.value > 0):
            raise ConfigError(
                describe(
                    expected="a positive, finite data range",
                    found=f"{self.value}",
                    fix="give the difference of the largest and the smallest possible value",
                )
            )

    def per_image(self, truth: torch.Tensor) -> torch.Tensor:
        """The range of each image of ``truth`` (batch, channel, ny, nx): shape (batch,)."""
        return truth.new_full((len(truth),), self.value)

    def defined(self, truth: torch.Tensor) -> torch.Tensor:
        """The images that have a range, here all: bool, (batch,)."""
        return truth.new_ones(len(truth), dtype=torch.bool)

    def __str__(self) -> str:
        return f"range={self.value:.17g}"


@dataclass(frozen=True)
class MaxMinPerImage:
    """The data range max - min of each true image, over all channels, as in the dival tables."""

    def per_image(self, truth: torch.Tensor) -> torch.Tensor:
        """The range of each image of ``truth`` (batch, channel, ny, nx): shape (batch,).

        Raises:
            DataError: A true image is constant.
        """
        flat = truth.flatten(start_dim=1)
        value = flat.amax(dim=1) - flat.amin(dim=1)
        if constant := (value == 0).nonzero().flatten().tolist():
            raise DataError(
                describe(
                    expected="true images that are not constant, for the range 'max-min'",
                    found=f"constant images at batch index {constant}",
                    fix="omit these images, or use a fixed range such as 'range=1'",
                )
            )
        return value

    def defined(self, truth: torch.Tensor) -> torch.Tensor:
        """The images that have a range, those that are not constant: bool, (batch,)."""
        flat = truth.flatten(start_dim=1)
        return flat.amax(dim=1) > flat.amin(dim=1)

    def __str__(self) -> str:
        return "max-min"


DataRange: TypeAlias = FixedRange | MaxMinPerImage


def parse_range(text: str) -> DataRange:
    """The data range of a text, 'range=1' or 'max-min'; the inverse of ``str``.

    Args:
        text: Text to parse.

    Raises:
        ConfigError: The text has another form; the message names the accepted ones.
    """
    if text == "max-min":
        return MaxMinPerImage()
    name, _, number = text.partition("=")
    if name != "range":
        raise _unknown(text)
    try:
        value = float(number)
    except ValueError:
        raise _unknown(text) from None
    return FixedRange(value)


def check_range(data_range: object) -> None:
    """Check for a :data:`DataRange`, not a bare number or a string.

    Args:
        data_range: Value to check.

    Raises:
        ConfigError: ``data_range`` is not one.
    """
    if not isinstance(data_range, FixedRange | MaxMinPerImage):
        raise ConfigError(
            describe(
                expected="a FixedRange or MaxMinPerImage as data_range",
                found=f"{data_range!r}",
                fix=f"wrap the number in FixedRange, or use parse_range with {PRESETS}",
            )
        )


def _unknown(text: str) -> ConfigError:
    return ConfigError(
        describe(expected=f"a data range, {PRESETS}", found=repr(text), fix="use one of these")
    )

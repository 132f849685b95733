"""Image and data formats of an operator, and networks for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import torch
from pydantic import PlainSerializer, PlainValidator
from torch import nn

from learnedrecon.errors import ConfigError, ShapeError, describe
from learnedrecon.networks.as_real import AsReal
from learnedrecon.networks.folded import Folded
from learnedrecon.operators.base import Operator
from learnedrecon.specs import from_plain, to_plain

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.problem import Problem

Build: TypeAlias = Callable[[int, int, int], nn.Module]
"""From channels in, channels out and the number of space axes to a real network."""

_MOST_AXES = 3


@dataclass(frozen=True)
class Like:
    """The formats of images and data that a model is built for, as plain numbers.

    ``Like.of(T)`` takes them from an operator. It creates networks from the number of image-like or
    data-like variables of input and output: all channels of the image count as one variable,
    complex values become two real channels, and axes beyond ``image_axes`` or ``data_axes``, such
    as coils, are folded into the batch.

    Attributes:
        channels: Number of channels of an image, 3 for RGB; data have as many.
        image_axes: Number of axes of an image over which networks convolve, 1 to 3.
        data_axes: Number of axes of the data over which networks convolve, 1 to 3.
        image_complex: True if images are complex.
        data_complex: True if data are complex.
        image_folded: Number of leading axes of an image that are folded into the batch.
        data_folded: Number of leading axes of the data that are folded into the batch.

    Raises:
        ConfigError: A number is out of range.
    """

    channels: int = 1
    image_axes: int = 2
    data_axes: int = 2
    image_complex: bool = False
    data_complex: bool = False
    image_folded: int = 0
    data_folded: int = 0

    def __post_init__(self) -> None:
        axes = (self.image_axes, self.data_axes)
        fits = self.channels >= 1 and min(axes) >= 1 and max(axes) <= _MOST_AXES
        if not (fits and min(self.image_folded, self.data_folded) >= 0):
            raise ConfigError(
                describe(
                    expected="at least one channel, and one to three axes to convolve over",
                    found=f"{self}",
                    fix="write Like.of(T), or correct the numbers",
                )
            )

    @classmethod
    def of(cls, operator: Operator, channels: int = 1) -> Like:
        """The formats of images and data of an operator.

        Args:
            operator: T.
            channels: Number of channels of an image; T acts on each.
        """
        image, data = operator.domain, operator.codomain
        image_axes = min(image.ndim, _MOST_AXES)
        data_axes = min(data.ndim - operator.folded_axes, _MOST_AXES)
        return cls(
            channels,
            image_axes,
            data_axes,
            image.is_complex,
            data.is_complex,
            image.ndim - image_axes,
            data.ndim - data_axes,
        )

    @property
    def image_numbers(self) -> int:
        """The number of real numbers of an image in every pixel."""
        return self.channels * (2 if self.image_complex else 1)

    def on_images(self, build: Build, inputs: int, outputs: int) -> nn.Module:
        """A network from ``inputs`` image-like variables to ``outputs``.

        Args:
            build: Function from channels in, channels out and the number of axes to a real network.
            inputs: Number of input variables, each of the shape of an image.
            outputs: Number of output variables.
        """
        return self._network(
            build, (inputs, outputs), self.image_axes, self.image_folded, self.image_complex
        )

    def on_data(self, build: Build, inputs: int, outputs: int) -> nn.Module:
        """A network from ``inputs`` data-like variables to ``outputs``; see :meth:`on_images`."""
        return self._network(
            build, (inputs, outputs), self.data_axes, self.data_folded, self.data_complex
        )

    def _network(
        self,
        build: Build,
        ends: tuple[int, int],
        axes: int,
        folded: int,
        is_complex: bool,  # noqa: FBT001 - of a space
    ) -> nn.Module:
        numbers = self.channels * (2 if is_complex else 1)
        network = build(numbers * ends[0], numbers * ends[1], axes)
        network = AsReal(network) if is_complex else network
        return Folded(network, folded) if folded else network

    def to_channels(self, images: Tensor) -> Tensor:
        """Images as a network sees them: real channels, and folded axes in the batch.

        Args:
            images: Images, (batch, c, *folded, *space).

        Returns:
            (batch · folded, c, *space), with the real parts before the imaginary ones of complex
            images.
        """
        axes = self.image_folded
        seen = images.movedim(1, 1 + axes).flatten(0, axes)
        return torch.cat([seen.real, seen.imag], dim=1) if seen.is_complex() else seen

    def from_channels(self, channels: Tensor, batch: tuple[int, ...]) -> Tensor:
        """The inverse of :meth:`to_channels`.

        Args:
            channels: Real channels, (batch · folded, channels, *space).
            batch: Sizes of the batch and of the folded axes.
        """
        parts = channels.chunk(2, dim=1)
        images = torch.complex(*parts) if self.image_complex else channels
        return images.unflatten(0, batch).movedim(1 + self.image_folded, 1)

    def require(self, problem: Problem, *, data: bool = True) -> None:
        """Check that a problem has the images and data that the model was built for.

        Raises:
            ShapeError: They differ; the message names both, and what to write.
        """
        found = Like.of(problem.operator, problem.data.shape[1])
        images = replace(found, data_axes=self.data_axes, data_complex=self.data_complex)
        images = replace(images, data_folded=self.data_folded)
        if (found if data else images) != self:
            raise ShapeError(
                describe(
                    expected=f"a problem of {self.image_text} and {self.data_text}, for which"
                    " the model was built",
                    found=f"{found.image_text} and {found.data_text}",
                    fix="build the model for the operator, by like=T, or like=Like.of(T, channels)",
                )
            )

    @property
    def image_text(self) -> str:
        """The images in words."""
        return f"{_text(self.channels, self.image_axes, self.image_complex)} images"

    @property
    def data_text(self) -> str:
        """The data in words."""
        coils = f", {self.data_folded} more folded into the batch" if self.data_folded else ""
        return f"{_text(self.channels, self.data_axes, self.data_complex)} data{coils}"


def as_like(value: Any) -> Like:  # noqa: ANN401 - what a constructor is given
    """The :class:`Like` of an operator, of plain data, or of None: real images with two axes.

    Args:
        value: Operator, :class:`Like`, mapping, or None.

    Raises:
        ConfigError: The value is of another kind.
    """
    if value is None:
        return Like()
    if isinstance(value, Operator):
        return Like.of(value)
    if isinstance(value, Like):
        return value
    return from_plain(Like, value, "like")


def _text(channels: int, axes: int, is_complex: bool) -> str:  # noqa: FBT001 - of a space
    kind = "complex" if is_complex else "real"
    return f"{kind} {axes}D" + ("" if channels == 1 else f", {channels}-channel")


def _recorded(value: Any) -> Like | None:  # noqa: ANN401 - what a constructor is given
    return None if value is None else as_like(value)


def _plain(value: Like | None) -> Any:  # noqa: ANN401 - plain data
    return None if value is None else to_plain(value)


LikeArgument: TypeAlias = Annotated[
    Operator | Like | None, PlainValidator(_recorded), PlainSerializer(_plain)
]
"""An argument ``like``: an operator, a :class:`Like`, or None for real images with two axes."""

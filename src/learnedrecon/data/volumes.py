"""Volumes: samples of a dataset that are scored together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Volume(Protocol):
    """Samples that are the slices of one volume, and the part of them that is scored."""

    @property
    def name(self) -> str:
        """The name of the volume."""
        ...

    @property
    def ids(self) -> tuple[str, ...]:
        """The names of its samples, in order."""
        ...

    def cropped(self, image: Tensor) -> Tensor:
        """The part of one image that is scored, real, (ny, nx).

        Args:
            image: Image of one sample.
        """
        ...

    def reference(self) -> Tensor | None:
        """Images to compare with, (slice, ny, nx); None for the true images of the samples."""
        ...

"""Volumes of slices, as the challenge crops and scores them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from learnedrecon.data.kspace.header import KSpaceFile


class KSpaceVolume(NamedTuple):
    """The slices of one file.

    Attributes:
        file: Header of the file.
        numbers: Numbers of the slices.
        ids: Names of their samples.
        scale: Function to the number by which data and true images are divided.
    """

    file: KSpaceFile
    numbers: tuple[int, ...]
    ids: tuple[str, ...]
    scale: Callable[[], float]

    @property
    def name(self) -> str:
        """The name of the volume."""
        return self.file.path.stem

    def cropped(self, image: Tensor) -> Tensor:
        """The magnitude of the reconstructed matrix of an image, (ny, nx).

        Args:
            image: Image of one slice, (ny, kx), complex or real.
        """
        return cropped(image.abs(), self.file.matrix)

    def reference(self) -> Tensor | None:
        """The file's own reference images over the scale, (slice, ny, nx), or None.

        Raises:
            FileFormatError: The file is damaged.
        """
        if self.file.reference is None:
            return None
        images = [self.file.reference_image(number) for number in self.numbers]
        stack = torch.stack([torch.from_numpy(image) for image in images if image is not None])
        return cropped(stack, self.file.matrix) / self.scale()


def cropped(images: Tensor, matrix: tuple[int, int]) -> Tensor:
    """The middle of images, at most as large as they are, as fastMRI's ``center_crop`` takes it.

    Args:
        images: Images (..., ny, nx).
        matrix: Shape to crop to.
    """
    rows, columns = (min(n, m) for n, m in zip(images.shape[-2:], matrix, strict=True))
    top, left = ((n - m) // 2 for n, m in zip(images.shape[-2:], (rows, columns), strict=True))
    return images[..., top : top + rows, left : left + columns]

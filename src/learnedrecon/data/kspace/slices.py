"""One slice of k-space as the data of an operator: cropped readout, mask, coil maps, image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor

from learnedrecon.choices import require_choices
from learnedrecon.data.kspace.map_cache import cached_maps
from learnedrecon.errors import ConfigError, DataError, describe, require
from learnedrecon.operators.mri.cartesian_spec import Cartesian
from learnedrecon.operators.mri.sampling import sampling_mask
from learnedrecon.solvers.coils.coil_maps import coil_images, low_resolution_maps, rss
from learnedrecon.solvers.coils.espirit import espirit

if TYPE_CHECKING:
    from learnedrecon.data.kspace.header import KSpaceFile


@dataclass(frozen=True)
class CoilMapSpec:
    """The computation of coil maps from the fully sampled centre of k-space.

    Attributes:
        kind: "espirit", see :func:`learnedrecon.solvers.espirit`, or "low_resolution", which is
            faster, keeps the phase of the object in the maps, and needs no disk.
        calibration: Largest side of the calibration region, in samples.
        kernel: Side of ESPIRiT's blocks, in samples; at most the number of lines in the centre.
        threshold: Fraction of the largest singular value below which ESPIRiT's are noise.
        crop: Eigenvalue below which ESPIRiT's maps are zero, in [0, 1]; 0 keeps the whole image.
        cache: Folder for ESPIRiT's maps; None for the user's cache folder, "none" for no files.

    Raises:
        ConfigError: A number is out of range.
    """

    kind: Literal["espirit", "low_resolution"] = "espirit"
    calibration: int = 24
    kernel: int = 6
    threshold: float = 0.02
    crop: float = 0.0
    cache: str | None = None

    def __post_init__(self) -> None:
        require_choices(self)
        fits = 1 <= self.kernel <= self.calibration
        require(
            fits and 0 <= self.threshold < 1 and 0 <= self.crop <= 1,
            ConfigError,
            expected="1 <= kernel <= calibration, a threshold in [0, 1) and a crop in [0, 1]",
            found=f"kernel {self.kernel}, calibration {self.calibration}, threshold "
            f"{self.threshold}, crop {self.crop}",
            fix="correct 'maps'",
        )


class Slice(NamedTuple):
    """A slice of k-space.

    Attributes:
        kspace: k-space with the readout cropped, (coil, ky, kx), zero where nothing was acquired.
        acquired: Acquired samples, bool, (ky, kx).
        spec: Record of the operator of its image.
        clean: k-space without noise, where it is known, or None.
    """

    kspace: Tensor
    acquired: Tensor
    spec: Cartesian
    clean: Tensor | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """The shape (ky, kx) of k-space."""
        return self.kspace.shape[-2], self.kspace.shape[-1]


def read_slice(file: KSpaceFile, number: int) -> Slice:
    """A slice with its readout cropped to the reconstructed matrix.

    Where all samples of a column are acquired or none, ky is the readout, and what it shows beyond
    the matrix is removed, exactly, by two Fourier transforms along it.

    Args:
        file: Header of the file.
        number: Number of the slice, from 0.

    Raises:
        FileFormatError: The file is damaged.
        DataError: A value is NaN or infinite, or all are zero.
    """
    kspace = torch.from_numpy(file.slice(number))
    known = file.clean(number)
    clean = None if known is None else torch.from_numpy(known)
    acquired = sampling_mask(kspace)[0]
    columns = acquired.any(dim=0)
    rows = image_rows(file)
    if rows < kspace.shape[-2] and bool((acquired == columns).all()):
        kspace = crop_readout(kspace, rows) * columns
        clean = None if clean is None else crop_readout(clean, rows)
        acquired = columns.expand(rows, -1)
    shape = (kspace.shape[-2], kspace.shape[-1])
    return Slice(kspace, acquired, Cartesian(shape, coils=file.coils), clean)


def image_rows(file: KSpaceFile) -> int:
    """The number of rows of an image whose readout is cropped.

    Args:
        file: Header of the file.
    """
    return file.matrix[0]


def crop_readout(kspace: Tensor, rows: int) -> Tensor:
    """k-space of the middle rows of the image, by centred orthonormal transforms along ky.

    Args:
        kspace: k-space (..., ky, kx), complex.
        rows: Number of rows to keep, at most ky.
    """
    shifted = torch.fft.ifftshift(kspace, dim=-2)
    lines = torch.fft.fftshift(torch.fft.ifft(shifted, dim=-2, norm="ortho"), dim=-2)
    start = kspace.shape[-2] // 2 - rows // 2
    kept = torch.fft.ifftshift(lines[..., start : start + rows, :], dim=-2)
    return torch.fft.fftshift(torch.fft.fft(kept, dim=-2, norm="ortho"), dim=-2)


def sampled_centre(mask: Tensor, most: int) -> tuple[int, int]:
    """The largest centred rectangle of samples that were all acquired, at most a square.

    It is centred as calibration regions are, from n//2 - size//2 on, and grows along both axes
    alternately.

    Args:
        mask: Acquired samples, bool, (ky, kx).
        most: Largest side.

    Returns:
        Sizes (cy, cx); (0, 0) where the centre was not acquired.
    """
    size, growing = [0, 0], [True, True]
    while any(growing):
        for axis in (0, 1):
            if not growing[axis]:
                continue
            tried = [size[0] + (axis == 0 or not size[0]), size[1] + (axis == 1 or not size[1])]
            starts = [n // 2 - s // 2 for n, s in zip(mask.shape, tried, strict=True)]
            part = mask[starts[0] : starts[0] + tried[0], starts[1] : starts[1] + tried[1]]
            fits = max(tried) <= most and min(starts) >= 0 and tuple(part.shape) == tuple(tried)
            growing[axis] = fits and bool(part.all())
            if growing[axis]:
                size = tried
    return size[0], size[1]


def maps_of(kspace: Tensor, centre: tuple[int, int], spec: CoilMapSpec) -> Tensor:
    """Coil maps from the centre of k-space alone, (coil, ny, nx), from disk where they are there.

    Args:
        kspace: k-space (coil, ky, kx), fully sampled in the centre.
        centre: Sizes (cy, cx) of the calibration region.
        spec: Computation.

    Raises:
        ConfigError: The centre has fewer samples than a block of ESPIRiT.
        DataError: The centre is not fully sampled.
    """
    require(
        min(centre) >= spec.kernel or spec.kind == "low_resolution",
        DataError,
        expected=f"at least {spec.kernel} x {spec.kernel} samples in the fully sampled centre of "
        "k-space, for coil maps by ESPIRiT",
        found=f"{centre[0]} x {centre[1]}",
        fix="choose a larger centre fraction of the mask, or a smaller 'kernel' or "
        "'low_resolution' in 'maps'",
    )
    if spec.kind == "low_resolution":
        return low_resolution_maps(kspace, calibration=centre, threshold=0.0)
    centred = _centre(kspace, centre)

    def computed() -> Tensor:
        found = espirit(
            kspace,
            calibration=centre,
            kernel=spec.kernel,
            threshold=spec.threshold,
            crop=spec.crop,
        )
        return found.maps

    key = ("espirit", tuple(kspace.shape), centre, spec.kernel, spec.threshold, spec.crop)
    return cached_maps(centred, key, computed, spec.cache)


def combined(kspace: Tensor, maps: Tensor | None) -> Tensor:
    """The image of k-space, complex, (ny, nx): Σ_c S̄_c u_c of coil images, or that of one coil.

    Args:
        kspace: k-space (coil, ky, kx).
        maps: Coil maps S, (coil, ny, nx), or None for one coil.
    """
    images = coil_images(kspace)
    return images[0] if maps is None else (maps.conj() * images).sum(0)


@lru_cache(maxsize=4096)
def file_scale(file: KSpaceFile, centre: tuple[int, int]) -> float:
    """The size of the images of a file: the largest value of a coarse image of its middle slice.

    The image is that of the centre of k-space alone, zero-filled, by the root of the sum of
    squares. It does not depend on the mask, and all slices of a file share it, so that the scores
    of volumes do not depend on it.

    Args:
        file: Header of the file.
        centre: Sizes (cy, cx) of the part of k-space that is used.

    Raises:
        FileFormatError: The file is damaged.
        DataError: The part is zero.
    """
    kspace = read_slice(file, file.shape[0] // 2).kspace
    coarse = torch.zeros_like(kspace)
    rows, columns = (
        slice(n // 2 - size // 2, n // 2 - size // 2 + size)
        for n, size in zip(kspace.shape[-2:], centre, strict=True)
    )
    coarse[:, rows, columns] = kspace[:, rows, columns]
    size = float(rss(coil_images(coarse)).max())
    if not size > 0:
        raise DataError(
            describe(
                expected=f"values in the centre of k-space of {file.path}",
                found="zeros alone",
                fix="check whether k = 0 is in the middle of the array, n//2",
            )
        )
    return size


def _centre(kspace: Tensor, sizes: tuple[int, int]) -> Tensor:
    rows, columns = (n // 2 - size // 2 for n, size in zip(kspace.shape[-2:], sizes, strict=True))
    return kspace[..., rows : rows + sizes[0], columns : columns + sizes[1]]

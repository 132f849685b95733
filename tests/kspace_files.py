"""Files in the public layout of fastMRI, with phantoms seen by birdcage coils."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import torch

from learnedrecon.data.phantoms.birdcage import birdcage_maps
from learnedrecon.data.phantoms.shepp_logan import shepp_logan

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

XML = """<?xml version="1.0"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><encoding>
<encodedSpace><matrixSize><x>{ky}</x><y>{encoded}</y><z>1</z></matrixSize>
<fieldOfView_mm><x>280</x><y>140</y><z>4.5</z></fieldOfView_mm></encodedSpace>
<reconSpace><matrixSize><x>{ny}</x><y>{nx}</y><z>1</z></matrixSize>
<fieldOfView_mm><x>140</x><y>140</y><z>4.5</z></fieldOfView_mm></reconSpace>
<encodingLimits><kspace_encoding_step_1><minimum>0</minimum><maximum>{maximum}</maximum>
<center>{centre}</center></kspace_encoding_step_1></encodingLimits></encoding></ismrmrdHeader>"""


@dataclass(frozen=True)
class Scan:
    """A file in the layout of fastMRI.

    Attributes:
        matrix: of the reconstructed image.
        kspace: with readout oversampling and a wider phase encoding.
        slices, coils: numbers; coils None for one coil without an axis.
        padding: columns of zeros at both sides.
        header: True for an XML header.
        reference: True for reference images.
        mask: of a test file, which is undersampled, or None.
        noise: standard deviation of complex noise, relative to the largest image value.
        attributes: of the file.
    """

    matrix: tuple[int, int] = (32, 32)
    kspace: tuple[int, int] = (64, 36)
    slices: int = 3
    coils: int | None = 4
    padding: int = 0
    header: bool = True
    reference: bool = True
    mask: tuple[int, ...] | None = None
    noise: float = 0.0
    attributes: tuple[tuple[str, object], ...] = (("acquisition", "AXT2"), ("patient_id", ""))

    def but(self, **changes: object) -> Scan:
        return replace(self, **changes)  # type: ignore[arg-type]


SMALL = Scan()
SIZE = 3e-5
"""Of an image value of 1, as raw data have it."""


def transform(images: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """The centred orthonormal FFT over the last two axes."""
    shifted = np.fft.ifftshift(images, axes=(-2, -1))
    return np.fft.fftshift(np.fft.fft2(shifted, norm="ortho"), axes=(-2, -1))


def inverse(kspace: NDArray[np.complexfloating]) -> NDArray[np.complexfloating]:
    shifted = np.fft.ifftshift(kspace, axes=(-2, -1))
    return np.fft.fftshift(np.fft.ifft2(shifted, norm="ortho"), axes=(-2, -1))


def middle(images: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """As fastMRI's center_crop does it."""
    top, left = ((n - m) // 2 for n, m in zip(images.shape[-2:], shape, strict=True))
    return images[..., top : top + shape[0], left : left + shape[1]]


def kspace_of(scan: Scan, seed: int = 0) -> NDArray[np.complex64]:
    """(slice, coil, ky, kx): an object with a smooth phase in the middle, of growing size."""
    random = np.random.default_rng(seed)
    ky, kx = scan.kspace
    ny, nx = scan.matrix
    coils = scan.coils or 1
    maps = birdcage_maps(scan.kspace, coils).numpy() if coils > 1 else np.ones((1, ky, kx))
    y, x = np.meshgrid(np.linspace(-1, 1, ky), np.linspace(-1, 1, kx), indexing="ij")
    images = np.zeros((scan.slices, ky, kx), np.complex128)
    for number in range(scan.slices):
        inner = shepp_logan((ny, min(nx, kx)))
        top, left = (ky - ny) // 2, (kx - inner.shape[1]) // 2
        images[number, top : top + ny, left : left + inner.shape[1]] = inner * (1 + 0.2 * number)
    images *= np.exp(1j * (0.7 * y - 0.4 * x)) * SIZE
    kspace = transform(images[:, None] * maps)
    draws = random.normal(size=(2, *kspace.shape)) * scan.noise * SIZE
    kspace = kspace + draws[0] + 1j * draws[1]
    if scan.padding:
        kspace[..., : scan.padding] = 0
        kspace[..., kx - scan.padding :] = 0
    return kspace.astype(np.complex64)


def write_scan(path: Path, scan: Scan = SMALL, seed: int = 0) -> Path:
    """One file."""
    kspace = kspace_of(scan, seed)
    images = np.linalg.norm(inverse(kspace), axis=1)
    ky, kx = scan.kspace
    if scan.mask is not None:
        kspace = kspace * np.asarray(scan.mask, np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["kspace"] = kspace if scan.coils is not None else kspace[:, 0]
        if scan.mask is not None:
            file["mask"] = np.asarray(scan.mask, np.float32)
        if scan.reference and scan.mask is None:
            name = "reconstruction_rss" if scan.coils is not None else "reconstruction_esc"
            file[name] = middle(images, scan.matrix).astype(np.float32)
            file.attrs["max"] = float(images.max())
        if scan.header:
            lines = kx - 2 * scan.padding
            ny, nx = scan.matrix
            file["ismrmrd_header"] = XML.format(
                ky=ky, encoded=kx, ny=ny, nx=nx, maximum=lines - 1, centre=kx // 2 - scan.padding
            )
        for name, value in scan.attributes:
            file.attrs[name] = value
    return path


def as_tensor(values: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values))

"""k-space that is simulated from magnitude images: random smooth phase, coils, noise.

Simulated raw data flatter a method: the images have been reconstructed, filtered, interpolated and
stored by others before, and noise, coils and phase are those of the model (Shimron, Tamir, Wang and
Lustig 2022, Implicit data crimes, PNAS 119, doi:10.1073/pnas.2117203119).
"""

from __future__ import annotations

import hashlib
import logging
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from learnedrecon.data.files.arrays import ending_of
from learnedrecon.data.kspace.header import KSpaceFile, KSpaceSource
from learnedrecon.data.kspace.images import MAGNITUDE_ENDINGS, magnitude_volume
from learnedrecon.data.phantoms.birdcage import birdcage_maps
from learnedrecon.errors import ConfigError, FileFormatError, require
from learnedrecon.files import refuse_size, require_file

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_LOG = logging.getLogger(__name__)

WARNING: Final = (
    "k-space is simulated from magnitude images, with a random smooth phase, birdcage coils and "
    "white noise. Scores on simulated raw data flatter a method (Shimron et al. 2022, "
    "doi:10.1073/pnas.2117203119): judge it on measured k-space."
)


@dataclass(frozen=True)
class MagnitudeSimulation:
    """The simulation of k-space from magnitude images.

    Everything random is drawn from the name of the file, so that it is the same in every epoch,
    process and run. Of a file, coils have a common radius and random phases; each slice has a phase
    of its own.

    Attributes:
        coils: Number of birdcage coils; 1 for a single coil without maps.
        noise: Standard deviation of the real and imaginary parts of the noise in k-space, relative
            to the largest magnitude of the volume.
        phase: Largest magnitude of the phase of the image, in radians.

    Raises:
        ConfigError: A number is out of range.
    """

    coils: int = 8
    noise: float = 0.01
    phase: float = 2.0

    def __post_init__(self) -> None:
        good = 1 <= self.coils <= 256 and self.noise > 0 and self.phase >= 0
        require(
            good and math.isfinite(self.noise) and math.isfinite(self.phase),
            ConfigError,
            expected="1 to 256 coils, noise > 0 and a phase >= 0",
            found=f"coils = {self.coils}, noise = {self.noise}, phase = {self.phase}",
            fix="correct 'simulation'",
        )


@dataclass(frozen=True)
class SimulatedSource(KSpaceSource):
    """k-space of the slices of a magnitude volume.

    Attributes:
        simulation: Numbers of the simulation.
        largest: Largest magnitude of the volume.
    """

    simulation: MagnitudeSimulation
    largest: float
    layout = "simulated from magnitude images"

    def slice(self, path: Path, number: int) -> NDArray[Any]:
        clean = self.clean(path, number)
        draws = _generator(path, 1, number).normal(size=(2, *clean.shape))
        sigma = self.simulation.noise * self.largest
        return clean + sigma * (draws[0] + 1j * draws[1])

    def clean(self, path: Path, number: int) -> NDArray[Any]:
        image = magnitude_volume(path).values[number].astype(np.float64)
        angle = smooth_phase(image.shape, self.simulation.phase, _generator(path, 0, number))
        maps = _coils(path.name, image.shape, self.simulation.coils)
        return _transformed(maps * (image * np.exp(1j * angle)))

    def reference_image(self, path: Path, number: int) -> NDArray[Any]:
        return magnitude_volume(path).values[number]


def simulated_file(path: Path, simulation: MagnitudeSimulation) -> KSpaceFile:
    """The header of the k-space that is simulated from a file with magnitude images.

    Args:
        path: Path of a file that ends as
            :data:`learnedrecon.data.kspace.images.MAGNITUDE_ENDINGS` has it.
        simulation: Numbers of the simulation.

    Raises:
        FileFormatError: The file cannot be read.
        ShapeError: It has neither two nor three axes.
        DataError: A value is complex, negative, NaN or infinite, or all are zero.
    """
    require_file(path, "a file with magnitude images")
    require(
        ending_of(path) in MAGNITUDE_ENDINGS,
        FileFormatError,
        expected=f"magnitude images in {', '.join(sorted(MAGNITUDE_ENDINGS))}",
        found=str(path),
        fix="convert the file",
    )
    volume = magnitude_volume(path)
    slices, ny, nx = volume.values.shape
    refuse_size(path, 32 * simulation.coils * ny * nx)
    peaks = volume.values.max(axis=(1, 2))
    coils = None if simulation.coils == 1 else simulation.coils
    return KSpaceFile(
        path,
        SimulatedSource(simulation, float(peaks.max())),
        (slices, simulation.coils, ny, nx),
        coils,
        (ny, nx),
        volume.voxel,
        volume.affine,
        reference="the magnitude images",
        attributes=() if volume.subject is None else (("patient_id", volume.subject),),
        missing=() if volume.voxel else ("the size of voxels",),
        notes=(WARNING,),
        empty=tuple(int(k) for k in np.flatnonzero(peaks == 0)),
    )


class SimulatedSlice(NamedTuple):
    """The k-space of one image.

    Attributes:
        kspace: k-space with noise, (coil, ky, kx).
        image: Image with its phase, (ny, nx).
        maps: Coil maps, (coil, ny, nx); ones for a single coil.
    """

    kspace: NDArray[np.complex128]
    image: NDArray[np.complex128]
    maps: NDArray[np.complex128]


def simulated_kspace(
    magnitude: NDArray[np.float64], simulation: MagnitudeSimulation, generator: np.random.Generator
) -> SimulatedSlice:
    """k-space of one image, whose largest magnitude the noise counts as 1.

    Args:
        magnitude: Magnitudes (ny, nx).
        simulation: Numbers of the simulation.
        generator: Source of phase, coils and noise.
    """
    image = magnitude * np.exp(1j * smooth_phase(magnitude.shape, simulation.phase, generator))
    maps = _drawn_coils(magnitude.shape, simulation.coils, generator)
    clean = _transformed(maps * image)
    draws = generator.normal(size=(2, *clean.shape))
    return SimulatedSlice(clean + simulation.noise * (draws[0] + 1j * draws[1]), image, maps)


@lru_cache(maxsize=64)
def note_simulation(path: str) -> None:
    """Says once for a folder that simulated raw data flatter a method.

    Args:
        path: Path of the folder.
    """
    _LOG.warning("%s: %s", path, WARNING)


def smooth_phase(
    shape: tuple[int, ...], largest: float, generator: np.random.Generator
) -> NDArray[np.float64]:
    """A random polynomial of degree 3 in both coordinates together, (ny, nx), in radians.

    Args:
        shape: Shape (ny, nx).
        largest: Largest magnitude of the phase.
        generator: Source of the coefficients.
    """
    y, x = (np.linspace(-1.0, 1.0, n) for n in shape)
    powers = [(i, j) for i in range(4) for j in range(4 - i)]
    weights = generator.normal(size=len(powers))
    terms = [
        w * np.outer(y**i, x**j) / (1 + i + j) for w, (i, j) in zip(weights, powers, strict=True)
    ]
    total = np.sum(terms, axis=0)
    size = float(np.abs(total).max())
    return np.asarray(largest * total / size if size > 0 else total, np.float64)


@lru_cache(maxsize=4)
def _coils(name: str, shape: tuple[int, int], coils: int) -> NDArray[Any]:
    """Maps (coil, ny, nx) of a file, or 1 for one coil."""
    return _drawn_coils(shape, coils, np.random.default_rng(_words(name, 2, 0)))


def _drawn_coils(
    shape: tuple[int, ...], coils: int, generator: np.random.Generator
) -> NDArray[Any]:
    if coils == 1:
        return np.ones((1, *shape))
    maps = birdcage_maps(shape, coils, radius=float(generator.uniform(1.5, 2.5))).numpy()
    turns = np.exp(2j * np.pi * generator.random((coils, 1, 1)))
    return np.asarray(maps * turns)


def _transformed(images: NDArray[Any]) -> NDArray[Any]:
    shifted = np.fft.ifftshift(images, axes=(-2, -1))
    return np.fft.fftshift(np.fft.fft2(shifted, norm="ortho"), axes=(-2, -1))


def _generator(path: Path, purpose: int, number: int) -> np.random.Generator:
    return np.random.default_rng(_words(path.name, purpose, number))


def _words(name: str, purpose: int, number: int) -> list[int]:
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    return [*np.frombuffer(digest, np.uint32).tolist(), purpose, number]

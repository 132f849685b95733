"""Reconstruction of all slices of a file with k-space."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import torch
from torch import Tensor

from learnedrecon.data.draws import draws_of
from learnedrecon.data.kspace.dataset import KSpaceSpec
from learnedrecon.data.kspace.files import read_kspace
from learnedrecon.data.kspace.images import magnitude_volume
from learnedrecon.data.kspace.simulated import (
    MagnitudeSimulation,
    note_simulation,
    simulated_file,
)
from learnedrecon.data.kspace.slices import (
    CoilMapSpec,
    file_scale,
    maps_of,
    read_slice,
    sampled_centre,
)
from learnedrecon.data.kspace.volumes import cropped
from learnedrecon.errors import ConfigError, DataError, describe, require
from learnedrecon.experiments.experiment import FIDELITIES
from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.sampling import RandomLines
from learnedrecon.problem import InverseProblem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from learnedrecon.data.kspace.header import KSpaceFile
    from learnedrecon.data.kspace.slices import Slice
    from learnedrecon.experiments.method import Method
    from learnedrecon.operators.mri.sampling import MaskSpec


_UNTRAINED: Final = RandomLines((4,), (0.16,))
"""The undersampling of simulated k-space for methods that were trained on none."""


class KSpaceImages(NamedTuple):
    """The reconstructed slices of a file.

    Attributes:
        images: Complex images of the reconstructed matrix, (slice, 1, ny, nx), in the unit of the
            file, on the CPU.
        operator: T of the last slice.
        seconds: Time of the method in seconds, without reading and coil maps.
        residual: ‖Tu - y‖/‖y‖ over all slices, before the images are cropped.
        status: Outcome of the solver for the last slice, or None.
        file: Header of the file.
    """

    images: Tensor
    operator: CartesianMRI
    seconds: float
    residual: float
    status: str | None
    file: KSpaceFile


@dataclass
class _Totals:
    """Sums over the slices."""

    seconds: float = 0.0
    misfit: float = 0.0
    energy: float = 0.0
    status: str | None = None


@torch.no_grad()
def reconstruct_kspace(
    method: Method,
    path: Path,
    *,
    device: torch.device,
    scale: float = 1.0,
    simulate: bool = False,
) -> KSpaceImages:
    """The images of all slices of a file, one after the other, from all samples that it has.

    With ``simulate`` the file has magnitude images. Their k-space is simulated and undersampled by
    the mask of the file's name, both as in the training of the method.

    Coil maps come from the fully sampled centre, as those of the training of the method where its
    configuration says how. Data are divided by the size of the file's images, and images multiplied
    by it.

    Args:
        method: Method.
        path: Path of the file.
        device: Device of the computation.
        scale: Size of the images relative to those that the model was trained on.
        simulate: True for a file with magnitude images.

    Raises:
        FileFormatError: The file cannot be read.
        DataError: Values are not finite, or an image is not; the centre is too small for coil maps.
        ShapeError: The method was built for other images.
    """
    training = training_of(method)
    file = _simulated(training, path) if simulate else read_kspace(path)
    maps = training.maps
    totals, images = _Totals(), []
    operator: CartesianMRI | None = None
    for number in range(file.shape[0]):
        part = read_slice(file, number)
        part = _undersampled(part, training.mask, path.name) if simulate else part
        centre = sampled_centre(part.acquired, maps.calibration)
        size = file_scale(file, _measured_centre(centre, file)) * scale
        operator = _operator(part, centre, maps).to(device)
        data = (part.kspace / size).reshape(1, 1, *operator.codomain.shape)
        image = _reconstructed(method, operator, data.to(device), totals)
        _require_finite(image, method, file, number)
        images.append(cropped(size * image[0].cpu(), file.matrix))
    assert operator is not None
    residual = (totals.misfit / totals.energy) ** 0.5
    stack = torch.stack(images)
    return KSpaceImages(stack, operator, totals.seconds, residual, totals.status, file)


def number_of_slices(path: Path, *, simulate: bool) -> int:
    """The number of slices of a file.

    Args:
        path: Path of the file.
        simulate: True for a file with magnitude images.

    Raises:
        FileFormatError: The file cannot be read.
    """
    return len(magnitude_volume(path).values) if simulate else read_kspace(path).shape[0]


def training_of(method: Method) -> KSpaceSpec:
    """The masks, coil maps and simulation in the training of a method, or the defaults.

    Args:
        method: Method.
    """
    train = None if method.config is None else method.config.data.train
    return train if isinstance(train, KSpaceSpec) else KSpaceSpec(".", mask=_UNTRAINED)


def _simulated(training: KSpaceSpec, path: Path) -> KSpaceFile:
    note_simulation(str(path))
    return simulated_file(path, training.simulation or MagnitudeSimulation())


def _undersampled(part: Slice, kind: MaskSpec, name: str) -> Slice:
    mask = kind.draw(part.shape, name)
    return part._replace(kspace=part.kspace * mask, acquired=part.acquired & mask)


def _measured_centre(centre: tuple[int, int], file: KSpaceFile) -> tuple[int, int]:
    require(
        min(centre) > 0,
        DataError,
        expected=f"samples in the centre of k-space of {file.path}",
        found="none",
        fix="check whether k = 0 is in the middle of the array, n//2",
    )
    return centre


def _operator(part: Slice, centre: tuple[int, int], maps: CoilMapSpec) -> CartesianMRI:
    """T of one slice."""
    if part.spec.coils is None:
        return CartesianMRI(part.spec, part.acquired)
    return CartesianMRI(part.spec, part.acquired, maps_of(part.kspace, centre, maps))


def _reconstructed(method: Method, operator: CartesianMRI, data: Tensor, totals: _Totals) -> Tensor:
    """The image of one slice, (1, 1, ny, nx); time and misfit are added."""
    draws = draws_of(method.model.draws) if method.model.draws else ()
    problem = InverseProblem(operator, data, FIDELITIES[method.fidelity](), draws=draws)
    begun = time.perf_counter()
    estimate = method.model(problem)
    totals.seconds += time.perf_counter() - begun
    totals.misfit += float((operator(estimate.image) - data).abs().square().sum())
    totals.energy += float(data.abs().square().sum())
    totals.status = estimate.status
    return estimate.image


def _require_finite(image: Tensor, method: Method, file: KSpaceFile, number: int) -> None:
    if not bool(image.isfinite().all()):
        raise DataError(
            describe(
                expected=f"finite images from '{method.label}'",
                found=f"NaN or infinity in slice {number} of {file.path}",
                fix="compare the data with those that the method was trained on; nothing was "
                "written",
            )
        )


def refuse_options(asked: Mapping[str, object]) -> None:
    """Check that nothing is asked for that a file with k-space does not need.

    Args:
        asked: Values by the names of their options; None and False count as not asked.

    Raises:
        ConfigError: An option is given.
    """
    names = [name for name, value in asked.items() if value is not None and value is not False]
    require(
        not names,
        ConfigError,
        expected="a file with k-space, whose operator follows from it, without other options",
        found=", ".join(f"--{name}" for name in names),
        fix="omit them",
    )

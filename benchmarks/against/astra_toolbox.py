"""ASTRA's CPU projectors, called so that only their arithmetic is timed.

Projector, algorithms and buffers are made once; ASTRA works on arrays of ours without copying.
ASTRA's wheels need the CUDA runtime and cuFFT beside them to be imported, even for the CPU code.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from benchmarks.against.stand_in import load
from learnedrecon.operators.ray.geometry2d import FanBeam

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from learnedrecon.compiling import Context
    from learnedrecon.operators.ray.geometry2d import Geometry

    Array = NDArray[np.float32]

NAME = "ASTRA CPU"


class AstraProjector:
    """T and T* of ASTRA between two buffers, image (ny, nx) and data (angles, detectors).

    The image of ASTRA has its first row at the largest y: `image[k]` is our row `ny - 1 - k`.

    Args:
        geometry: with square pixels of 1 and the axis at the centre of the detector.
        kind: of projector; 'linear' is Joseph's method, which ASTRA has for parallel beams only.
    """

    def __init__(self, geometry: Geometry, kind: str | None = None) -> None:
        self._astra = load("astra")
        if geometry.pixel != (1.0, 1.0) or geometry.detector.axis_offset != 0:
            raise ValueError("expected unit pixels and a centred axis")
        ny, nx = geometry.shape
        angles = np.array(geometry.angle_values)
        detector = (geometry.detector.pitch, geometry.detector.pixels, angles)
        volume = self._astra.create_vol_geom(ny, nx)
        if isinstance(geometry, FanBeam):
            kind = kind or "line_fanflat"
            distances = (geometry.source_origin, geometry.origin_detector)
            rays = self._astra.create_proj_geom("fanflat", *detector, *distances)
        else:
            kind = kind or "linear"
            rays = self._astra.create_proj_geom("parallel", *detector)
        self.name = f"{NAME} {kind}"
        self.image = np.zeros((ny, nx), np.float32)
        self.data = np.zeros(geometry.data_shape, np.float32)
        self._projector = self._astra.create_projector(kind, rays, volume)
        self._image_id = self._astra.data2d.link("-vol", volume, self.image)
        self._data_id = self._astra.data2d.link("-sino", rays, self.data)
        self._forward = self._algorithm("FP", "VolumeDataId")
        self._adjoint = self._algorithm("BP", "ReconstructionDataId")
        self._filtered: int | None = None

    def forward(self) -> None:
        """From the image to the data."""
        self._astra.algorithm.run(self._forward)

    def adjoint(self) -> None:
        """From the data to the image."""
        self._astra.algorithm.run(self._adjoint)

    def filtered(self) -> None:
        """From the data to the image by filtered backprojection."""
        if self._filtered is None:
            self._filtered = self._algorithm("FBP", "ReconstructionDataId")
        self._astra.algorithm.run(self._filtered)

    def close(self) -> None:
        """Frees what ASTRA holds."""
        used = [self._forward, self._adjoint, self._filtered]
        self._astra.algorithm.delete([each for each in used if each is not None])
        self._astra.data2d.delete([self._image_id, self._data_id])
        self._astra.projector.delete(self._projector)

    def _algorithm(self, name: str, image_key: str) -> int:
        config = self._astra.astra_dict(name)
        config["ProjectorId"] = self._projector
        config["ProjectionDataId"] = self._data_id
        config[image_key] = self._image_id
        return self._astra.algorithm.create(config)


def with_autograd(projector: AstraProjector, u: Tensor) -> Tensor:
    """T u for images (..., ny, nx), one after the other, whose gradient is ASTRA's T*."""
    return _Apply.apply(u, projector)


class _Apply(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Context, u: Tensor, projector: AstraProjector) -> Tensor:
        ctx.projector = projector
        return _each(u, projector.image, projector.forward, projector.data)

    @staticmethod
    def backward(ctx: Context, v: Tensor) -> tuple[Tensor, None]:
        projector = ctx.projector
        return _each(v, projector.data, projector.adjoint, projector.image), None


def _each(x: Tensor, given: Array, run: Callable[[], None], found: Array) -> Tensor:
    """What a projector makes of every array (..., *given.shape), through its two buffers."""
    lead = x.shape[:-2]
    out = torch.empty((math.prod(lead), *found.shape))
    for one, result in zip(x.flatten(0, -3), out, strict=True):
        np.copyto(given, one.numpy())
        run()
        result.copy_(torch.from_numpy(found))
    return out.reshape(*lead, *found.shape)

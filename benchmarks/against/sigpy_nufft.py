"""SigPy's non-uniform transforms, on arrays of the same layout as ours."""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmarks.against.stand_in import load

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.operators.mri.non_cartesian import NonCartesianMRI

NAME = "SigPy"


class SigPyTransform:
    """T and T* of SigPy for the trajectory and maps of ours, with its own defaults.

    SigPy interpolates with four samples from a grid of 1.25 times the size, which is less accurate
    than ours; its frequencies are in cycles per field of view. It runs on one thread but for FFTs.

    Args:
        operator: in complex64.
    """

    def __init__(self, operator: NonCartesianMRI) -> None:
        sigpy = load("sigpy")
        shape = operator.domain.shape
        cycles = operator.trajectory.numpy() * (np.array(shape) / (2 * math.pi))
        coordinates = cycles.astype(np.float32)
        if operator.maps is None:
            self._forward = sigpy.linop.NUFFT(shape, coordinates)
        else:
            mri = importlib.import_module("sigpy.mri")
            self._forward = mri.linop.Sense(operator.maps.numpy(), coord=coordinates)
        self._adjoint = self._forward.H

    def forward(self, image: Tensor) -> Tensor:
        """T u."""
        return torch.from_numpy(self._forward(image.numpy()))

    def adjoint(self, data: Tensor) -> Tensor:
        """T* v."""
        return torch.from_numpy(self._adjoint(data.numpy()))

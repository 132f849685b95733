"""RTK's Joseph projectors of cone beams, on the CPU, called so that only they are timed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.against.stand_in import load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

NAME = "RTK, Joseph, CPU"


class RtkCone:
    """T and T* of a circular scan with unit voxels and a flat panel.

    RTK turns the source about its y axis: ``to_rtk`` and ``from_rtk`` exchange the axes of volumes.

    Args:
        size: Number of voxels of each side.
        panel: Numbers of rows and columns.
        pitch: Distance of rows and of columns.
        distances: From the source to the axis, and from the axis to the panel.
        angles: Angles in radians.
    """

    def __init__(
        self,
        size: int,
        panel: tuple[int, int],
        pitch: float,
        distances: tuple[float, float],
        angles: Sequence[float],
    ) -> None:
        self._itk = load("itk")
        rtk = self._itk.RTK
        self._kind = self._itk.Image[self._itk.F, 3]
        self._geometry = rtk.ThreeDCircularProjectionGeometry.New()
        for angle in angles:
            whole = float(np.degrees(angle))
            self._geometry.AddProjection(distances[0], sum(distances), whole, 0.0, 0.0)
        self._forward = rtk.JosephForwardProjectionImageFilter[self._kind, self._kind]
        self._adjoint = rtk.JosephBackProjectionImageFilter[self._kind, self._kind]
        middle = [-(n - 1) / 2 * pitch for n in panel[::-1]]
        self._placed = {
            "data": ([pitch, pitch, 1.0], [*middle, 0.0]),
            "volume": ([1.0] * 3, [-(size - 1) / 2] * 3),
        }
        self.data_shape = (len(angles), *panel)
        self.shape = (size,) * 3

    def use(self, threads: int) -> None:
        """Sets the number of threads."""
        self._itk.MultiThreaderBase.SetGlobalDefaultNumberOfThreads(threads)

    def forward(self, volume: Array) -> Array:
        """Data (angle, row, column) of a volume in RTK's order of axes."""
        return self._run(self._forward, ("data", np.zeros(self.data_shape)), ("volume", volume))

    def adjoint(self, data: Array) -> Array:
        """The volume, in RTK's order of axes, of data (angle, row, column)."""
        return self._run(self._adjoint, ("volume", np.zeros(self.shape)), ("data", data))

    def _run(self, kind: Any, zero: tuple[str, Any], given: tuple[str, Any]) -> Array:  # noqa: ANN401 - classes of ITK
        run = kind.New()
        run.SetGeometry(self._geometry)
        kept = []  # ITK looks at the arrays, and does not own them
        for number, (name, values) in enumerate((zero, given)):
            array = np.ascontiguousarray(values, np.float32)
            image = self._itk.image_view_from_array(array)
            spacing, origin = self._placed[name]
            image.SetSpacing(spacing)
            image.SetOrigin(origin)
            run.SetInput(number, image)
            kept.append((array, image))
        run.Update()
        found: Array = self._itk.array_from_image(run.GetOutput())
        return found


def to_rtk(volume: Array) -> Array:
    """A volume (z, y, x), with the axis of rotation along z, as RTK takes it."""
    return np.ascontiguousarray(volume[:, ::-1].transpose(1, 0, 2))


def from_rtk(volume: Array) -> Array:
    """The inverse of :func:`to_rtk`."""
    return np.ascontiguousarray(volume.transpose(1, 0, 2)[:, ::-1])

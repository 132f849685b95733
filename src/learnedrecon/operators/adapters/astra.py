"""Adapter of ASTRA's projectors."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch

from learnedrecon.errors import GeometryError, describe, load_extra
from learnedrecon.operators.adapters.checks import probe, require_instance
from learnedrecon.operators.adapters.foreign import ArrayKernel, ArrayPair, Foreign
from learnedrecon.operators.ray.ramp import has_ramp_filter
from learnedrecon.operators.space import Space

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from learnedrecon.operators.adapters.checks import Theirs

    Array = NDArray[np.float32]

_DEFAULTS = {
    "parallel": "linear",
    "parallel_vec": "linear",
    "fanflat": "line_fanflat",
    "fanflat_vec": "line_fanflat",
    "parallel3d": "cuda3d",
    "parallel3d_vec": "cuda3d",
    "cone": "cuda3d",
    "cone_vec": "cuda3d",
}


def from_astra(
    proj_geom: Mapping[str, Any],
    vol_geom: Mapping[str, Any],
    projector: str | None = None,
    *,
    approximate_adjoint: bool = False,
) -> AstraTransform:
    """The projector of two ASTRA geometries as an operator: 2D on the CPU or CUDA, 3D on CUDA.

    ASTRA computes in float32, sample by sample, with a copy from and to the device of the argument.
    Images and data have ASTRA's axes: images (row, column) with the first row at the largest y
    (``u.flip(-2)`` in this library's convention), volumes (slice, row, column); data (angle,
    detector), in 3D (detector row, angle, detector column). ``subset`` chooses angles.

    The CPU projectors have an exact adjoint. Those of CUDA ("cuda", "cuda3d") do not, as their
    back-projection uses another interpolation. They need ``approximate_adjoint=True``, cannot pass
    ``check_operator``, and have not been tested by this project.

    Args:
        proj_geom: Geometry made by ``astra.create_proj_geom``.
        vol_geom: Geometry made by ``astra.create_vol_geom``.
        projector: ASTRA's name of the projector, such as "linear", "line", "strip", "line_fanflat",
            "cuda"; by default "linear" or "line_fanflat" in 2D and "cuda3d" in 3D.
        approximate_adjoint: True to accept a back-projection that is not the adjoint.

    Raises:
        MissingExtraError: ASTRA is not installed (its wheels need the CUDA runtime and cuFFT
            beside them, even for the CPU).
        DtypeError: The geometries are not ASTRA's.
        GeometryError: ASTRA has no such projector, or its adjoint is approximate and this was not
            accepted.
    """
    astra = load_extra("astra", "astra")
    for geometry, maker in ((proj_geom, "create_proj_geom"), (vol_geom, "create_vol_geom")):
        fix = f"make it by astra.{maker}(...)"
        require_instance(geometry, dict, f"a geometry of astra.{maker}", fix)
    kind = str(proj_geom.get("type", ""))
    name = projector or _DEFAULTS.get(kind, "")
    exact = not name.startswith("cuda")
    if not exact and not approximate_adjoint:
        raise GeometryError(
            describe(
                expected="a projector with an exact adjoint",
                found=f"ASTRA's '{name}', whose back-projection is not the adjoint",
                fix="choose a CPU projector or RayTransform / RayTransform3D, whose adjoints are "
                "exact, or accept it by from_astra(..., approximate_adjoint=True)",
            )
        )
    handle = _Projector(astra, name, dict(proj_geom), dict(vol_geom))
    operator = AstraTransform(handle, exact_adjoint=exact)
    if exact:
        probe(operator, f"ASTRA's projector '{name}'")
    return operator


class AstraTransform(Foreign):
    """ASTRA's forward projection and back-projection, built by :func:`from_astra`.

    Attributes:
        handle: Projector that :func:`from_astra` made.
        exact_adjoint: True where T* is the adjoint of T to rounding.
    """

    row_axis = -2

    def __init__(self, handle: _Projector, *, exact_adjoint: bool) -> None:
        domain = Space(handle.image_shape, torch.float32)
        codomain = Space(handle.data_shape, torch.float32)
        pair = ArrayPair(handle.forward, handle.adjoint)
        kernel = ArrayKernel(pair, domain, codomain, torch.float32)
        super().__init__(kernel, domain, codomain)
        self.handle = handle
        self.exact_adjoint = exact_adjoint

    def restrict(self, rows: tuple[int, ...]) -> AstraTransform:
        return AstraTransform(self.handle.subset(rows), exact_adjoint=self.exact_adjoint)


class _Projector:
    """One projector of ASTRA, freed with this object; shared by copies."""

    def __init__(
        self,
        astra: Theirs,
        name: str,
        rays: dict[str, Any],
        volume: dict[str, Any],
    ) -> None:
        self._astra = astra
        self._name = name
        self._rays = rays
        self._volume = volume
        try:
            number = astra.create_projector(name, rays, volume)
            self._operator = astra.OpTomo(number)
        except Exception as error:  # ASTRA raises bare exceptions
            raise GeometryError(
                describe(
                    expected="a projector of ASTRA for these geometries",
                    found=f"'{name}' for '{rays.get('type')}': {error!s:.200}",
                    fix="see ASTRA's list of projectors; 3D ones and 'cuda' need a GPU",
                )
            ) from error
        is_3d = "GridSliceCount" in volume
        delete = astra.projector3d.delete if is_3d else astra.projector.delete
        weakref.finalize(self, delete, number)
        self.image_shape = tuple(int(size) for size in astra.geom_size(volume))
        self.data_shape = tuple(int(size) for size in astra.geom_size(rays))

    def forward(self, images: Array) -> Array:
        """Images (batch, ...) to data (batch, ...)."""
        return self._each(self._operator.FP, images, self.data_shape)

    def adjoint(self, data: Array) -> Array:
        """Data (batch, ...) to images (batch, ...)."""
        return self._each(self._operator.BP, data, self.image_shape)

    def subset(self, rows: tuple[int, ...]) -> _Projector:
        """The projector of some of the angles."""
        key = "Vectors" if "Vectors" in self._rays else "ProjectionAngles"
        chosen = np.asarray(self._rays[key])[list(rows)]
        return _Projector(self._astra, self._name, {**self._rays, key: chosen}, self._volume)

    @staticmethod
    def _each(function: Callable[[Array], Array], batch: Array, shape: tuple[int, ...]) -> Array:
        out = np.empty((len(batch), *shape), np.float32)
        for one, result in zip(batch, out, strict=True):
            result[...] = function(np.ascontiguousarray(one))
        return out

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self


@has_ramp_filter.register(AstraTransform)
def _(operator: AstraTransform) -> bool:  # noqa: ARG001 - the same for all
    return True

"""ODL's tomographic geometries as ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from learnedrecon.errors import GeometryError, describe, load_extra
from learnedrecon.operators.adapters.checks import require_instance
from learnedrecon.operators.ray.arranged import Arranged
from learnedrecon.operators.ray.beam2d import RayVectors2D
from learnedrecon.operators.ray.beam3d import RayVectors3D
from learnedrecon.operators.ray.curved import CurvedFanBeam
from learnedrecon.operators.ray.detectors import ArcDetector
from learnedrecon.operators.ray.nominal import nominal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from learnedrecon.operators.adapters.checks import Theirs

    Array = NDArray[np.float64]

_NEAR = 1e-9


def geometry_from_odl(geometry: object, space: object) -> Arranged:
    """The scan of an ODL geometry and of the space of its images, for arrays as ODL has them.

    Coordinates and lengths are ODL's, taken as millimetres; a space whose middle is not the origin
    moves sources and detectors. Poses come from ODL's own ``src_position``,
    ``det_point_position`` and ``det_axes``, so shifts, translations and initial directions are all
    in them. Those of a parallel, fan or circular cone beam become that beam, others stay vectors.
    Images of ODL are (x, y) or (x, y, z), its data (angle, u) or (angle, u, v).

    Args:
        geometry: ``odl.applications.tomo.Parallel2dGeometry``, ``FanBeamGeometry``,
            ``Parallel3dAxisGeometry``, ``ConeBeamGeometry`` (helices too); flat detectors, or in 2D
            an arc around the source.
        space: ``odl.uniform_discr`` of the images.

    Returns:
        Its ``geometry`` is the scan in coordinates of this library;
        ``ArrangedTransform(arranged)`` takes and gives ODL's arrays.

    Raises:
        MissingExtraError: ODL is not installed.
        DtypeError: Not a geometry and a space of ODL.
        GeometryError: Another detector, one with unequal pixels, or a scan that we refuse.
    """
    tomo = load_extra("odl.applications.tomo", "odl")
    require_instance(
        geometry, tomo.Geometry, "a geometry of odl.applications.tomo", "hand over the geometry"
    )
    theirs: Theirs = geometry
    grid: Any = getattr(space, "partition", None)
    if grid is None or grid.ndim != theirs.ndim or not grid.is_uniform:
        raise _refused("a uniform space of as many axes as the geometry has", f"{space!r:.120}")
    centre = np.asarray(grid.mid_pt, dtype=np.float64)
    shape = tuple(int(number) for number in grid.shape[::-1])
    sizes = tuple(float(size) for size in grid.cell_sides[::-1])
    pixel = sizes if len(set(sizes)) > 1 else sizes[0]
    if theirs.motion_params.ndim != 1 or not theirs.det_partition.is_uniform:
        raise _refused("one angle for each view, and equal detector pixels", repr(theirs)[:120])
    detector = type(theirs.detector).__name__
    if detector == "CircularDetector":
        return Arranged(_curved(theirs, shape, pixel, centre), ("x", "y"))
    if detector not in {"Flat1dDetector", "Flat2dDetector"}:
        raise _refused("a flat detector, or in 2D an arc around the source", detector)
    vectors = _vectors(theirs, tomo, centre)
    diverging = isinstance(theirs, tomo.geometry.geometry.DivergentBeamGeometry)
    if theirs.ndim == 2:
        pixels, beam = int(theirs.det_partition.size), "fan" if diverging else "parallel"
        plane = RayVectors2D(shape, vectors, pixels, pixel, beam)  # type: ignore[arg-type]
        return Arranged(nominal(plane), ("x", "y"))
    columns, rows = (int(number) for number in theirs.det_partition.shape)
    volume = RayVectors3D(
        shape,  # type: ignore[arg-type]
        vectors,  # type: ignore[arg-type]
        (rows, columns),
        pixel,  # type: ignore[arg-type]
        "cone" if diverging else "parallel",
    )
    return Arranged(nominal(volume), ("x", "y", "z"), ("angle", "column", "row"))


def _vectors(theirs: Theirs, tomo: Theirs, centre: Array) -> Array:
    """Source or direction, first pixel and steps of every view."""
    angles = np.asarray(theirs.angles)
    partition = theirs.det_partition
    first = [float(axis[0]) for axis in partition.grid.coord_vectors]
    sizes = np.asarray(partition.cell_sides, dtype=np.float64)
    corner = first[0] if len(first) == 1 else first
    pixel = np.stack([theirs.det_point_position(angle, corner) for angle in angles]) - centre
    if theirs.ndim == 2:
        steps = [np.asarray(theirs.det_axis(angles)).reshape(-1, 2) * sizes[0]]
    else:
        axes = np.stack([np.asarray(theirs.det_axes(angle)) for angle in angles])
        steps = [axes[:, 0] * sizes[0], axes[:, 1] * sizes[1]]
    if isinstance(theirs, tomo.geometry.geometry.DivergentBeamGeometry):
        start = np.asarray(theirs.src_position(angles)).reshape(len(angles), -1) - centre
    else:
        start = np.stack([-np.asarray(theirs.det_to_src(angle, corner)) for angle in angles])
    return np.concatenate([start, pixel, *steps], axis=1)


def _curved(
    theirs: Theirs,
    shape: tuple[int, ...],
    pixel: float | tuple[float, ...],
    centre: Array,
) -> CurvedFanBeam:
    """An arc whose rays are those of ODL's, which is checked ray by ray."""
    partition, angles = theirs.det_partition, np.asarray(theirs.angles)
    places = np.asarray(partition.grid.coord_vectors[0])
    source = np.asarray(theirs.src_position(angles)).reshape(-1, 2) - centre
    ends = np.stack([theirs.det_point_position(angle, places) for angle in angles]) - centre
    distance = float(np.linalg.norm(source, axis=1).mean())
    theta = np.arctan2(source[:, 0], -source[:, 1])
    step = float(partition.cell_sides[0])
    arc = ArcDetector(len(places), step, -float(places.mean()))
    beam = CurvedFanBeam(shape, tuple(theta), arc, distance, pixel)  # type: ignore[arg-type]
    found = ends - source[:, None]
    found /= np.linalg.norm(found, axis=2, keepdims=True)
    ours = beam.rays().vectors[:, :2].reshape(found.shape)
    radii = np.abs(np.linalg.norm(source, axis=1) - distance).max()
    if np.abs(found - ours).max() > _NEAR or radii > _NEAR * distance:
        raise _refused(
            "an arc around the source, which circles the middle of the image",
            f"{theirs!r:.200}",
        )
    return beam


def _refused(expected: str, found: str) -> GeometryError:
    return GeometryError(
        describe(
            expected=expected,
            found=found,
            fix="write the poses as RayVectors2D or RayVectors3D, or use from_odl for ODL's own"
            " projector",
        )
    )

"""ASTRA's geometries as ours, and ours as ASTRA's: plain dictionaries, without ASTRA itself."""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from learnedrecon.errors import GeometryError, describe
from learnedrecon.operators.fields import MOST_RADIANS
from learnedrecon.operators.ray.arranged import Arranged
from learnedrecon.operators.ray.beam2d import RayVectors2D
from learnedrecon.operators.ray.beam3d import RayVectors3D
from learnedrecon.operators.ray.geometry2d import FanBeam, ParallelBeam
from learnedrecon.operators.ray.geometry3d import ConeBeam, ParallelBeam3D
from learnedrecon.operators.ray.nominal import nominal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from learnedrecon.operators.ray.geometry3d import Geometry3D
    from learnedrecon.operators.ray.planar import PlanarGeometry

    Array = NDArray[np.float64]
    Pair = tuple[dict[str, Any], dict[str, Any]]

PLANAR: Final = ("parallel", "fanflat", "parallel_vec", "fanflat_vec")
SPATIAL: Final = ("parallel3d", "cone", "parallel3d_vec", "cone_vec")


def geometry_from_astra(proj_geom: Mapping[str, Any], vol_geom: Mapping[str, Any]) -> Arranged:
    """The scan of two ASTRA geometries, for arrays as ASTRA has them.

    Coordinates and lengths are ASTRA's, taken as millimetres; a window whose middle is not the
    origin moves sources and detectors. Vectors that are those of a parallel, fan or circular cone
    beam become that beam, others stay vectors. Images of ASTRA have their first row at the largest
    y, volumes at the smallest; projections in 3D are (row, angle, column).

    Args:
        proj_geom: Projection geometry of ``astra.create_proj_geom``: 'parallel', 'fanflat',
            'parallel_vec', 'fanflat_vec', 'parallel3d', 'cone', 'parallel3d_vec' or 'cone_vec'.
        vol_geom: Volume geometry of ``astra.create_vol_geom``.

    Returns:
        Its ``geometry`` is the scan in coordinates of this library;
        ``ArrangedTransform(arranged)`` takes and gives ASTRA's arrays.

    Raises:
        GeometryError: Another type, a missing or wrong entry, or a scan that we refuse.
    """
    kind = _entry(proj_geom, "type")
    _entry(vol_geom, "GridColCount")
    if kind not in PLANAR + SPATIAL:
        raise GeometryError(
            describe(
                expected=f"a projection geometry of type {', '.join(PLANAR + SPATIAL)}",
                found=f"type {kind!r:.80}",
                fix="convert it with astra.geom_2vec",
            )
        )
    spatial = kind in SPATIAL
    shape, pixel, centre = _volume(vol_geom, spatial=spatial)
    angles = None if kind.endswith("_vec") else _numbers(proj_geom, "ProjectionAngles", 1)
    diverging = kind.startswith(("fan", "cone"))
    vectors = _vectors(proj_geom, angles, spatial=spatial, diverging=diverging)
    pixels = _pixels(proj_geom, spatial=spatial)
    _corner(vectors, pixels)
    axes = len(centre)
    vectors[:, axes : 2 * axes] -= centre
    if diverging:
        vectors[:, :axes] -= centre
    turns = angles is None or np.abs(angles).max() > MOST_RADIANS / 2
    given = None if angles is None or turns else angles.tolist()
    if spatial:
        volume = RayVectors3D(
            shape,  # type: ignore[arg-type]
            vectors,  # type: ignore[arg-type]
            pixels,  # type: ignore[arg-type]
            pixel,  # type: ignore[arg-type]
            "cone" if diverging else "parallel",
        )
        return Arranged(nominal(volume, given), data_axes=("row", "angle", "column"))
    beam = "fan" if diverging else "parallel"
    plane = RayVectors2D(shape, vectors, pixels[0], pixel, beam)  # type: ignore[arg-type]
    return Arranged(nominal(plane, given), ("-y", "x"))


def geometry_to_astra(geometry: PlanarGeometry | Geometry3D | Arranged) -> Pair:
    """The ASTRA geometries of a scan, exactly the same rays in ASTRA's coordinates.

    Beams whose detector is centred become 'parallel', 'fanflat', 'parallel3d' or 'cone', all others
    vectors. ASTRA's images have the first row at the largest y, and its projections in 3D are
    (row, angle, column): ``geometry_from_astra`` of the pair says so.

    Args:
        geometry: A scan of an image or a volume. Of an :class:`Arranged` the axes are not looked
            at.

    Returns:
        (proj_geom, vol_geom), dictionaries with NumPy arrays.

    Raises:
        GeometryError: A fan beam on an arc, which ASTRA does not have.
    """
    if isinstance(geometry, Arranged):
        geometry = geometry.geometry
    return _rays(geometry), _window(geometry.shape, geometry.pixel)


@singledispatch
def _rays(geometry: PlanarGeometry | Geometry3D) -> dict[str, Any]:
    raise GeometryError(
        describe(
            expected="a scan with a flat detector",
            found=f"{type(geometry).__name__}",
            fix="use RayTransform, or write its rays as a sparse matrix of ASTRA",
        )
    )


@_rays.register(ParallelBeam)
@_rays.register(FanBeam)
def _(geometry: ParallelBeam | FanBeam) -> dict[str, Any]:
    line = geometry.detector
    if line.axis_offset != 0:
        rays = geometry.rays()
        return _rays_of_vectors(rays.vectors, (line.pixels,), diverging=rays.fan)
    basic = {
        "type": "parallel",
        "DetectorWidth": line.pitch,
        "DetectorCount": line.pixels,
        "ProjectionAngles": np.array(geometry.angle_values),
    }
    return {**basic, **_distances(geometry, "fanflat")}


@_rays.register(ParallelBeam3D)
@_rays.register(ConeBeam)
def _(geometry: ParallelBeam3D | ConeBeam) -> dict[str, Any]:
    panel = geometry.detector
    if not geometry.is_circular or geometry.height or panel.axis_offset or panel.vertical_offset:
        rays = geometry.rays()
        return _rays_of_vectors(rays.vectors, rays.detectors, diverging=rays.cone)
    basic = {
        "type": "parallel3d",
        "DetectorSpacingX": panel.pitches[1],
        "DetectorSpacingY": panel.pitches[0],
        "DetectorRowCount": panel.rows,
        "DetectorColCount": panel.columns,
        "ProjectionAngles": np.array(geometry.angle_values),
    }
    return {**basic, **_distances(geometry, "cone")}


@_rays.register(RayVectors2D)
def _(geometry: RayVectors2D) -> dict[str, Any]:
    diverging = geometry.beam == "fan"
    return _rays_of_vectors(np.array(geometry.vectors), (geometry.detector,), diverging=diverging)


@_rays.register(RayVectors3D)
def _(geometry: RayVectors3D) -> dict[str, Any]:
    diverging = geometry.beam == "cone"
    return _rays_of_vectors(np.array(geometry.vectors), geometry.detector, diverging=diverging)


@singledispatch
def _distances(geometry: object, kind: str) -> dict[str, Any]:  # noqa: ARG001 - what other kinds look at
    """The additional parameters of diverging beams."""
    return {}


@_distances.register(FanBeam)
@_distances.register(ConeBeam)
def _(geometry: FanBeam | ConeBeam, kind: str) -> dict[str, Any]:
    return {
        "type": kind,
        "DistanceOriginSource": geometry.source_origin,
        "DistanceOriginDetector": geometry.origin_detector,
    }


def _rays_of_vectors(
    vectors: Array, detector: tuple[int, ...], *, diverging: bool
) -> dict[str, Any]:
    centred = np.array(vectors)
    _corner(centred, detector, sign=1)
    if len(detector) == 1:
        kind = "fanflat_vec" if diverging else "parallel_vec"
        return {"type": kind, "DetectorCount": detector[0], "Vectors": centred}
    rows, columns = detector
    kind = "cone_vec" if diverging else "parallel3d_vec"
    counts = {"DetectorRowCount": rows, "DetectorColCount": columns}
    return {"type": kind, **counts, "Vectors": centred}


def _corner(vectors: Array, detector: tuple[int, ...], sign: int = -1) -> None:
    """From centres of detectors to first pixels, or back, in place; steps per column come first."""
    axes = vectors.shape[1] // (2 + len(detector))
    for k, pixels in enumerate(reversed(detector), start=2):
        half = sign * (pixels - 1) / 2
        vectors[:, axes : 2 * axes] += half * vectors[:, k * axes : (k + 1) * axes]


def _vectors(
    proj_geom: Mapping[str, Any], angles: Array | None, *, spatial: bool, diverging: bool
) -> Array:
    """Source or direction, centre of the detector, and steps, as ASTRA's documentation has them."""
    if angles is None:
        vectors = _numbers(proj_geom, "Vectors", 2)
        if vectors.shape[1] != (12 if spatial else 6):
            raise _wrong("Vectors", f"(views, {12 if spatial else 6})", f"shape {vectors.shape}")
        return vectors
    cos, sin, none = np.cos(angles), np.sin(angles), np.zeros((len(angles), 1))
    away, along = np.stack([sin, -cos], axis=1), np.stack([cos, sin], axis=1)
    near = _number(proj_geom, "DistanceOriginSource") if diverging else 1.0
    far = _number(proj_geom, "DistanceOriginDetector") if diverging else 0.0
    pitch = _number(proj_geom, "DetectorSpacingX" if spatial else "DetectorWidth")
    parts = [near * away, -far * away, pitch * along]
    if not spatial:
        return np.concatenate(parts, axis=1)
    rows = np.concatenate([none, none, none + _number(proj_geom, "DetectorSpacingY")], axis=1)
    flat = [np.concatenate([part, none], axis=1) for part in parts]
    return np.concatenate([*flat, rows], axis=1)


def _pixels(proj_geom: Mapping[str, Any], *, spatial: bool) -> tuple[int, ...]:
    names = ("DetectorRowCount", "DetectorColCount") if spatial else ("DetectorCount",)
    return tuple(_count(proj_geom, name) for name in names)


def _volume(
    vol_geom: Mapping[str, Any], *, spatial: bool
) -> tuple[tuple[int, ...], float | tuple[float, ...], Array]:
    """Shape and pixel size, slices and rows first, and the middle of the window, x first."""
    names = {"X": "GridColCount", "Y": "GridRowCount", "Z": "GridSliceCount"}
    if not spatial:
        del names["Z"]
        if _count(vol_geom, "GridSliceCount", 1) != 1:
            raise _wrong("GridSliceCount", "none for a scan of an image", "a volume")
    window = vol_geom.get("option") or {}
    if not isinstance(window, Mapping):
        raise _wrong("option", "the ends of the window, WindowMinX and so on", f"{window!r:.80}")
    shape, pixel, centre = [], [], []
    for axis, name in names.items():
        number = _count(vol_geom, name)
        least = _number(window, f"WindowMin{axis}", -number / 2)
        most = _number(window, f"WindowMax{axis}", number / 2)
        shape.append(number)
        pixel.append((most - least) / number)
        centre.append((most + least) / 2)
    sizes = tuple(pixel[::-1]) if len(set(pixel)) > 1 else pixel[0]
    return tuple(shape[::-1]), sizes, np.array(centre)


def _window(shape: tuple[int, ...], pixel: tuple[float, ...]) -> dict[str, Any]:
    names = ("GridSliceCount", "GridRowCount", "GridColCount")[-len(shape) :]
    option = {}
    for axis, number, size in zip("ZYX"[-len(shape) :], shape, pixel, strict=True):
        option[f"WindowMin{axis}"] = -number * size / 2
        option[f"WindowMax{axis}"] = number * size / 2
    return {**dict(zip(names, shape, strict=True)), "option": option}


def _entry(geometry: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - whatever ASTRA has there
    if not isinstance(geometry, Mapping) or name not in geometry:
        raise _wrong(name, "an entry of the geometry", "none")
    return geometry[name]


def _numbers(geometry: Mapping[str, Any], name: str, axes: int) -> Array:
    given = _entry(geometry, name)
    try:
        values = np.array(given, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise _wrong(name, "numbers", f"{given!r:.80}") from error
    if values.ndim != axes or not len(values):
        raise _wrong(name, f"an array with {axes} axes, not empty", f"shape {values.shape}")
    return values


def _number(geometry: Mapping[str, Any], name: str, default: float | None = None) -> float:
    given = geometry.get(name, default) if default is not None else _entry(geometry, name)
    try:
        return float(given)
    except (TypeError, ValueError, OverflowError) as error:
        raise _wrong(name, "a number", f"{given!r:.80}") from error


def _count(geometry: Mapping[str, Any], name: str, default: int | None = None) -> int:
    number = _number(geometry, name, default)
    if not (number.is_integer() and number >= 1):
        raise _wrong(name, "a count of at least 1", f"{number}")
    return int(number)


def _wrong(name: str, expected: str, found: str) -> GeometryError:
    return GeometryError(
        describe(
            expected=f"'{name}' of an ASTRA geometry: {expected}",
            found=found,
            fix="make it by astra.create_proj_geom or astra.create_vol_geom",
        )
    )

"""Geometries in files that keep to the convention of another library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from learnedrecon.data.files.arrays import read_array
from learnedrecon.errors import ConfigError, LearnedReconError, describe, shown
from learnedrecon.operators.adapters.astra_geometry import geometry_from_astra
from learnedrecon.operators.adapters.skimage_geometry import geometry_from_skimage
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.specs import named_to_plain

if TYPE_CHECKING:
    from learnedrecon.operators.ray.arranged import Arranged
    from learnedrecon.specs import Plain

_MOST_KEYS: Final = 8


def plain_operator(values: Plain, where: str, folder: Path) -> Plain:
    """The values of an operator as this package writes them; others are returned as they are.

    With ``convention: astra`` there are ``proj_geom`` and ``vol_geom``, the dictionaries of ASTRA.
    With ``convention: skimage`` there are ``shape``, ``theta`` in degrees, and perhaps ``circle``
    and ``pixel_size``, as in
    :func:`learnedrecon.operators.adapters.skimage_geometry.geometry_from_skimage`. The name of an
    array file (npy and others) may stand in place of a list of numbers.

    Args:
        values: Plain data, as YAML gives them.
        where: Path of keys to the values, for messages.
        folder: Folder to which names of files are relative.

    Raises:
        ConfigError: Another convention, or other keys.
        FileFormatError: A file of numbers cannot be read.
        GeometryError: Not a geometry.
    """
    if not isinstance(values, Mapping) or "convention" not in values:
        return values
    rest = {key: value for key, value in values.items() if key != "convention"}
    name = values["convention"]
    if not isinstance(name, str) or name not in _READERS:
        raise ConfigError(
            describe(
                expected=f"'{where}.convention' one of {', '.join(_READERS)}",
                found=shown(name),
                fix="remove it for a geometry of this package, which has a 'name'",
            )
        )
    required, optional, read = _READERS[name]
    if not set(required) <= set(rest) <= set(required + optional):
        raise ConfigError(
            describe(
                expected=f"'{where}' with {', '.join(required)}"
                + (f" and perhaps {', '.join(optional)}" if optional else ""),
                found=shown(sorted(map(str, rest))[:_MOST_KEYS]),
                fix="write these keys beside 'convention'",
            )
        )
    try:
        return named_to_plain(OPERATORS, read(rest, folder))
    except LearnedReconError as error:
        raise type(error)(f"In '{where}': {error}") from error


def _astra(values: Mapping[str, Any], folder: Path) -> Arranged:
    rays, volume = values["proj_geom"], values["vol_geom"]
    if isinstance(rays, Mapping):
        loaded = {"Vectors", "ProjectionAngles"}
        rays = {
            key: _array(value, folder) if key in loaded else value for key, value in rays.items()
        }
    return geometry_from_astra(rays, volume)


def _skimage(values: Mapping[str, Any], folder: Path) -> Arranged:
    options = {key: values[key] for key in ("circle", "pixel_size") if key in values}
    if not isinstance(options.get("circle", True), bool):
        raise ConfigError(
            describe(
                expected="circle true or false",
                found=shown(options["circle"]),
                fix="write true, as radon has it by default, or false",
            )
        )
    return geometry_from_skimage(values["shape"], _array(values["theta"], folder), **options)


def _array(value: Plain, folder: Path) -> Plain:
    """The numbers of a file, or as given."""
    return read_array(folder / value, None) if isinstance(value, str) else value


_Reader = tuple[tuple[str, ...], tuple[str, ...], Callable[[Mapping[str, Any], Path], "Arranged"]]
_READERS: Final[dict[str, _Reader]] = {
    "astra": (("proj_geom", "vol_geom"), (), _astra),
    "skimage": (("shape", "theta"), ("circle", "pixel_size"), _skimage),
}

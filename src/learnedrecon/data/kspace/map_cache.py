"""Coil maps on disk by the content of what they are computed from.

A file is written under a temporary name and renamed, so that several processes share a folder: none
reads half a file, and two that compute the same maps write the same bytes. A file that cannot be
read is computed again. Files are never removed: a slice of C coils takes 8·C·ny·nx bytes.
"""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor

from learnedrecon.data.files.npy import read_npy, write_npy
from learnedrecon.errors import LearnedReconError
from learnedrecon.files import atomic_path

if TYPE_CHECKING:
    from collections.abc import Callable

_LOG = logging.getLogger(__name__)

CACHE: Final = "LEARNEDRECON_CACHE"
"""Name of the variable of the environment that replaces the user's cache folder."""

_VERSION: Final = 1


def cache_folder() -> Path:
    """The folder of cached files: LEARNEDRECON_CACHE, or a folder in the user's cache folder."""
    if own := os.environ.get(CACHE):
        return Path(own)
    users = os.environ.get("XDG_CACHE_HOME")
    return (Path(users) if users else Path.home() / ".cache") / "learnedrecon"


def cached_maps(
    centre: Tensor, key: tuple[Any, ...], computed: Callable[[], Tensor], folder: str | None
) -> Tensor:
    """Coil maps from disk, or computed and written.

    A folder that cannot be written is logged once, and nothing is cached.

    Args:
        centre: Calibration region, (coil, cy, cx), complex.
        key: Values other than the region on which the maps depend.
        computed: Function without arguments to the maps.
        folder: Path of the folder; None for the user's cache folder, "none" for no files.

    Returns:
        Maps (coil, ny, nx).
    """
    if folder == "none":
        return computed()
    digest = hashlib.sha256(repr((_VERSION, str(centre.dtype), key)).encode())
    digest.update(centre.contiguous().numpy().tobytes())
    name = digest.hexdigest()
    root = cache_folder() / "maps" if folder is None else Path(folder)
    path = root / name[:2] / f"{name}.npy"
    found = _read(path, centre)
    if found is not None:
        return found
    maps = computed()
    try:
        with atomic_path(path) as temporary:
            write_npy(temporary, maps.numpy())
    except (LearnedReconError, OSError) as error:
        _note(str(root), str(error))
    return maps


def _read(path: Path, centre: Tensor) -> Tensor | None:
    if not path.is_file():
        return None
    try:
        values = read_npy(path)
    except (LearnedReconError, OSError):  # another process may have removed it by now
        return None
    good = values.dtype == np.complex64 and values.ndim == 3 and len(values) == len(centre)
    return torch.from_numpy(values) if good and bool(np.isfinite(values).all()) else None


_NOTED: set[str] = set()


def _note(folder: str, why: str) -> None:
    if folder not in _NOTED:
        _NOTED.add(folder)
        _LOG.warning("Coil maps are not kept in %s, and computed every time: %s", folder, why)

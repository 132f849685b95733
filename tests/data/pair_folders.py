"""Folders of pairs of measurements and true images, and what their errors say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from learnedrecon.data.files.arrays import write_array
from learnedrecon.data.pairs import (
    PairFolder,
    PairFolderSpec,
)
from learnedrecon.errors import LearnedReconError
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch


SCAN = ParallelBeam((8, 10), AngleRange(4), FlatDetector(13))
RNG = np.random.default_rng(0)


def array(shape: tuple[int, ...]) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def folder_of(path: Path, names: list[str], ending: str = ".npy") -> Path:
    for name in names:
        write_array(path / "measurement" / f"{name}{ending}", array((4, 13)))
        write_array(path / "truth" / f"{name}{ending}", array((8, 10)))
    return path


def hdf5_of(path: Path, **stacks: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        for key, stack in stacks.items():
            file[key.replace("__", "/")] = stack
    return path


def values(tensor: torch.Tensor | None) -> np.ndarray:
    assert tensor is not None
    return tensor.numpy()


def assert_names(action: Callable[[], object], *words: str) -> None:
    with pytest.raises(LearnedReconError) as caught:
        action()
    for part in ("Expected ", "Found ", "What to do: ", *words):
        assert part in str(caught.value)


def opened(path: Path, operator: ParallelBeam | None = SCAN) -> Callable[[], object]:
    """Opens a dataset and reads every sample."""

    def action() -> object:
        dataset = PairFolder(PairFolderSpec(str(path)), operator)
        return [dataset[index] for index in range(len(dataset))]

    return action

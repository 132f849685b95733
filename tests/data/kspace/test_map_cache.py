"""Coil maps on disk, shared by several processes."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import torch

from learnedrecon.data.kspace.map_cache import cached_maps

CENTRE = torch.arange(8.0).reshape(2, 2, 2).to(torch.complex64)
MAPS = torch.arange(80_000.0).reshape(2, 200, 200).to(torch.complex64)


def work(folder: str, gate: object, found: object, number: int) -> None:
    """Asks for the same maps forty times, with every other process at once."""
    gate.wait()  # type: ignore[attr-defined]
    right = 0
    for _ in range(40):
        maps = cached_maps(CENTRE, ("key",), MAPS.clone, folder)
        right += int(torch.equal(maps, MAPS))
        if number == 0:
            for path in Path(folder).rglob("*.npy"):
                path.unlink(missing_ok=True)
    found.put(right)  # type: ignore[attr-defined]


def test_four_processes_share_one_whole_file(tmp_path: Path) -> None:
    """One of them removes it again and again, so that all write; none ever reads half of it."""
    context = multiprocessing.get_context("fork")
    gate, found = context.Barrier(4), context.Queue()
    workers = [context.Process(target=work, args=(str(tmp_path), gate, found, k)) for k in range(4)]
    for worker in workers:
        worker.start()
    assert [found.get(timeout=60) for _ in workers] == [40] * 4
    for worker in workers:
        worker.join(60)
    cached_maps(CENTRE, ("key",), lambda: MAPS, str(tmp_path))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 1, "no temporary file is left"
    assert np.array_equal(np.load(files[0]), MAPS.numpy())


def test_half_a_file_is_computed_again(tmp_path: Path) -> None:
    cached_maps(CENTRE, ("key",), lambda: MAPS, str(tmp_path))
    (path,) = (each for each in tmp_path.rglob("*.npy"))
    path.write_bytes(path.read_bytes()[:1000])
    assert torch.equal(cached_maps(CENTRE, ("key",), lambda: MAPS, str(tmp_path)), MAPS)
    assert np.array_equal(np.load(path), MAPS.numpy())
    assert torch.equal(cached_maps(CENTRE, ("key",), lambda: 0 * MAPS, str(tmp_path)), MAPS)

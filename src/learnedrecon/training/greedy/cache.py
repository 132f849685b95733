"""Disk cache of states before a step and of operator results, for every training sample.

cache/stage-02/00000.safetensors   some samples in the order of the data set, written at once
"""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open

from learnedrecon.errors import FileFormatError, describe
from learnedrecon.training.greedy.tape import Call, Tape
from learnedrecon.weights.tensorfile import read_tensors, write_tensors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor


class Record(NamedTuple):
    """The cached values of some samples.

    Attributes:
        ids: Ids of the samples.
        state: State before the step, as a plain tuple.
        tape: Recorded operator calls of the step.
        raw: Data y of the problem before scaling.
        scale: c, one number for all, or (batch, 1, ...).
    """

    ids: tuple[str, ...]
    state: tuple[Tensor, ...]
    tape: Tape
    raw: Tensor
    scale: Tensor | float


class StageCache:
    """The cache files of one stage.

    Args:
        folder: Folder of the files.
        key: Digest of everything that the files depend on; files of another key count as missing.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder
        self.key = key
        self._places: dict[str, tuple[int, int]] = {}
        self._calls: dict[int, dict[str, Any]] = {}

    def path(self, shard: int) -> Path:
        """The path of file number ``shard``."""
        return self.folder / f"{shard:05d}.safetensors"

    def write(self, shard: int, record: Record) -> int:
        """Atomic write of one file; returns its size in bytes.

        Raises:
            FileFormatError: The folder cannot be written, or the disk is full.
        """
        tensors = {f"state.{k}": tensor for k, tensor in enumerate(record.state)}
        tensors["raw"] = record.raw
        for part, tensor in record.tape.data.items():
            tensors[f"data.{part}"] = tensor
        for k, call in enumerate(record.tape.calls):
            tensors[f"marks.{k}"] = call.marks
            tensors[f"answer.{k}"] = call.answer
        content: dict[str, Any] = {
            "key": self.key,
            "ids": list(record.ids),
            "calls": [[call.name, call.part] for call in record.tape.calls],
            "states": len(record.state),
            "scale": None,
        }
        if isinstance(record.scale, torch.Tensor):
            tensors["scale"] = record.scale
        else:
            content["scale"] = record.scale
        write_tensors(self.path(shard), tensors, content)
        self._enter(shard, content)
        return self.path(shard).stat().st_size

    def read(self, shard: int) -> Record | None:
        """The checked content of one file; None where there is none of this key.

        Raises:
            FileFormatError: The file is truncated or corrupt; the message names it.
        """
        path = self.path(shard)
        if not path.exists():
            return None
        try:
            tensors, content = read_tensors(path)
        except FileFormatError as error:
            raise _broken(path, str(error)) from error
        if content.get("key") != self.key:
            return None
        self._enter(shard, content)
        return _record(content, tensors, tuple(content["ids"]))

    def samples(self, ids: Sequence[str]) -> Record:
        """The cached values of single samples in the given order, without reading whole files.

        Raises:
            FileFormatError: A file is truncated or missing; the message names it.
        """
        rows = [self._row(*self._places[name]) for name in ids]
        content = self._calls[self._places[ids[0]][0]]
        tensors = {name: torch.cat([row[name] for row in rows]) for name in rows[0]}
        return _record(content, tensors, tuple(ids))

    def remove(self) -> None:
        """Removes the files."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _row(self, shard: int, row: int) -> dict[str, Tensor]:
        path = self.path(shard)
        try:
            with safe_open(path, framework="pt") as file:
                names = list(file.keys())
                tensors = {name: file.get_slice(name)[row : row + 1] for name in names}
        except (SafetensorError, OSError, ValueError) as error:
            raise _broken(path, str(error)) from error
        for name in self._calls[shard]["complex"]:
            tensors[name] = torch.view_as_complex(tensors[name].contiguous())
        return tensors

    def _enter(self, shard: int, content: dict[str, Any]) -> None:
        for row, name in enumerate(content["ids"]):
            self._places[name] = (shard, row)
        self._calls[shard] = {**content, "complex": _complex_names(self.path(shard))}


def digest(identity: str, stage: int, weights: Iterable[Mapping[str, Tensor]]) -> str:
    """A key of the data and of the weights of all steps before the present one.

    Args:
        identity: Text that identifies the data.
        stage: Number of the stage.
        weights: State dictionaries of the earlier steps.
    """
    total = hashlib.sha256(f"{identity}/{stage}".encode())
    for state in weights:
        for name, tensor in sorted(state.items()):
            total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            total.update(
                tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
            )
        total.update(b"/")
    return total.hexdigest()


def _record(content: Mapping[str, Any], tensors: dict[str, Tensor], ids: tuple[str, ...]) -> Record:
    calls = [
        Call(name, part, tensors[f"marks.{k}"], tensors[f"answer.{k}"])
        for k, (name, part) in enumerate(content["calls"])
    ]
    data = {
        name.removeprefix("data."): tensor
        for name, tensor in tensors.items()
        if name.startswith("data.")
    }
    scale = tensors["scale"] if content["scale"] is None else content["scale"]
    state = tuple(tensors[f"state.{k}"] for k in range(content["states"]))
    return Record(ids, state, Tape(calls, data), tensors["raw"], scale)


def _complex_names(path: Path) -> list[str]:
    with safe_open(path, framework="pt") as file:
        return list(json.loads((file.metadata() or {}).get("complex", "[]")))


def _broken(path: Path, found: str) -> FileFormatError:
    return FileFormatError(
        describe(
            expected=f"{path} to be a whole file of the cache of greedy training",
            found=found,
            fix=f"delete {path}; the same command makes it again",
        )
    )

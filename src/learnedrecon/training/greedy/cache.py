"""States before a step and answers of the operator, for every training sample, on the disk.

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
    """What is kept of some samples.

    Attributes:
        ids: of the samples.
        state: before the step, as a plain tuple.
        tape: of the step.
        raw: y as the problem has it before it is scaled.
        scale: c, one number for all, or (batch, 1, ...).
    """

    ids: tuple[str, ...]
    state: tuple[Tensor, ...]
    tape: Tape
    raw: Tensor
    scale: Tensor | float


class StageCache:
    """The files of one stage.

    Args:
        folder: where they are.
        key: names all that they depend on; files of another key are as good as missing.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder
        self.key = key
        self._places: dict[str, tuple[int, int]] = {}
        self._calls: dict[int, dict[str, Any]] = {}

    def path(self, shard: int) -> Path:
        """Of file number ``shard``."""
        return self.folder / f"{shard:05d}.safetensors"

    def write(self, shard: int, record: Record) -> int:
        """Writes one file, atomically; returns its bytes.

        Raises:
            FileFormatError: the folder cannot be written, or the disk is full.
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
        """The whole of one file, checked; None where there is none of this key.

        Raises:
            FileFormatError: it is truncated or corrupt; it is named.
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
        """What is kept of single samples, in their order, read from their places alone.

        Raises:
            FileFormatError: a file is truncated or missing; it is named.
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
    """A key: of what makes the data, and the weights of all that runs before the step."""
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

"""Files of named tensors and JSON in safetensors format: written atomically, checked when read.

The header of a file carries a version, the JSON, and a SHA-256 of tensors and JSON. Reading
executes no code: nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from learnedrecon.errors import ConfigError, DtypeError, FileFormatError, describe, shown
from learnedrecon.files import atomic_path, reading, refuse_size, require_file, unreadable
from learnedrecon.specs import refuse_deep

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from torch import Tensor

VERSION = 1
_FORMAT = "learnedrecon"
_SHOWN = 3
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_LONGEST_HEADER: Final = 100_000_000
_WHOLE: Final = "a whole safetensors file"
_AGAIN: Final = "copy it again, or use another checkpoint; it is truncated or corrupt"


def write_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], content: Mapping[str, Any]
) -> None:
    """Atomic write of tensors and JSON, exact, also for complex tensors.

    Args:
        path: Path of the file.
        tensors: Tensors by name.
        content: Plain data for JSON.

    Raises:
        FileFormatError: The folder cannot be written.
        DtypeError: An entry is not a tensor.
    """
    complex_names = []
    stored = {}
    for name, tensor in tensors.items():
        if not isinstance(tensor, torch.Tensor):
            raise DtypeError(
                describe(
                    expected=f"a tensor as '{name}'",
                    found=type(tensor).__name__,
                    fix="keep it in the model's spec; a checkpoint contains only tensors and JSON",
                )
            )
        if tensor.is_complex():
            complex_names.append(name)
            tensor = torch.view_as_real(tensor.resolve_conj())  # noqa: PLW2901 (the same numbers)
        stored[name] = tensor.detach().cpu().contiguous().clone()
    texts = {
        "complex": json.dumps(complex_names),
        "content": json.dumps(content),
    }
    header = {"format": _FORMAT, "version": str(VERSION), "sha256": _digest(stored, texts), **texts}
    with atomic_path(path) as temporary:
        try:
            save_file(stored, temporary, metadata=header)
        except SafetensorError as error:  # which is no OSError, also of a full disk
            raise OSError(str(error)) from error


def read_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the JSON of a file, on the CPU.

    Args:
        path: Path of the file.

    Raises:
        FileFormatError: The file is missing, truncated, corrupt, newer than this package, a pickle,
            or not from this package.
    """
    path = require_file(path, _WHOLE)
    _refuse_pickle(path)
    refuse_size(path, path.stat().st_size)
    with reading(path, _WHOLE, fix=_AGAIN), safe_open(path, framework="pt") as file:
        header = file.metadata() or {}
        _check_header(path, header)
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (no dict)
    texts = {name: header.get(name, "") for name in ("complex", "content")}
    if _digest(tensors, texts) != header.get("sha256"):
        raise _broken(path, "content whose SHA-256 is not the one in the header")
    with reading(path, _WHOLE, corrupt="a header that is not JSON", fix=_AGAIN):
        complex_names, content = json.loads(texts["complex"]), json.loads(texts["content"])
    if not isinstance(content, dict) or not isinstance(complex_names, list):
        raise _broken(path, f"content {shown(content)} and complex names {shown(complex_names)}")
    try:
        refuse_deep(content, "content")
    except ConfigError as error:
        raise _broken(path, str(error)) from error
    for name in complex_names:
        if not isinstance(name, str) or not _is_pairs(tensors.get(name)):
            raise _broken(path, f"{shown(name)} as the name of a complex tensor")
        tensors[name] = torch.view_as_complex(tensors[name])
    return tensors, content


def _is_pairs(tensor: Tensor | None) -> bool:
    """True if these are real and imaginary parts, side by side."""
    return (
        tensor is not None
        and tensor.is_floating_point()
        and tensor.element_size() >= 2
        and tensor.dtype is not torch.bfloat16
        and tensor.shape[-1:] == (2,)
    )


def require_match(
    path: str | os.PathLike[str], *, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]
) -> None:
    """Check that tensors have the expected names, shapes and dtypes.

    Args:
        path: Name of the file, for the message.
        expected: Expected tensors by name.
        found: Found tensors by name.

    Raises:
        FileFormatError: Tensors are missing, unexpected or different; the message names the first
            few.
    """
    complaints = []
    if missing := expected.keys() - found.keys():
        complaints.append(f"missing {_some(missing)}")
    if unexpected := found.keys() - expected.keys():
        complaints.append(f"unexpected {_some(unexpected)}")
    different = [
        f"{name} of {_kind(found[name])} where {_kind(tensor)} is needed"
        for name, tensor in expected.items()
        if name in found and _kind(found[name]) != _kind(tensor)
    ]
    if different:
        complaints.append(_some(different))
    if complaints:
        raise FileFormatError(
            describe(
                expected=f"{path} to hold the tensors of the model that it is loaded into",
                found="; ".join(complaints),
                fix="load it into the model (and precision) that wrote it",
            )
        )


def require_finite(path: str | os.PathLike[str], tensors: Mapping[str, Tensor]) -> None:
    """Check for tensors without NaN and infinity.

    Args:
        path: Name of the file, for the message.
        tensors: Tensors by name.

    Raises:
        FileFormatError: A value is not finite; the message names the first few tensors.
    """
    bad = [
        name
        for name, tensor in tensors.items()
        if (tensor.is_floating_point() or tensor.is_complex()) and not tensor.isfinite().all()
    ]
    if bad:
        raise FileFormatError(
            describe(
                expected=f"finite numbers in {path}",
                found=f"NaN or infinity in {_some(bad)}",
                fix="use an earlier checkpoint",
            )
        )


def with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors with a prefix before their names.

    Args:
        prefix: Prefix to add.
        tensors: Tensors by name.
    """
    return {prefix + name: tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, under names without it.

    Args:
        prefix: Prefix to remove.
        tensors: Tensors by name.
    """
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _digest(tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> str:
    total = hashlib.sha256(json.dumps(texts, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        if tensor.numel():
            total.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def _refuse_pickle(path: Path) -> None:
    """Names a pickle, and nothing else: a safetensors file may begin with the same two bytes.

    That begins with the length of its header, eight bytes, and then a brace; in a pickle these
    eight bytes are a far larger number.
    """
    with reading(path, _WHOLE), path.open("rb") as file:
        start = file.read(9)
    length = int.from_bytes(start[:8], "little")
    if start.startswith(_PICKLE_STARTS) and not (length <= _LONGEST_HEADER and start[8:] == b"{"):
        raise FileFormatError(
            describe(
                expected=f"a safetensors file at {path}",
                found="a pickle, as torch.save writes it, which could run any code",
                fix="convert it where you trust it: load there, then save_weights",
            )
        )


def _check_header(path: Path, header: Mapping[str, str]) -> None:
    if header.get("format") != _FORMAT:
        raise FileFormatError(
            describe(
                expected=f"{path} to be a checkpoint of this package",
                found="a safetensors file of another program",
                fix="build the model, load the tensors into it, then save_weights",
            )
        )
    version = header.get("version", "")
    if version not in {str(number) for number in range(VERSION + 1)}:
        raise FileFormatError(
            describe(
                expected=f"{path} to be of version {VERSION} or older",
                found=f"version {version[:20] or 'missing'}",
                fix="upgrade learnedrecon",
            )
        )


def _broken(path: Path, found: str) -> FileFormatError:
    return unreadable(path, _WHOLE, found, _AGAIN)


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


def _some(names: Iterable[str]) -> str:
    every = sorted(names)
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(every[:_SHOWN]) + more

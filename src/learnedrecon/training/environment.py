"""The environment of a run: package versions, the machine, the commit."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from learnedrecon.kernels.joseph import current_isa

if TYPE_CHECKING:
    from collections.abc import Mapping

_PACKAGES = ("learnedrecon", "torch", "numpy", "accelerate", "safetensors", "pydantic")
_DECISIVE = ("packages", "processor", "threads", "instruction_set", "cuda", "gpus")


def environment() -> dict[str, Any]:
    """Package versions, the machine, and the commit of the working folder, as plain data.

    Nothing that the working folder names is executed: see :func:`_git`.
    """
    return {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "instruction_set": current_isa(),
        "cuda": torch.version.cuda,
        "gpus": [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())],
        "git": _git(),
    }


def decisive(found: Mapping[str, Any]) -> dict[str, Any]:
    """The part of an :func:`environment` on which the last bits of a result depend.

    Args:
        found: Result of :func:`environment`.
    """
    return {name: found.get(name) for name in _DECISIVE}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


class _Repository(NamedTuple):
    """A git repository on the disk.

    Attributes:
        top: The working tree.
        own: The folder of its HEAD and index.
        common: The folder of its objects and branches, another one in a linked working tree.
    """

    top: Path
    own: Path
    common: Path


def _git() -> dict[str, Any] | None:
    """The commit and whether tracked files differ from it; None outside of a repository.

    The configuration of a repository may name programs, which every git command in it would run.
    So the commit is read from its files, and git is asked about changes with a configuration of
    our own in place of that of the repository.
    """
    try:
        repository = _repository(Path.cwd())
        commit = None if repository is None else _commit(repository)
        if repository is None or commit is None:
            return None
        return {"commit": commit, "modified": _modified(repository, commit)}
    except (OSError, ValueError):
        return None


def _repository(folder: Path) -> _Repository | None:
    for top in (folder, *folder.parents):
        own = top / ".git"
        if own.is_file():
            text = own.read_text(encoding="utf-8")
            own = top / text.removeprefix("gitdir:").strip()
        if (own / "HEAD").is_file():
            shared = own / "commondir"
            common = own / shared.read_text(encoding="utf-8").strip() if shared.is_file() else own
            return _Repository(top, own, common.resolve())
    return None


def _commit(repository: _Repository) -> str | None:
    """The commit that HEAD names, through branches."""
    text = (repository.own / "HEAD").read_text(encoding="utf-8").strip()
    for _ in range(5):
        if not text.startswith("ref: "):
            return text if re.fullmatch("[0-9a-f]{40,64}", text) else None
        text = _reference(repository, text.removeprefix("ref: "))
    return None


def _reference(repository: _Repository, name: str) -> str:
    for folder in (repository.own, repository.common):
        if (folder / name).is_file():
            return (folder / name).read_text(encoding="utf-8").strip()
    packed = repository.common / "packed-refs"
    if packed.is_file():
        for line in packed.read_text(encoding="utf-8").splitlines():
            commit, _, named = line.partition(" ")
            if named == name:
                return commit
    return ""


def _modified(repository: _Repository, commit: str) -> bool | None:
    """True if tracked files differ from the commit; None where git cannot tell."""
    program = shutil.which("git")
    if program is None:
        return None
    with tempfile.TemporaryDirectory() as name:
        own = Path(name)
        (own / "refs").mkdir()
        (own / "HEAD").write_text(f"{commit}\n", encoding="utf-8")
        shutil.copyfile(repository.own / "index", own / "index")
        variables = {
            "GIT_DIR": name,
            "GIT_WORK_TREE": str(repository.top),
            "GIT_OBJECT_DIRECTORY": str(repository.common / "objects"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_OPTIONAL_LOCKS": "0",
        }
        kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        question = ("status", "--porcelain", "--untracked-files=no", "--ignore-submodules=all")
        try:
            answer = subprocess.run(  # noqa: S603 (a fixed command)
                [program, *question],
                capture_output=True,
                cwd=repository.top,
                env=kept | variables,
                timeout=10,
                check=True,
            )
        except subprocess.SubprocessError:
            return None
    return bool(answer.stdout.strip())

"""Where a measurement took place."""

from __future__ import annotations

import os
import shlex
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from learnedrecon.kernels import joseph
from learnedrecon.training.environment import environment

if TYPE_CHECKING:
    from collections.abc import Sequence

PEERS = ("astra-toolbox", "deepinv")


def cpu_model() -> str:
    """The name that the processor gives itself."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)
    }
    parts = [found.get("model name", "unknown")]
    parts += [f"{key} {found[key]}" for key in ("cpu family", "model") if key in found]
    return ", ".join(parts)


def peer_versions(names: Sequence[str] = PEERS) -> dict[str, str | None]:
    """The version of every peer, None for the missing ones."""
    versions: dict[str, str | None] = {}
    for name in names:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return versions


def busy() -> str | None:
    """What to say if others are using the processor, whose times are then not worth keeping."""
    load = os.getloadavg()[0]
    if load < 0.5:
        return None
    return f"the machine is busy (load {load:.1f} on {os.cpu_count()} cores): measure again later"


def command_of(module: str, arguments: Sequence[str]) -> str:
    """The command of a run, with the last parts of absolute paths alone."""
    portable = [Path(text).name if Path(text).is_absolute() else text for text in arguments]
    return shlex.join(["python", "-m", module, *portable])


def record(module: str, names: Sequence[str] = PEERS) -> dict[str, Any]:
    """Command, machine, versions of the peers and commit, as plain data; before measuring."""
    peers = peer_versions(names)
    return {
        "command": command_of(module, sys.argv[1:]),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "isa": joseph.current_isa(),
        "isas": list(joseph.available_isas()),
        "threads": torch.get_num_threads(),
        "peers": peers,
        "missing_peers": [name for name, found in peers.items() if found is None],
        "environment": environment(),
    }

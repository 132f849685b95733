"""A record beside a reconstruction: what made it, of what."""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from learnedrecon.experiments.scoring import recorded
from learnedrecon.files import write_text
from learnedrecon.specs import to_plain
from learnedrecon.training.environment import environment

if TYPE_CHECKING:
    from learnedrecon.experiments.method import Method


def provenance_path(output: Path) -> Path:
    """The path of the record of an output.

    Args:
        output: Path of the reconstruction.
    """
    return output.with_suffix(output.suffix + ".json")


def write_provenance(
    output: Path, method: Method, measurement: Path, *, seconds: float, residual: float
) -> None:
    """Writes the record of a reconstruction beside it.

    Args:
        output: Path of the reconstruction.
        method: Method.
        measurement: Path of the file with the data.
        seconds: Time of the method in seconds.
        residual: Relative data residual ‖Tu - y‖/‖y‖.
    """
    config = method.config
    content = {
        "measurement": {"path": str(measurement.resolve()), "sha256": _hash_of(measurement)},
        "method": method.label,
        "model": recorded(method),
        "weights_sha256": weights_hash(method),
        "config": None if config is None else to_plain(config),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "environment": environment(),
        "seconds": seconds,
        "data_residual": residual,
    }
    write_text(provenance_path(output), json.dumps(content, indent=2, default=str) + "\n")


def weights_hash(method: Method) -> str | None:
    """The SHA-256 of all weights and buffers by name; None for a method without any.

    Args:
        method: Method.
    """
    digest, state = hashlib.sha256(), method.model.state_dict()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest() if state else None


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

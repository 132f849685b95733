"""What the scripts of the fault hunt share: the command line, and a place for what they found."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from tests.cli.conftest import cli

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

__all__ = ["cli"]

Say = Callable[[str], None]

CONFIG = """\
operator: {operator}
model: {{name: unrolled_gradient, iterations: 2, hidden: 4}}
data:
  train: {{name: ellipses, size: {size}}}
  validation: {{name: ellipses, size: {size}}}
  test: {{name: ellipses, size: {size}}}
  simulation: {{noise: {{name: gaussian, sigma: 0.02}}}}
training: {{steps: 2}}
evaluation: {{images: 2, validation_images: 2, batch_size: 2}}
"""
"""The configuration of the shell scripts, with images of 16 pixels where they had 32."""


@pytest.fixture
def found(record_property: Callable[[str, object], None]) -> Say:
    """Notes what a script finds today; ``python -m tests.faults`` prints and records it."""
    return lambda text: record_property("found", text)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def configured(folder: Path) -> Callable[..., Path]:
    """Writes the configuration of an operator as ``c.yaml``."""

    def write(operator: str, *, size: int = 16) -> Path:
        path = folder / "c.yaml"
        path.write_text(CONFIG.format(operator=operator, size=size), encoding="utf-8")
        return path

    return write


def said(result: Result) -> str:
    """The output of a command as one line."""
    return " ".join((result.stdout + result.stderr).split())

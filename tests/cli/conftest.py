"""The command line in this process, and a run that is trained once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from learnedrecon.cli.main import app

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    Run = Callable[..., Result]

SIZE = 16
SMALL = (
    "operator.shape=[16, 16]",
    "operator.detector={pixels: 24, pitch: 1.0}",
    "operator.angles.number=6",
    *(f"data.{split}.size=16" for split in ("train", "validation", "test")),
    "data.simulation.grid=null",
    "evaluation.images=3",
    "evaluation.validation_images=2",
    "model.iterations=2",
    "model.hidden=8",
    "training.steps=2",
    "training.batch.size=1",
)
"""Overrides that make ellipses-filtered-lpd a matter of milliseconds."""


def overridden(*values: str) -> list[str]:
    return [word for value in values for word in ("--set", value)]


@pytest.fixture(scope="session")
def cli() -> Run:
    """Calls the command line; what it prints and its exit code come back."""

    def call(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return call


@pytest.fixture(scope="session")
def small() -> list[str]:
    """Options that make the preset ellipses-filtered-lpd tiny."""
    return overridden(*SMALL)


@pytest.fixture(scope="session")
def config(cli: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration as 'init' writes it."""
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    assert cli("init", "ellipses-filtered-lpd", "-o", path).exit_code == 0
    return path


@pytest.fixture(scope="session")
def trained(
    cli: Run, config: Path, small: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run folder; nobody changes it."""
    folder = tmp_path_factory.mktemp("runs") / "lpd"
    result = cli("train", config, "-o", folder, *small)
    assert result.exit_code == 0, result.output
    return folder

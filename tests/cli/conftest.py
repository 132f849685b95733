"""The command line in this process, and a run that is trained once."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from learnedrecon.cli.main import app

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

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


GEOMETRY = """\
name: parallel_beam
shape: [16, 16]
angles: {number: 6}
detector: {pixels: 24, pitch: 1.0}
"""


@dataclass(frozen=True)
class Place:
    """Where a mistake is made: files to make it with.

    Attributes:
        folder: an empty folder.
        config: a good configuration.
        small: options that make it small.
        run: a trained run of it; a mistake that changes it works on a copy.
        patch: for what cannot be had otherwise, such as a full disk.
    """

    folder: Path
    config: Path
    small: list[str]
    run: Path
    patch: pytest.MonkeyPatch

    def file(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def array(self, name: str, values: ArrayLike) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, values)
        return path

    def hdf5(self, name: str, **datasets: ArrayLike) -> Path:
        path = self.folder / name
        with h5py.File(path, "w") as file:
            for key, values in datasets.items():
                file[key.replace("__", "/")] = values
        return path

    def geometry(self, text: str = GEOMETRY) -> Path:
        return self.file("geometry.yaml", text)

    def scan(self, values: ArrayLike | None = None) -> Path:
        return self.array("scan.npy", np.ones((6, 24), np.float32) if values is None else values)

    def weights(self) -> Path:
        target = self.folder / "weights.safetensors"
        shutil.copy(self.run / "checkpoints" / "best.safetensors", target)
        return target

    def train(self, *overrides: str) -> list[object]:
        words = [word for text in overrides for word in ("--set", text)]
        return ["train", self.config, "-o", self.folder / "run", *self.small, *words]

    def reconstruct(self, *words: object, to: str = "result.npy") -> list[object]:
        return ["reconstruct", *words, "-o", self.folder / to]

    def fbp(self, scan: Path, to: str = "result.npy") -> list[object]:
        return self.reconstruct("fbp", scan, "--geometry", self.geometry(), to=to)


@pytest.fixture
def place(
    tmp_path: Path,
    config: Path,
    small: list[str],
    trained: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Place:
    """An empty working folder, a good configuration and a good run."""
    monkeypatch.chdir(tmp_path)
    return Place(tmp_path, config, small, trained, monkeypatch)


@pytest.fixture
def refused(cli: Run) -> Callable[[list[object], tuple[str, str, str]], None]:
    """Asserts exit code 2 and one message whose three parts match three patterns."""

    def check(words: list[object], parts: tuple[str, str, str]) -> None:
        result = cli(*words)
        assert result.exit_code == 2, result.output
        text = " ".join(result.stderr.split())
        assert "Traceback" not in text
        expected, found, fix = (f".*({part})" for part in parts)
        pattern = f"Error( in '[^']*')?: Expected {expected}.* Found {found}.* What to do: {fix}"
        assert re.search(pattern, text), text

    return check

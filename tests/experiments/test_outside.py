"""Classes from a module of the user's own go through every command."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import yaml

from learnedrecon.config.extensions import REGISTRIES
from learnedrecon.errors import FileFormatError
from learnedrecon.experiments.certification import certify
from learnedrecon.experiments.listing import registered
from learnedrecon.experiments.reconstruction import reconstruct
from learnedrecon.weights.checkpoint import load_weights, save_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from typer.testing import Result

    Run = Callable[..., Result]

MODULE = '''
"""A model, an operator, a dataset, a loss and a noise of somebody's own."""

from dataclasses import dataclass

import torch

import learnedrecon as lr
from learnedrecon.data.batch import Sample
from learnedrecon.data.datasets import SampleDataset
from learnedrecon.data.noise import Noise
from learnedrecon.schemes.reconstructor import Estimate, Reconstructor


@lr.register("my_mask")
class Mask(lr.LinearOperator):
    """Pixels that are kept with a gain of their column."""

    def __init__(self, size: int = 8, gain: float = 2.0) -> None:
        super().__init__(lr.Space((size, size)), lr.Space((size, size)))
        self.register_buffer("weights", gain * torch.linspace(0.5, 1.0, size))

    def evaluate(self, u):
        return u * self.weights.to(u)

    def evaluate_adjoint(self, v):
        return v * self.weights.to(v)



@lr.register("my_scale")
class Scale(Reconstructor):
    """The data times one number that is learned."""

    def __init__(self, start: float = 0.5) -> None:
        super().__init__()
        self.number = torch.nn.Parameter(torch.tensor(start))

    def forward(self, problem):
        return Estimate(self.number * problem.data)


@lr.register("my_ramps")
class Ramps(SampleDataset):
    """Ramps of several slopes."""

    def __init__(self, size: int = 8, first: int = 0, length: int = 6) -> None:
        self.size, self.first, self.length = size, first, length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        if not 0 <= index < self.length:
            raise IndexError
        ramp = torch.linspace(0, 1 + self.first + index, self.size)
        return Sample(f"ramp-{self.first + index}", None, ramp.expand(1, self.size, -1).clone())


@lr.register("my_cube", kind="loss")
@dataclass(frozen=True)
class Cube:
    """Mean of |u - v|^power."""

    power: float = 3.0

    def __call__(self, estimate, batch):
        return (estimate.image - batch.truth).abs().pow(self.power).flatten(1).mean(1)


@lr.register("my_offset")
@dataclass(frozen=True)
class Offset(Noise):
    """The same number everywhere."""

    size: float = 0.1

    def _draw(self, clean, generator, measured):
        return clean + self.size
'''
CONFIG = """\
imports: [{module}]
operator: {{name: my_mask, gain: 3.0}}
model: {{name: my_scale}}
loss: {{name: my_cube, power: 2.0}}
data:
  train: {{name: my_ramps}}
  validation: {{name: my_ramps, first: 10}}
  test: {{name: my_ramps, first: 20}}
  simulation: {{noise: {{name: my_offset, size: 0.01}}}}
training: {{steps: 30, batch: {{size: 2}}, optimiser: {{learning_rate: 0.05}}, validate_every: 10}}
evaluation: {{images: 4, validation_images: 2, batch_size: 2}}
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The module in the working folder; what it registers is forgotten at the end."""
    name = f"somebodys_own_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    (tmp_path / "config.yaml").write_text(CONFIG.format(module=name))
    monkeypatch.chdir(tmp_path)
    yield name
    sys.modules.pop(name, None)
    forget()


def forget() -> None:
    for registry in REGISTRIES.values():
        for name in [name for name in registry if name.startswith("my_")]:
            del registry._entries[name]


def test_classes_from_outside_go_through_every_command(
    cli: Run, tmp_path: Path, module: str
) -> None:
    def works(*words: object) -> Result:
        result = cli(*words)
        assert result.exit_code == 0, result.output
        return result

    assert "after step 30" in works("train", "config.yaml", "-o", "run").output
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["imports"] == [module]
    works("evaluate", "run")
    (scores,) = json.loads((tmp_path / "run" / "results.json").read_text())["methods"].values()
    assert scores["model"] == {"name": "my_scale", "start": 0.5}
    compared = works("compare", "run", "tv", "-o", "both")
    assert "1 of 2 left out" not in compared.output
    works("check", "model", "run")
    listed = works("--import", module, "list", "models", "my_scale")
    assert listed.stdout.splitlines() == [
        "my_scale: The data times one number that is learned.",
        "    start = 0.5",
    ]

    y = np.random.default_rng(0).random((8, 8)).astype(np.float32)
    np.save(tmp_path / "y.npy", y)
    works("reconstruct", "run", "y.npy", "-o", "u.npy")
    loaded = load_weights(tmp_path / "run")
    np.testing.assert_allclose(
        np.load(tmp_path / "u.npy"), loaded.model.state_dict()["number"].item() * y, rtol=1e-6
    )
    refused = cli("certify", "run")
    assert refused.exit_code == 1
    assert "No certificate" in refused.stdout
    assert not certify(tmp_path / "run").holds


def test_the_loss_and_noise_from_outside_are_what_is_minimised(cli: Run, tmp_path: Path) -> None:
    """The least squares of w·(g·u + 0.01) - u over the ramps, by numpy."""
    assert cli("train", "config.yaml", "-o", "run", "--set", "training.steps=400").exit_code == 0
    weights = 3.0 * np.linspace(0.5, 1.0, 8)
    u = np.stack([np.linspace(0, 1 + k, 8) for k in range(6)])
    y = weights * u + 0.01
    expected = (y * u).sum() / (y * y).sum()
    found = load_weights(tmp_path / "run").model.state_dict()["number"].item()
    assert found == pytest.approx(expected, rel=0.02)


def test_what_was_not_imported_is_named(cli: Run, tmp_path: Path, module: str) -> None:
    assert cli("train", "config.yaml", "-o", "run").exit_code == 0
    alone = tmp_path / "alone.safetensors"
    loaded = load_weights(tmp_path / "run")
    save_weights(alone, loaded.model, operator=loaded.operator)
    forget()
    sys.modules.pop(module)
    with pytest.raises(FileFormatError, match=f"import {module} before loading"):
        load_weights(alone)
    np.save(tmp_path / "y.npy", np.ones((8, 8), np.float32))
    result = cli("reconstruct", alone, "y.npy", "-o", "u.npy")
    assert result.exit_code == 2
    assert f"import {module}" in " ".join(result.stderr.split())
    (tmp_path / f"{module}.py").rename(tmp_path / "elsewhere.txt")
    gone = cli("reconstruct", "run", "y.npy", "-o", "u.npy")
    assert gone.exit_code == 2
    assert f"import {module}" in " ".join(gone.stderr.split())
    (tmp_path / "elsewhere.txt").rename(tmp_path / f"{module}.py")
    assert cli("--import", module, "reconstruct", alone, "y.npy", "-o", "u.npy").exit_code == 0
    image = reconstruct(load_weights(alone).model, torch.ones(8, 8), operator=loaded.operator).image
    np.testing.assert_allclose(np.load(tmp_path / "u.npy"), image[0, 0].numpy(), rtol=1e-6)


WRONG = '''

@lr.register("my_forgetful")
class Forgetful(Reconstructor):
    """A model whose shape depends on what its arguments do not say."""

    widths = iter(range(1, 99))

    def __init__(self) -> None:
        super().__init__()
        self.numbers = torch.nn.Parameter(torch.zeros(next(self.widths)))

    def forward(self, problem):
        return Estimate(self.numbers.mean() * problem.data)
'''


def test_a_record_that_gives_another_model_is_refused_when_the_run_starts(
    cli: Run, tmp_path: Path, module: str
) -> None:
    with (tmp_path / f"{module}.py").open("a") as file:
        file.write(WRONG)
    result = cli("train", "config.yaml", "-o", "run", "--set", "model.name=my_forgetful")
    assert result.exit_code == 2
    assert "record of Forgetful" in " ".join(result.stderr.split())
    assert not (tmp_path / "run").exists()


def test_everything_registered_is_listed_with_its_defaults() -> None:
    for kind in ("models", "operators", "datasets", "losses", "noises"):
        assert registered(kind)
    (tv,) = (each for each in registered("models") if each.name == "tv")
    assert tv.arguments["weight"] == "required"
    assert tv.arguments["gap"] == "0.001"

"""Every preset: written, read, built and trained for two steps."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.kspace_files import SMALL, write_scan

from learnedrecon.config.schema import Config
from learnedrecon.data.yaml_text import load_yaml
from learnedrecon.experiments.experiment import Experiment
from learnedrecon.experiments.presets import preset_text, presets
from learnedrecon.specs import from_plain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    Run = Callable[..., Result]

SIZES = (
    *(f"data.{split}.size=24" for split in ("train", "validation", "test")),
    "data.simulation.grid=[30, 30]",
    "evaluation.validation_images=2",
    "training.steps=2",
    "training.batch.size=1",
)
BEAM = ("shape=[24, 24]", "angles.number=6", "detector={pixels: 35}")
NARROW = ("generalised", "learned-pdhg", "learned-primal", "learned-proximal", "modl", "recurrent")
SHORT = ("neumann", "variational-network", "variational-flow")
SMALLER_MODELS = {
    "ellipses-unet": ("model.network={base: 8, depth: 2}",),
    "ellipses-greedy": (
        "model.iterations=1",
        "training.greedy.fine_tune=1",
        "data.train.length=4",
    ),
    "ellipses-half-quadratic": (
        "model.iterations=1",
        "model.network={base: 4, depth: 1, groups: 0}",
    ),
    "ellipses-preconditioned-neumann": ("model.iterations=1",),
    "ellipses-admm-net": ("model.iterations=1",),
    "ellipses-adversarial": ("model.iterations=2", "data.images.size=24"),
    **{f"ellipses-{name}": ("model.iterations=2", "model.hidden=4") for name in NARROW},
    **{f"ellipses-{name}": ("model.iterations=2",) for name in SHORT},
}
PARAMETERS = {
    "brain-vn": 131_050,
    "brain-varnet": 30_002_150,
    "brain-modl": 113_155,
    "ellipses-lpd": 253_220,
    "ellipses-lpd-paper2018": 253_220,
    "ellipses-nonlinear-lpd": 253_220,
    "ellipses-learned-gradient": 13_318,
    "ellipses-equilibrium": 3_553,
    "photographs-denoiser": 3_552,
    "ellipses-generalised": 104_330,
    "ellipses-learned-pdhg": 20_133,
    "ellipses-learned-primal": 125_170,
    "ellipses-learned-proximal": 98_580,
    "ellipses-modl": 112_002,
    "ellipses-half-quadratic": 481_905,
    "ellipses-admm-net": 10_730,
    "ellipses-recurrent": 56_289,
    "ellipses-adversarial": 10_504,
    "ellipses-neumann": 19_106,
    "ellipses-preconditioned-neumann": 19_106,
    "ellipses-variational-network": 6_725,
    "ellipses-variational-flow": 1_345,
}


OTHER = {
    "photographs-denoiser": (
        "operator.shape=[24, 24]",
        *(f"data.{split}.size=24" for split in ("train", "validation", "test")),
        "evaluation.validation_images=2",
        "training.steps=2",
        "training.batch.size=1",
    )
}


SECTIONS = ("train", "validation", "test")
SCANNED = (
    *("evaluation.validation_images=1", "training.steps=2"),
    *(
        f"data.{split}.mask={{name: random, accelerations: [3], centre_fractions: [0.3]}}"
        for split in SECTIONS
    ),
)
BRAIN = (
    *("operator.shape=[24, 24]", "operator.coils=2", *SCANNED),
    *(f"data.{split}.shape=[24, 24]" for split in SECTIONS),
    *(f"data.{split}.simulation.coils=2" for split in SECTIONS),
)
SMALLER_MRI = {
    "vn": ("model.iterations=1", "model.experts={filters: 4, kernel: 3}"),
    "modl": ("model.iterations=1", "model.hidden=4", "model.data_step.max_iterations=4"),
    "varnet": (
        "model.iterations=1",
        "model.network={base: 4, depth: 1, groups: 2}",
        "model.maps={base: 4, depth: 1, groups: 2}",
    ),
}


def scanned(preset: str, folder: Path) -> tuple[str, ...]:
    """Small settings of the presets of MRI; of fastMRI with a file of its layout."""
    kind, _, model = preset.partition("-")
    if kind == "brain":
        return (*BRAIN, *SMALLER_MRI[model])
    values = [*SMALLER_MRI[model], *SCANNED, "operator.shape=[32, 36]", "operator.coils=4"]
    for split in SECTIONS:
        path = write_scan(folder / split / "file1.h5", SMALL.but(slices=1))
        values += [f"data.{split}.path={path.parent}", f"data.{split}.maps.cache=none"]
    return tuple(values)


def settings(preset: str, folder: Path) -> list[str]:
    if preset in OTHER:
        return [word for value in OTHER[preset] for word in ("--set", value)]
    if preset.split("-", maxsplit=1)[0] in {"brain", "fastmri"}:
        return [word for value in scanned(preset, folder) for word in ("--set", value)]
    beam = "operator.geometry" if preset == "ellipses-nonlinear-lpd" else "operator"
    values = [*SIZES, *(f"{beam}.{text}" for text in BEAM), *SMALLER_MODELS.get(preset, ())]
    return [word for value in values for word in ("--set", value)]


def config_of(preset: str) -> Config:
    return from_plain(Config, load_yaml(preset_text(preset), preset))


@pytest.mark.parametrize("preset", presets())
def test_a_preset_trains(cli: Run, tmp_path: Path, preset: str) -> None:
    path, folder = tmp_path / "config.yaml", tmp_path / "run"
    assert cli("init", preset, "-o", path).exit_code == 0
    result = cli("train", path, "-o", folder, *settings(preset, tmp_path))
    assert result.exit_code == 0, result.output
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert [record["step"] for record in records if record["event"] == "validation"] == [2]
    (psnr,) = [record["psnr"] for record in records if record["event"] == "validation"]
    assert psnr > 0
    assert (folder / "checkpoints" / "best.safetensors").exists()


@pytest.mark.parametrize("preset", presets())
def test_a_preset_has_a_title_and_comments(preset: str) -> None:
    text = preset_text(preset)
    assert text.startswith("# ")
    assert text.count("#") > 5


@pytest.mark.parametrize(("preset", "parameters"), PARAMETERS.items())
def test_a_preset_has_the_parameters_of_its_paper(preset: str, parameters: int) -> None:
    model = Experiment(config_of(preset)).model()
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_the_2018_preset_uses_each_batch_for_ten_steps() -> None:
    training = config_of("ellipses-lpd-paper2018").training
    assert (training.batch.size, training.batch.repeats, training.steps) == (5, 10, 100_001)
    assert training.optimiser.betas == (0.9, 0.99)
    assert config_of("ellipses-lpd-paper2018").data.train.preset == "adler2018"


def test_the_2017_preset_is_rmsprop_with_the_sum_of_squares() -> None:
    config = config_of("ellipses-learned-gradient")
    training = config.training
    assert (training.optimiser.kind, training.schedule.kind) == ("rmsprop", "inverse_time")
    assert (training.schedule.rate, training.schedule.every) == (1.0, 500)
    assert (training.batch.size, training.steps, training.clip_norm) == (20, 100_000, None)
    assert config.loss.reduction == "sum"
    assert config.data.train.preset == "adler2017"


def test_the_nonlinear_preset_lets_a_realistic_share_of_photons_pass() -> None:
    experiment = Experiment(config_of("ellipses-nonlinear-lpd"))
    batch = next(experiment.batches("validation", 10))
    assert batch.truth is not None
    clean = batch.problem.forward(batch.truth)
    assert 0.02 < clean.amin() < 0.5
    assert batch.problem.data.amin() > 0

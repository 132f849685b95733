"""A training compares a few of its samples with what they are declared to be, before it begins."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import learnedrecon as lr
from learnedrecon.config.yaml_file import write_geometry
from learnedrecon.errors import DataError
from learnedrecon.models import LearnedPrimalDual
from learnedrecon.operators import (
    AngleRange,
    Cartesian,
    CartesianMRI,
    FlatDetector,
    ParallelBeam,
    RayTransform,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    from learnedrecon.operators.base import Operator

    Run = Callable[..., Result]

SCAN = ParallelBeam((16, 16), AngleRange(12), FlatDetector(25))
T = RayTransform(SCAN)
BACK = RayTransform(SCAN.with_angles(tuple(-a for a in SCAN.angle_values)))
MRI = CartesianMRI(Cartesian((16, 16)))


def images(number: int = 10, size: float = 0.02) -> torch.Tensor:
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:16, :16]
    discs = generator.uniform((4, 4, 1), (12, 12, 3), (number, 3, 3))
    return torch.tensor(
        np.stack(
            [
                sum(size * ((y - a) ** 2 + (x - b) ** 2 < r * r) for a, b, r in each)
                for each in discs
            ]
        ),
        dtype=torch.float32,
    )[:, None]


def fitted(
    operator: Operator,
    data: torch.Tensor,
    truths: torch.Tensor,
    **more: Any,
) -> None:
    model = LearnedPrimalDual(iterations=1, hidden=2, image_scale=0.02, like=operator)
    lr.fit(model, (data, truths), operator=operator, steps=1, progress=False, **more)


def folder(path: Path, operator: Operator, number: int = 10) -> Path:
    for name, values in (("truth", images(number)), ("measurement", operator(images(number)))):
        (path / name).mkdir(parents=True)
        for k, each in enumerate(values):
            np.save(path / name / f"{chr(97 + k)}.npy", each[0].numpy())
    return path


def test_fit_refuses_a_scan_that_turns_the_other_way_and_may_be_told_to_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(DataError, match=r"= 0\.\d+; of a scan that turns the other way"):
        fitted(T, BACK(images()), images())
    fitted(T, BACK(images()), images(), mismatch="warn")
    assert "turns the other way" in caplog.text
    assert "WARNING" in caplog.text


def test_fit_says_how_well_good_data_agree(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "learnedrecon")
    noisy = T(images()) + 0.01 * torch.randn(
        10, 1, 12, 25, generator=torch.Generator().manual_seed(0)
    )
    fitted(T, noisy, images())
    (line,) = [each for each in caplog.messages if "|T(truth) - y|/|y| = 0." in each]
    assert "WARNING" not in line


def test_fit_of_k_space() -> None:
    truths = images().to(torch.complex64)
    with pytest.raises(DataError, match="not divided by the root"):
        fitted(MRI, 16 * MRI(truths), truths)
    fitted(MRI, MRI(truths), truths)


@pytest.mark.parametrize(
    ("scale", "warned"), [(1.0, True), (0.02, False), (0.05, False), (1e-3, True)]
)
def test_images_of_another_size_than_the_image_scale_are_noticed(
    caplog: pytest.LogCaptureFixture, scale: float, *, warned: bool
) -> None:
    model = LearnedPrimalDual(iterations=1, hidden=2, image_scale=scale, like=T)
    lr.fit(model, images(), operator=T, steps=1, progress=False)
    found = [each for each in caplog.messages if "model.image_scale" in each]
    assert len(found) == warned
    if warned:
        largest = float(images().amax((1, 2, 3)).max())
        assert f"Set model.image_scale to {largest:.2g}" in found[0]
        assert f"is {scale:g}" in found[0]


def test_train_refuses_before_the_run_folder_is_written(
    cli: Run, config: Path, small: list[str], tmp_path: Path
) -> None:
    source = folder(tmp_path / "p", BACK)
    write_geometry(tmp_path / "g.yaml", SCAN)
    words = [
        f"data.{s}={{name: pairs, path: {source}, split: {s}}}" for s in ("train", "validation")
    ]
    words += [f"data.test={{name: pairs, path: {source}, split: test}}", "data.simulation=null"]
    words += ["operator.angles.number=12", "operator.detector.pixels=25", "training.steps=1"]
    words += ["data.train.fractions=[0.6, 0.2, 0.2]", "data.validation.fractions=[0.6, 0.2, 0.2]"]
    words += ["data.test.fractions=[0.6, 0.2, 0.2]", "training.validate_every=1"]
    options = [text for word in words for text in ("--set", word)]
    asked = ["train", config, "-o", tmp_path / "run", *small, *options]
    refused = cli(*asked)
    assert refused.exit_code == 2
    assert "turns the other way" in " ".join(refused.stderr.split())
    assert not (tmp_path / "run").exists()
    done = cli(*asked, "--set", "data.mismatch=warn")
    assert done.exit_code == 0, done.output
    assert "turns the other way" in " ".join(done.stderr.split())


def test_check_data_compares_with_a_geometry(cli: Run, tmp_path: Path) -> None:
    write_geometry(tmp_path / "g.yaml", SCAN)
    for name, operator, code in (("right", T, 0), ("wrong", BACK, 1)):
        result = cli(
            "check", "data", folder(tmp_path / name, operator), "--geometry", tmp_path / "g.yaml"
        )
        assert result.exit_code == code, result.output
        assert "as they are" in result.stdout
        assert ("turns the other way, the data fit" in result.stdout) == bool(code)
        table = result.stdout[result.stdout.index("|T(truth)") :].splitlines()
        assert max(map(len, table[:-1])) <= 80
        errors = []
        for sample in "aej":
            u, y = (
                torch.from_numpy(np.load(tmp_path / name / each / f"{sample}.npy"))
                for each in ("truth", "measurement")
            )
            errors.append(float((T(u) - y).norm() / y.norm()))
        assert float(table[1].split()[0]) == pytest.approx(sorted(errors)[1], rel=0.05)


def test_check_data_of_k_space_and_of_data_alone(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "mri.yaml").write_text("{name: cartesian_mri, shape: [16, 16]}")
    write_geometry(tmp_path / "g.yaml", SCAN)
    truths = images().to(torch.complex64)
    for name, values in (("truth", truths), ("measurement", torch.fft.fft2(truths))):
        (tmp_path / "k" / name).mkdir(parents=True)
        for k, each in enumerate(values[:3]):
            np.save(tmp_path / "k" / name / f"{chr(97 + k)}.npy", each[0].numpy())
    result = cli("check", "data", tmp_path / "k", "--geometry", tmp_path / "mri.yaml")
    assert result.exit_code == 1
    assert "corner, the data fit 16 times T(truth)" in result.stdout
    np.save(tmp_path / "share.npy", torch.exp(-T(images(1)))[0, 0].numpy())
    result = cli("check", "data", tmp_path / "share.npy", "--geometry", tmp_path / "g.yaml")
    assert "look like transmissions (the median of rays past the image is" in result.stdout


@pytest.mark.parametrize("raw", [False, True])
def test_reconstruct_notices_raw_values(caplog: pytest.LogCaptureFixture, *, raw: bool) -> None:
    line = T(images(1))
    lr.reconstruct("fbp", (30000 * torch.exp(-line)).round() if raw else line, operator=T)
    assert ("look like raw counts" in caplog.text) == raw

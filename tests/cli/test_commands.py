"""What the commands do when everything is right."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from pydicom.data import get_testdata_file

from learnedrecon.config.yaml_file import read_config, read_geometry, write_geometry
from learnedrecon.data.files.arrays import read_array, write_array
from learnedrecon.data.files.dicom import hounsfield_to_attenuation, read_ct_dicom
from learnedrecon.data.phantoms.shepp_logan import shepp_logan
from learnedrecon.experiments.experiment import Experiment
from learnedrecon.models.classical import TV
from learnedrecon.models.registry import MODELS
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.problem import InverseProblem
from learnedrecon.solvers.direct.bandwidth import fbp_by_noise
from learnedrecon.solvers.direct.fbp import fbp
from learnedrecon.weights.checkpoint import load_weights
from learnedrecon.weights.tensorfile import read_tensors, write_tensors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor
    from typer.testing import Result

    from learnedrecon.functionals.base import Fidelity
    from learnedrecon.operators.base import Operator

    Run = Callable[..., Result]
    Refused = Callable[[list[object], tuple[str, str, str]], None]

SHAPE = (16, 16)
GEOMETRY = ParallelBeam(SHAPE, AngleRange(6), FlatDetector(24))


@pytest.fixture
def phantom() -> np.ndarray:
    return shepp_logan(SHAPE)


@pytest.fixture
def sinogram(phantom: np.ndarray) -> np.ndarray:
    return RayTransform(GEOMETRY)(torch.from_numpy(phantom)).numpy()


@pytest.fixture
def geometry(tmp_path: Path) -> Path:
    path = tmp_path / "geometry.yaml"
    write_geometry(path, GEOMETRY)
    return path


def test_a_run_folder_has_everything(trained: Path) -> None:
    names = {str(path.relative_to(trained)) for path in trained.rglob("*")}
    assert {
        "config.yaml",
        "metrics.jsonl",
        "environment.json",
        "figures",
        "checkpoints/last.safetensors",
        "checkpoints/best.safetensors",
    } <= names
    config = read_config(trained / "config.yaml")
    assert config.operator == GEOMETRY
    assert config.training.steps == 2


def test_weights_rebuild_model_and_operator(trained: Path) -> None:
    loaded = load_weights(
        trained / "checkpoints" / "best.safetensors", models=MODELS, operators=OPERATORS
    )
    config = read_config(trained / "config.yaml")
    assert replace(loaded.model.spec, like=None) == config.model
    assert loaded.operator is not None
    assert loaded.operator.spec == config.operator


def test_training_again_is_refused_and_fresh_begins_anew(
    cli: Run, config: Path, small: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    assert cli("train", config, "-o", folder, *small).exit_code == 0
    first = (folder / "metrics.jsonl").read_text()
    again = cli("train", config, "-o", folder, *small)
    assert again.exit_code == 2
    assert "Found one that did all its 2 steps" in again.stderr
    assert cli("train", config, "-o", folder, *small, "--fresh").exit_code == 0
    second = (folder / "metrics.jsonl").read_text()
    values = [
        [json.loads(line).get("psnr") for line in text.splitlines()] for text in (first, second)
    ]
    assert values[0] == values[1]


def test_evaluate_writes_what_it_prints(cli: Run, trained: Path, tmp_path: Path) -> None:
    target = tmp_path / "results.json"
    result = cli("evaluate", trained, "--images", 2, "--range", "range=1", "-o", target)
    assert result.exit_code == 0, result.output
    content = json.loads(target.read_text())
    (scores,) = content["methods"].values()
    assert content["test_images"] == 2
    assert content["range"] == "range=1"
    assert scores["psnr"] == pytest.approx(np.mean(scores["per_image"]["psnr"]))
    assert f"{scores['psnr']:.2f}" in result.stdout
    with Image.open(tmp_path / "results.png") as picture:
        assert picture.width > 100


def test_evaluate_takes_a_configuration_of_a_classical_method(
    cli: Run, config: Path, small: list[str], tmp_path: Path
) -> None:
    target = tmp_path / "results.json"
    words = [text for text in small if "=" in text and not text.startswith("model.")]
    options = [
        part for text in [*words, "model={name: tv, weight: 0.02}"] for part in ("--set", text)
    ]
    result = cli("evaluate", config, *options, "-o", target)
    assert result.exit_code == 0, result.output
    (name,) = json.loads(target.read_text())["methods"]
    assert name == "tv"
    assert "Converged" in result.stderr


def test_evaluate_says_when_the_operator_is_another_one(
    cli: Run, trained: Path, tmp_path: Path
) -> None:
    result = cli(
        "evaluate", trained, "--set", "operator.angles.number=9", "-o", tmp_path / "results.json"
    )
    assert result.exit_code == 0, result.output
    assert "not the one that the weights were trained with" in result.stderr


def test_compare_pairs_the_differences(cli: Run, trained: Path, tmp_path: Path) -> None:
    result = cli("compare", trained, "fbp", "tv", "-o", tmp_path)
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "results.json").read_text())
    methods = content["methods"]
    assert set(methods) == {"lpd", "fbp", "tv"}
    assert content["test_images"] == 3
    for name, difference in content["psnr_differences"].items():
        better, worse = name.split(" - ")
        each = [np.array(methods[m]["per_image"]["psnr"]) for m in (better, worse)]
        assert difference["mean"] == pytest.approx((each[0] - each[1]).mean())
        assert difference["ci95"][0] < difference["mean"] < difference["ci95"][1]
        assert difference["mean"] >= 0
    assert len(content["psnr_differences"]) == 3
    assert (tmp_path / "figure.png").exists()
    assert "tv: weight" in result.stderr
    assert methods["tv"]["model"]["nonnegative"] is True


def test_compare_sees_the_images_that_evaluate_sees(
    cli: Run, trained: Path, tmp_path: Path
) -> None:
    assert cli("compare", trained, "fbp", "-o", tmp_path).exit_code == 0
    assert cli("evaluate", trained, "-o", tmp_path / "one.json").exit_code == 0
    both = json.loads((tmp_path / "results.json").read_text())["methods"]["lpd"]["per_image"]
    one = json.loads((tmp_path / "one.json").read_text())["methods"]["lpd"]["per_image"]
    assert both == one


PLAIN = ("--window", "ram-lak", "--extrapolate", "none")


@pytest.mark.parametrize("bandwidth", ["auto", "0.5", None])
def test_fbp_takes_its_bandwidth_from_the_noise_unless_it_is_given(
    cli: Run, tmp_path: Path, geometry: Path, bandwidth: str | None
) -> None:
    operator = RayTransform(GEOMETRY)
    y = operator(torch.from_numpy(shepp_logan(GEOMETRY.shape[0]))[None, None])
    y += 0.1 * y.abs().mean() * torch.randn(y.shape)
    np.save(tmp_path / "scan.npy", y[0, 0].numpy())
    given = [] if bandwidth is None else ["--window", "hann", "--bandwidth", bandwidth]
    words = ["reconstruct", "fbp", tmp_path / "scan.npy", "--geometry", geometry]
    result = cli(*words, *given, "--extrapolate", "none", "-o", tmp_path / "u.npy")
    assert result.exit_code == 0, result.output
    if bandwidth == "0.5":
        expected = fbp(operator, y, window="hann", bandwidth=0.5)
    else:
        expected = fbp_by_noise(operator, y).image
    np.testing.assert_allclose(np.load(tmp_path / "u.npy"), expected[0, 0].numpy(), atol=2e-5)


@pytest.mark.parametrize("ending", ["npy", "tif", "h5", "png"])
@pytest.mark.parametrize("source", ["npy", "tif", "h5"])
def test_fbp_of_a_measurement_in_every_format(
    cli: Run, tmp_path: Path, sinogram: np.ndarray, geometry: Path, source: str, ending: str
) -> None:
    file, output = tmp_path / f"scan.{source}", tmp_path / f"image.{ending}"
    write_array(file, sinogram)
    result = cli("reconstruct", "fbp", file, "--geometry", geometry, *PLAIN, "-o", output)
    assert result.exit_code == 0, result.output
    image = read_array(output)
    expected = fbp(RayTransform(GEOMETRY), torch.from_numpy(sinogram)).numpy()
    if ending == "png":
        expected = (expected - expected.min()) / np.ptp(expected)
    np.testing.assert_allclose(image, expected, atol=2e-5)


def test_tv_is_the_solver_with_this_weight(
    cli: Run, tmp_path: Path, sinogram: np.ndarray, geometry: Path
) -> None:
    file, output = tmp_path / "scan.npy", tmp_path / "image.npy"
    np.save(file, sinogram)
    words = ["reconstruct", "tv", file, "--geometry", geometry, "-o", output, "--weight", 0.01]
    result = cli(*words)
    assert result.exit_code == 0, result.output
    problem = InverseProblem(RayTransform(GEOMETRY), torch.from_numpy(sinogram)[None, None])
    expected = TV(0.01)(problem).image[0, 0].numpy()
    np.testing.assert_allclose(np.load(output), expected, atol=1e-6)


@pytest.mark.parametrize("which", ["run", "weights"])
def test_a_run_and_its_weights_reconstruct_alike(
    cli: Run, trained: Path, tmp_path: Path, sinogram: np.ndarray, which: str
) -> None:
    file, output = tmp_path / "scan.npy", tmp_path / "image.npy"
    np.save(file, np.stack([sinogram, 2 * sinogram]))
    weights = trained / "checkpoints" / "best.safetensors"
    result = cli("reconstruct", trained if which == "run" else weights, file, "-o", output)
    assert result.exit_code == 0, result.output
    loaded = load_weights(weights, models=MODELS, operators=OPERATORS)
    data = torch.from_numpy(np.load(file))[:, None]
    assert loaded.operator is not None
    with torch.no_grad():
        expected = loaded.model(InverseProblem(loaded.operator, data)).image[:, 0]
    np.testing.assert_allclose(np.load(output), expected.numpy(), rtol=1e-5, atol=1e-6)


def test_the_geometry_may_be_that_of_a_configuration_or_a_run(
    cli: Run, trained: Path, tmp_path: Path, sinogram: np.ndarray
) -> None:
    np.save(tmp_path / "scan.npy", sinogram)
    images = []
    for geometry in (trained / "config.yaml", trained):
        words = ["reconstruct", "fbp", tmp_path / "scan.npy", "--geometry", geometry]
        result = cli(*words, *PLAIN, "--force", "-o", tmp_path / "image.npy")
        assert result.exit_code == 0, result.output
        images.append(np.load(tmp_path / "image.npy"))
    expected = fbp(RayTransform(GEOMETRY), torch.from_numpy(sinogram)).numpy()
    np.testing.assert_allclose(images, [expected, expected], atol=2e-5)


def test_the_data_term_of_a_weights_file_is_used(
    cli: Run, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors, content = read_tensors(trained / "checkpoints" / "best.safetensors")
    write_tensors(tmp_path / "w.safetensors", tensors, {**content, "fidelity": "kullback_leibler"})
    seen: list[str] = []

    def measured(operator: Operator, data: Tensor, fidelity: Fidelity) -> InverseProblem:
        seen.append(type(fidelity).__name__)
        return InverseProblem(operator, data, fidelity)

    monkeypatch.setattr("learnedrecon.experiments.reconstruction.InverseProblem", measured)
    np.save(tmp_path / "scan.npy", np.ones((6, 24), np.float32))
    for model in (trained, tmp_path / "w.safetensors"):
        words = ["reconstruct", model, tmp_path / "scan.npy", "-o", tmp_path / "image.npy"]
        assert cli(*words, "--force").exit_code == 0
    assert seen == ["LeastSquares", "KullbackLeibler"]


def test_a_dicom_slice_is_described_and_gets_a_geometry(
    cli: Run, refused: Refused, tmp_path: Path
) -> None:
    path, target = get_testdata_file("CT_small.dcm", download=False), tmp_path / "g.yaml"
    result = cli("check", "data", path, "--write-geometry", target)
    assert result.exit_code == 0, result.output
    assert "--simulate --geometry G.yaml" in result.stdout
    words: list[object] = ["reconstruct", "fbp", path, "-o", tmp_path / "image.npy"]
    refused(words, ("a measurement in", "an image, a slice in DICOM", "add --simulate"))
    words += ["--simulate", "--geometry", target]
    missing = r"geometry\.angles\.number, geometry\.detector\.pixels, geometry\.detector\.pitch in"
    refused(words, (missing, "FILL_IN", "write the value"))
    text = target.read_text()
    for name, value in (("number", "60"), ("pixels", "190"), ("pitch", "0.66")):
        text = text.replace(f"{name}: FILL_IN", f"{name}: {value}")
    target.write_text(text)
    beam = read_geometry(target)
    assert (beam.shape, beam.pixel) == ((128, 128), read_ct_dicom(str(path)).pixel_size)
    assert cli(*words).exit_code == 0


def test_complex_data_and_stacks_are_described(cli: Run, tmp_path: Path) -> None:
    stack = np.full((3, 5, 4), 3 - 4j, np.complex64)
    np.save(tmp_path / "k.npy", stack)
    result = cli("check", "data", tmp_path / "k.npy")
    assert result.exit_code == 0, result.output
    assert "magnitudes 5 to 5" in result.stdout
    assert "3 slices or coils of 5 x 4" in result.stdout
    assert "They need the operator of the scan, such as cartesian_mri" in result.stdout
    assert "--write-geometry" not in result.stdout
    assert cli("check", "data", tmp_path / "k.npy", "--write-geometry", "g").exit_code == 2
    np.save(tmp_path / "s.npy", stack.real)
    real = cli("check", "data", tmp_path / "s.npy").stdout
    assert "A stack of 3 along the first axis" in real
    assert "values 3 to 3" in real


def test_another_geometry_is_used_and_said(cli: Run, trained: Path, tmp_path: Path) -> None:
    wide = ParallelBeam((20, 12), AngleRange(9), FlatDetector(31, pitch=0.9))
    write_geometry(tmp_path / "g.yaml", wide)
    np.save(tmp_path / "scan.npy", np.ones(wide.data_shape, np.float32))
    words = ["reconstruct", trained, tmp_path / "scan.npy", "--geometry", tmp_path / "g.yaml"]
    result = cli(*words, "-o", tmp_path / "image.npy")
    assert result.exit_code == 0, result.output
    assert np.load(tmp_path / "image.npy").shape == (20, 12)
    assert "not the one that the model was trained with" in result.stderr


def test_the_scale_is_a_change_of_unit(
    cli: Run, trained: Path, tmp_path: Path, sinogram: np.ndarray
) -> None:
    np.save(tmp_path / "one.npy", sinogram)
    np.save(tmp_path / "small.npy", 0.02 * sinogram)
    assert (
        cli("reconstruct", trained, tmp_path / "one.npy", "-o", tmp_path / "a.npy").exit_code == 0
    )
    small = cli("reconstruct", trained, tmp_path / "small.npy", "-o", tmp_path / "b.npy")
    assert "Consider --scale" in small.stderr
    words = ["reconstruct", trained, tmp_path / "small.npy", "--scale", 0.02]
    assert cli(*words, "-o", tmp_path / "c.npy").exit_code == 0
    a, c = np.load(tmp_path / "a.npy"), np.load(tmp_path / "c.npy")
    np.testing.assert_allclose(c, 0.02 * a, rtol=1e-4, atol=1e-7)


def test_total_variation_goes_below_zero_where_it_may(
    cli: Run, tmp_path: Path, sinogram: np.ndarray, geometry: Path
) -> None:
    np.save(tmp_path / "scan.npy", -sinogram)
    words = ["reconstruct", "tv", tmp_path / "scan.npy", "--geometry", geometry, "--weight", 1e-2]
    for option in ("--signed", "--nonnegative"):
        result = cli(*words, option, "-o", tmp_path / f"{option[2:]}.npy")
        assert result.exit_code == 0, result.output
    assert np.load(tmp_path / "signed.npy").mean() < -0.05
    assert not np.load(tmp_path / "nonnegative.npy").any()
    other = cli("reconstruct", "fbp", tmp_path / "scan.npy", "--signed", "-o", tmp_path / "a.npy")
    assert other.exit_code == 2
    assert "fbp.nonnegative" in other.stderr


def test_simulating_scores_against_the_image(
    cli: Run, tmp_path: Path, phantom: np.ndarray, geometry: Path
) -> None:
    np.save(tmp_path / "phantom.npy", phantom)
    words = ["reconstruct", "tv", tmp_path / "phantom.npy", "--simulate", "--weight", 1e-3]
    result = cli(*words, "--geometry", geometry, "-o", tmp_path / "image.npy")
    assert result.exit_code == 0, result.output
    error = np.mean((np.load(tmp_path / "image.npy") - phantom) ** 2)
    assert f"PSNR {10 * np.log10(1 / error):.2f} dB" in result.stdout


def test_simulating_uses_the_noise_of_the_run(
    cli: Run, trained: Path, tmp_path: Path, phantom: np.ndarray
) -> None:
    np.save(tmp_path / "phantom.npy", phantom)
    words = ["reconstruct", trained, tmp_path / "phantom.npy", "--simulate"]
    result = cli(*words, "-o", tmp_path / "image.npy")
    assert result.exit_code == 0, result.output
    assert "RelativeGaussian(level=0.025)" in result.stderr


def test_a_dicom_slice_becomes_attenuation(cli: Run, tmp_path: Path) -> None:
    path = str(get_testdata_file("CT_small.dcm", download=False))
    beam = ParallelBeam((128, 128), AngleRange(180), FlatDetector(185, pitch=1.0))
    write_geometry(tmp_path / "g.yaml", beam)
    words = ["reconstruct", "fbp", path, "--simulate", "--geometry", tmp_path / "g.yaml"]
    result = cli(*words, "-o", tmp_path / "image.npy")
    assert result.exit_code == 0, result.output
    assert "0.661468 x 0.661468 mm" in result.stderr
    truth = hounsfield_to_attenuation(read_ct_dicom(path).hounsfield, clip=True)
    image = np.load(tmp_path / "image.npy")
    assert np.sqrt(np.mean((image - truth) ** 2)) < 0.1 * np.sqrt(np.mean(truth**2))


def write_exchange(path: Path, lines: np.ndarray, degrees: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        counts = 100 + 60000 * np.exp(-lines)
        file["exchange/data"] = counts[:, None]
        file["exchange/data_white"] = np.full((2, 1, lines.shape[1]), 60100.0)
        file["exchange/data_dark"] = np.full((2, 1, lines.shape[1]), 100.0)
        file["exchange/theta"] = degrees


def test_data_exchange_needs_no_geometry_for_fbp(cli: Run, tmp_path: Path) -> None:
    beam = ParallelBeam((24, 24), AngleRange(12), FlatDetector(24))
    lines = RayTransform(beam)(0.1 * torch.from_numpy(shepp_logan(24))).numpy()
    degrees = np.rad2deg(beam.angle_values)
    write_exchange(tmp_path / "scan.h5", lines, degrees)
    result = cli("reconstruct", "fbp", tmp_path / "scan.h5", *PLAIN, "-o", tmp_path / "image.npy")
    assert result.exit_code == 0, result.output
    assert "rotation axis at their centre" in result.stderr
    expected = fbp(RayTransform(beam), torch.from_numpy(lines)).numpy()
    np.testing.assert_allclose(np.load(tmp_path / "image.npy"), expected, atol=1e-5)


def test_check_data_writes_a_geometry_that_has_to_be_filled_in(cli: Run, tmp_path: Path) -> None:
    degrees = np.linspace(0, 170, 18)
    write_exchange(tmp_path / "scan.h5", np.ones((18, 20)), degrees)
    target = tmp_path / "g.yaml"
    result = cli("check", "data", tmp_path / "scan.h5", "--write-geometry", target)
    assert result.exit_code == 0, result.output
    assert "18 angles from 0 to 170 degrees" in result.stdout
    unfilled = cli("reconstruct", "fbp", tmp_path / "scan.h5", "--geometry", target, "-o", "x.npy")
    assert unfilled.exit_code == 2
    assert "geometry.detector.pitch" in unfilled.stderr
    text = target.read_text().replace("pixel_size: FILL_IN", "pixel_size: 0.5")
    target.write_text(text.replace("pitch: FILL_IN", "pitch: 0.5"))
    beam = read_geometry(target)
    assert beam.data_shape == (18, 20)
    np.testing.assert_allclose(np.rad2deg(beam.angle_values), degrees, atol=1e-6)


def test_check_data_describes_every_kind(cli: Run, tmp_path: Path, phantom: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", phantom)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["one"], file["two"] = phantom, phantom[:4]
    npy = cli("check", "data", tmp_path / "a.npy")
    assert "(16, 16), float32, values 0 to 1, all finite" in npy.stdout
    several = cli("check", "data", tmp_path / "b.h5")
    assert "--key two: (4, 16), float32" in several.stdout
    one = cli("check", "data", tmp_path / "b.h5", "--key", "two")
    assert "4 angles and 16 detector pixels" in one.stdout
    assert [result.exit_code for result in (npy, several, one)] == [0, 0, 0]


def test_check_operator_reads_configurations_and_geometries(
    cli: Run, trained: Path, geometry: Path
) -> None:
    for path in (trained, trained / "config.yaml", geometry):
        result = cli("check", "operator", path)
        assert result.exit_code == 0, result.output
        for dtype in ("float64", "float32"):
            assert f"torch.{dtype}: " in result.stdout
        assert "properties hold" in result.stdout
        assert len(result.stdout.splitlines()) == 3
    table = cli("check", "operator", geometry, "--verbose")
    assert "T* is adjoint" in table.stdout


def test_check_model(cli: Run, trained: Path) -> None:
    short = cli("check", "model", trained)
    assert short.exit_code == 0, short.output
    assert "properties hold" in short.stdout
    result = cli("check", "model", trained, "--verbose")
    assert result.exit_code == 0, result.output
    assert "gradients reach every parameter" in result.stdout


def test_env(cli: Run) -> None:
    result = cli("env")
    assert result.exit_code == 0
    for word in ("torch", "kernels", "devices", "threads"):
        assert word in result.stdout


def test_init_list_names_what_init_takes(cli: Run, tmp_path: Path) -> None:
    names = [line.split()[0] for line in cli("init", "--list").stdout.splitlines()]
    assert "ellipses-lpd" in names
    for name in names:
        assert cli("init", name, "-o", tmp_path / f"{name}.yaml").exit_code == 0


def test_init_force_overwrites(cli: Run, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("mine")
    assert cli("init", "ellipses-lpd", "-o", path).exit_code == 2
    assert path.read_text() == "mine"
    assert cli("init", "ellipses-lpd", "-o", path, "--force").exit_code == 0
    assert "learned_primal_dual" in path.read_text()


def test_validation_images_come_in_the_order_of_the_dataset(trained: Path) -> None:
    experiment = Experiment(read_config(trained / "config.yaml"))
    ids = [
        name for batch in experiment.batches("validation", 5, batch_size=2) for name in batch.ids
    ]
    assert ids == [f"validation-{index:07d}" for index in range(5)]

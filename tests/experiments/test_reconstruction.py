"""Measurements of operators that are no CT scan: by the spaces of the operator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
import torch

import learnedrecon as lr
from learnedrecon.config.yaml_file import write_geometry
from learnedrecon.errors import ConfigError, DtypeError, ShapeError
from learnedrecon.experiments.reconstruction import report
from learnedrecon.operators.imaging.inpaint import Inpaint, PixelMask
from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.cartesian_spec import Cartesian
from learnedrecon.operators.ray.flat_panel import FlatPanel
from learnedrecon.operators.ray.geometry2d import AngleRange
from learnedrecon.operators.ray.geometry3d import ParallelBeam3D
from learnedrecon.operators.ray.transform3d import RayTransform3D
from learnedrecon.weights.checkpoint import save_weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    from learnedrecon.schemes.reconstructor import Reconstructor

    Run = Callable[..., Result]

VOLUME = ParallelBeam3D((4, 8, 8), AngleRange(6), FlatPanel(4, 12))
CASES: dict[str, tuple[Any, int]] = {
    "inpainting": (Inpaint(PixelMask((8, 8), 0.6)), 1),
    "colours": (Inpaint(PixelMask((8, 8), 0.6)), 3),
    "one coil": (CartesianMRI(Cartesian((8, 8))), 1),
    "a volume": (RayTransform3D(VOLUME), 1),
}


def model_for(operator: lr.Operator, channels: int) -> Reconstructor:
    torch.manual_seed(0)
    like = lr.Like.of(operator, channels)
    return lr.models.UnrolledGradient(iterations=1, hidden=4, like=like)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("form", ["npy", "h5"])
def test_a_trained_model_reconstructs_what_its_operator_measures(
    cli: Run, tmp_path: Path, case: str, form: str
) -> None:
    operator, channels = CASES[case]
    model = model_for(operator, channels)
    weights, file, output = (tmp_path / name for name in ("w.safetensors", f"y.{form}", "u.npy"))
    save_weights(weights, model, operator=operator)
    y = operator(operator.domain.random(torch.Generator().manual_seed(1), (1, channels)))
    shaped = y[0] if channels > 1 else y[0, 0]
    if form == "npy":
        np.save(file, shaped.numpy())
    else:
        with h5py.File(file, "w") as store:
            store["y"] = shaped.numpy()
    result = cli("reconstruct", weights, file, "-o", output)
    assert result.exit_code == 0, result.output
    with torch.no_grad():
        expected = model(lr.InverseProblem(operator, y)).image[0].squeeze(0)
    found = np.load(output)
    assert found.dtype == (np.complex64 if operator.domain.is_complex else np.float32)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-6, atol=1e-7)
    stack = torch.cat([y, 2 * y])[:, 0] if channels == 1 else torch.cat([y, 2 * y])
    both = lr.reconstruct(model, stack, operator=operator).image
    torch.testing.assert_close(both[0].squeeze(0), expected, rtol=1e-6, atol=1e-7)
    assert len(both) == 2


def test_real_k_space_is_complex_without_an_imaginary_part() -> None:
    operator = CartesianMRI(Cartesian((8, 8)))
    y = torch.rand(8, 8)
    model = model_for(operator, 1)
    one, two = (lr.reconstruct(model, v, operator=operator).image for v in (y, y + 0j))
    assert torch.equal(one, two)


def test_what_does_not_fit_the_spaces_is_refused(tmp_path: Path) -> None:
    operator = Inpaint(PixelMask((8, 8), 0.6))
    model = model_for(operator, 1)
    with pytest.raises(ShapeError, match=r"\(8, 8\).*\(8, 9\)"):
        lr.reconstruct(model, torch.rand(8, 9), operator=operator)
    with pytest.raises(DtypeError, match="real numbers"):
        lr.reconstruct(model, torch.rand(8, 8) + 1j, operator=operator)
    with pytest.raises(ShapeError, match=r"\(3, 8, 8\)"):
        lr.reconstruct(model_for(operator, 3), torch.rand(8, 8), operator=operator)
    mri = CartesianMRI(Cartesian((8, 8)))
    for name in ("u.png", "u.tif"):
        with pytest.raises(DtypeError, match=r"\.npy"):
            lr.reconstruct(
                model_for(mri, 1), torch.rand(8, 8), operator=mri, output=tmp_path / name
            )
    volume = RayTransform3D(VOLUME)
    with pytest.raises(ShapeError, match="two axes"):
        lr.reconstruct(
            model_for(volume, 1), torch.rand(6, 4, 12), operator=volume, output=tmp_path / "u.png"
        )
    assert not list(tmp_path.iterdir())


def test_a_named_method_takes_any_linear_operator(cli: Run, tmp_path: Path) -> None:
    """Total variation with weight α moves no pixel by more than 4α: four differences meet it."""
    operator = Inpaint(PixelMask((8, 8), 1.0))
    write_geometry(tmp_path / "g.yaml", operator.spec)
    y = np.random.default_rng(0).random((8, 8)).astype(np.float32)
    np.save(tmp_path / "y.npy", y)
    words = ["reconstruct", "tv", tmp_path / "y.npy", "--geometry", tmp_path / "g.yaml"]
    result = cli(*words, "--weight", 1e-6, "-o", tmp_path / "u.npy")
    assert result.exit_code == 0, result.output
    np.testing.assert_allclose(np.load(tmp_path / "u.npy"), y, rtol=0, atol=5e-6)


def test_an_image_of_any_operator_is_simulated_and_scored() -> None:
    operator = RayTransform3D(VOLUME)
    truth = torch.rand(4, 8, 8)
    result = lr.reconstruct(
        "fbp", truth, operator=operator, simulate=True, arguments={"window": "hann"}
    )
    error = (result.image[0, 0] - truth).square().mean()
    expected = 10 * torch.log10((truth.max() - truth.min()).square() / error)
    assert result.psnr == pytest.approx(expected.item(), abs=1e-4)


def test_a_constant_truth_has_no_score_and_the_image_is_kept(cli: Run, tmp_path: Path) -> None:
    operator = Inpaint(PixelMask((8, 8), 1.0))
    write_geometry(tmp_path / "g.yaml", operator.spec)
    np.save(tmp_path / "u.npy", np.full((8, 8), 0.5, np.float32))
    for name in ("x.npy", "x.png"):
        words = ["reconstruct", "tv", tmp_path / "u.npy", "--simulate", "--weight", 0.01]
        result = cli(*words, "--geometry", tmp_path / "g.yaml", "-o", tmp_path / name)
        assert result.exit_code == 0, result.output
        assert "has no PSNR" in result.stdout
        assert (tmp_path / name).exists()


def test_wrong_arguments_of_a_named_method_come_before_the_file() -> None:
    with pytest.raises(ConfigError, match=r"fbp\.weight"):
        lr.reconstruct("fbp", "missing.npy", arguments={"weight": 1.0})
    with pytest.raises(ConfigError, match=r"tv\.nonnegativ"):
        lr.reconstruct("tv", "missing.npy", arguments={"nonnegativ": False})
    with pytest.raises(ConfigError, match="whose weights have to be trained"):
        lr.reconstruct("learned_gradient", "missing.npy")


def test_the_report_is_of_the_magnitudes_of_complex_images() -> None:
    operator = CartesianMRI(Cartesian((8, 8)))
    result = lr.reconstruct(model_for(operator, 1), torch.rand(8, 8), operator=operator)
    assert "magnitudes" in report(result)[0]

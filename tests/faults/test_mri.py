"""The scripts of the fault hunt about magnetic resonance imaging and weights."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from tests.helpers import complex_normal, relative

import learnedrecon as lr
from learnedrecon.data import RelativeGaussian, Simulation, Simulator, birdcage_maps
from learnedrecon.errors import ConfigError, DataError, DtypeError, PropertyError, ShapeError
from learnedrecon.models import DeepGradientDescent, UnrolledGradient
from learnedrecon.operators import (
    Cartesian,
    CartesianMRI,
    LinearOperator,
    NonCartesian,
    NonCartesianMRI,
    PointSpread,
    Radial,
    Space,
)
from learnedrecon.operators.imaging.point_spread import Gaussian
from learnedrecon.operators.mri.sampling import RandomLines, acceleration, sampling_mask
from learnedrecon.schemes import AdjointScale, ImageScale
from learnedrecon.solvers import cg_sense, espirit, tv_reconstruction, whiten
from learnedrecon.testing import check_operator

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.conftest import Say
    from torch import Tensor

WIDE = torch.complex128
SIZE, COILS = 8, 3


def normalised(maps: Tensor) -> Tensor:
    return maps / maps.abs().square().sum(-3, keepdim=True).sqrt()


def sense(maps: Tensor | None = None, **tensors: Tensor) -> CartesianMRI:
    """SENSE of 8 × 8 images with three coils."""
    if maps is None:
        maps = normalised(complex_normal(COILS, SIZE, SIZE))
    spec = Cartesian(tuple(maps.shape[-2:]), coils=len(maps))
    operator = CartesianMRI(spec, None, maps, maps.dtype)
    found = operator.with_tensors(tensors) if tensors else operator
    assert isinstance(found, CartesianMRI)
    return found


def test_f01_a_header_of_any_length_is_no_pickle(tmp_path: Path, found: Say) -> None:
    """Lengths whose first two bytes are those of a pickle of protocol 2 to 5."""
    model, path = UnrolledGradient(iterations=1, layers=2, hidden=1), tmp_path / "w.safetensors"

    def header(note: str) -> int:
        lr.save_weights(path, model, extra={"note": note})
        (length,) = struct.unpack("<Q", path.read_bytes()[:8])
        assert isinstance(length, int)
        return length

    base, read = header(""), 0
    lengths = [start + length for start in (0, 65536) for length in (640, 896, 1152, 1408)]
    reached = [length for length in lengths if length >= base]
    for length in reached:
        assert header("x" * (length - base)) == length
        with safe_open(path, "pt") as whole:
            assert len([*whole.keys()]) > 0
        lr.load_weights(path)
        read += 1
    found(f"{read} of {len(reached)} such files are read")
    assert len(reached) >= 4


def test_f02_operators_are_read_as_they_were_written(tmp_path: Path, found: Say) -> None:
    specs = {
        "Cartesian": Cartesian((64, 64)),
        "radial": NonCartesian((64, 64), Radial(16, 128)),
        "blur": PointSpread((64, 64), Gaussian(1.0)),
    }
    same = {}
    for name, spec in specs.items():
        lr.write_geometry(tmp_path / "g.yaml", spec)
        same[name] = lr.read_geometry(tmp_path / "g.yaml") == spec
    found(f"the same again: {same}")
    assert all(same.values())


def test_f03_one_scale_for_each_sample(found: Say) -> None:
    operator = sense()
    sizes = torch.tensor([1.0, 5.0], dtype=torch.float64).reshape(2, 1, 1, 1)
    problem = lr.InverseProblem(operator, operator(complex_normal(2, 1, SIZE, SIZE) * sizes))
    scaled, c = AdjointScale()(problem)
    right = problem.data / (torch.as_tensor(c).reshape(2, 1, 1, 1, 1) * operator.norm())
    error = relative(scaled.data, right)
    found(f"data {tuple(scaled.data.shape)}, against one number per sample {error:.1g}")
    assert error < 1e-12


def test_f04_a_real_covariance_whitens_complex_data(found: Say) -> None:
    y, deviation = complex_normal(3, 4, 5, dtype=torch.complex64), torch.tensor([1.0, 2.0, 0.5])
    white = whiten(y, torch.diag(deviation**2))
    error = float((white - y / deviation[:, None, None]).abs().max())
    found(f"{white.dtype}, largest error {error:.1g}")
    assert white.dtype == torch.complex64
    assert error < 1e-6


def test_f05_tensors_of_samples_need_the_channel_axis(found: Say) -> None:
    operator, mask = sense(), complex_normal(2, 1, SIZE, SIZE).real > 0
    maps = complex_normal(2, COILS, SIZE, SIZE)
    refused = []
    for name, tensor in (("mask", mask), ("maps", maps)):
        with pytest.raises(ShapeError, match="channel axis") as caught:
            operator.with_tensors({name: tensor})
        refused.append(f"{name}: {type(caught.value).__name__}")
    u = complex_normal(2, 1, SIZE, SIZE)
    y = sense(mask=mask[:, None])(u)
    alone = torch.cat([sense(mask=mask[k : k + 1, None])(u[k : k + 1]) for k in range(2)])
    error = relative(y, alone)
    found(f"{', '.join(refused)}; with it T(u) {tuple(y.shape)}, against singles {error:.1g}")
    assert error < 1e-12


@pytest.mark.parametrize("every", [1, 4, 16])
def test_f06_noise_acts_on_what_is_measured(found: Say, every: int) -> None:
    size, level = 64, 0.1
    mask = torch.zeros(size)
    mask[::every] = 1
    maps = normalised(complex_normal(4, size, size, dtype=torch.complex64))
    operator = CartesianMRI(Cartesian((size, size), coils=4), mask, maps)
    u = torch.rand(1, 1, size, size).to(torch.complex64)
    clean = operator(u)
    y = Simulator(Simulation(RelativeGaussian(level)), operator)(u, ["a"])
    there, noise = mask.bool().expand_as(clean), (y - clean).abs()
    ratio = float(noise[there].square().mean().sqrt() / (level * clean[there].abs().mean()))
    elsewhere = float(noise[~there].sum())
    factor = float(acceleration(sampling_mask(y)[0, 0, 0]))
    found(
        f"R = {every}: σ over the right one {ratio:.3f}, elsewhere {elsewhere:g}, found {factor:g}"
    )
    assert ratio == pytest.approx(1, abs=5 / 2 / int(there.sum()) ** 0.5)
    assert elsewhere == 0
    assert factor == every


def test_f07_an_image_does_not_depend_on_its_batch(found: Say) -> None:
    size = 12
    scale = torch.tensor([0.5, 1.0]).reshape(2, 1, 1, 1, 1)
    maps = complex_normal(2, 1, 4, size, size, dtype=torch.complex64) * scale
    plain = CartesianMRI(Cartesian((size, size), coils=4))
    u = complex_normal(2, 1, size, size, seed=1, dtype=torch.complex64)
    model = DeepGradientDescent(iterations=3, hidden=4, like=plain).eval()

    def image(samples: slice) -> Tensor:
        operator = plain.with_tensors({"maps": maps[samples]})
        with torch.no_grad():
            result = model(lr.InverseProblem(operator, operator(u[samples]))).image
        assert isinstance(result, torch.Tensor)
        return result

    together = image(slice(0, 2))
    alone = torch.cat([image(slice(k, k + 1)) for k in range(2)])
    errors = [float((together[k] - alone[k]).norm() / alone[k].norm()) for k in range(2)]
    found(f"together against alone {errors[0]:.1g} and {errors[1]:.1g}")
    assert max(errors) < 1e-5


@pytest.mark.parametrize(("size", "centre"), [(96, 8), (48, 4)])
def test_f08_masks_of_each_slice_need_few_applications(
    size: int,
    centre: int,
    found: Say,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch, calls = 4, 0
    maps = torch.as_tensor(birdcage_maps((size, size), 4))
    plain = CartesianMRI(Cartesian((size, size), coils=4), None, maps)
    u = complex_normal(batch, 1, size, size, dtype=torch.complex64)
    evaluate = CartesianMRI.evaluate

    def counted(operator: CartesianMRI, image: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return evaluate(operator, image)

    problems = []
    for k in range(5):
        lines = RandomLines((6,), (centre / size,))
        masks = [lines.draw((size, size), 10 * k + i) for i in range(batch)]
        operator = plain.with_tensors({"mask": torch.stack(masks)[:, None, None]})
        problems.append(lr.InverseProblem(operator, operator(u)))
    monkeypatch.setattr(CartesianMRI, "evaluate", counted)
    for problem in problems:
        ImageScale(1.0)(problem)
    found(f"{calls / 5:g} applications of T a batch, {len(caplog.records)} warnings in 5 batches")
    assert calls / 5 < 30
    assert not caplog.records


def test_f10_total_variation_of_complex_images(found: Say) -> None:
    operator = CartesianMRI(Cartesian((SIZE, SIZE)), dtype=WIDE)
    y = complex_normal(1, 1, SIZE, SIZE)
    with pytest.raises(ConfigError, match="axes"):
        lr.functionals.TotalVariation(0.1)  # type: ignore[arg-type]
    result = tv_reconstruction(operator, y, 0.1, gap=1e-6)
    turned = tv_reconstruction(operator, 1j * y, 0.1, gap=1e-6)
    error = relative(turned.image, 1j * result.image)
    found(f"complex image {tuple(result.image.shape)}; i times the data is i times it, {error:.1g}")
    assert error < 1e-3


def test_f17_two_channels_are_no_complex_image(found: Say) -> None:
    operator = CartesianMRI(Cartesian((SIZE, SIZE)))
    with pytest.raises(DtypeError, match="real and imaginary parts") as caught:
        operator(torch.rand(1, 2, SIZE, SIZE))
    found(f"{type(caught.value).__name__}: {str(caught.value)[:90]}")


class Mixes(LinearOperator):
    """Adds a tenth of the other channel to each."""

    def __init__(self) -> None:
        super().__init__(Space((6, 6)), Space((6, 6)))

    def evaluate(self, u: Tensor) -> Tensor:
        return u + 0.1 * u.flip(-3) if u.ndim >= 4 else u

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return self.evaluate(v)

    def compute_norm(self) -> float:
        return 1.0


def test_f18_channels_that_mix_are_found(found: Say) -> None:
    with pytest.raises(PropertyError) as caught:
        check_operator(Mixes())
    found(f"{type(caught.value).__name__}: {' '.join(str(caught.value).split())[:90]}")


def test_f20_maps_with_nan_are_named(found: Say) -> None:
    maps = complex_normal(COILS, SIZE, SIZE, dtype=torch.complex64)
    maps[:, 0, 0] = 0
    maps = maps / maps.abs().square().sum(0).sqrt()
    operators: list[Any] = [
        lambda: sense(maps),
        lambda: NonCartesianMRI(NonCartesian((SIZE, SIZE), Radial(4, 8), COILS), maps),
    ]
    names = []
    for build in operators:
        with pytest.raises(DataError, match="finite maps") as caught:
            build()
        names.append(type(caught.value).__name__)
    good = sense(torch.nan_to_num(maps))
    y = good(complex_normal(1, 1, SIZE, SIZE, seed=1, dtype=torch.complex64))
    assert bool(cg_sense(good, y, 0.1).solution.isfinite().all())
    found(f"Cartesian {names[0]}, non-Cartesian {names[1]}, 'finite maps'")


def test_f22_messages_of_espirit(found: Say) -> None:
    kspace = complex_normal(4, 32, 32, dtype=torch.complex64)
    with pytest.raises(DtypeError, match="from_numpy") as array:
        espirit(np.asarray(kspace))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"24 × 4 samples.*kernel of at most 4") as lines:
        espirit(kspace, calibration=(24, 4))
    assert "default" not in str(lines.value)
    advice = str(lines.value).split("What to do: ")[1]
    found(f"array {type(array.value).__name__}; few lines '{advice}'")
    assert espirit(kspace, calibration=(24, 4), kernel=4).maps.shape == kspace.shape

from __future__ import annotations

import resource
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from learnedrecon.errors import ConfigError, FileFormatError
from learnedrecon.models.like import Like
from learnedrecon.models.registry import MODELS
from learnedrecon.networks.unet import UNetSpec
from learnedrecon.operators.imaging.blur import Blur, PointSpread
from learnedrecon.operators.imaging.point_spread import Gaussian
from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.cartesian_spec import Cartesian
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.problem import InverseProblem
from learnedrecon.weights.checkpoint import (
    MODEL,
    Blueprint,
    Loaded,
    load_weights,
    save_weights,
    write_weights,
)
from learnedrecon.weights.tensorfile import read_tensors, with_prefix, write_tensors

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from learnedrecon.operators.base import Operator
    from learnedrecon.schemes.reconstructor import Reconstructor
    from learnedrecon.weights.checkpoint import FidelityName


REQUIRED = {"tv": {"weight": 0.05}}


def trained(tiny: ModuleType, width: int = 4) -> Reconstructor:
    """Weights and statistics that no initialisation gives."""
    torch.manual_seed(8)
    model: Reconstructor = tiny.Tiny(tiny.TinySpec(width=width))
    model(tiny.Source().of([0, 1, 2]).problem)
    return model


def blueprint(tiny: ModuleType, width: int = 4) -> Blueprint:
    return Blueprint.of(
        tiny.TinySpec(width=width), tiny.FadeSpec(), models=tiny.MODELS, operators=tiny.OPERATORS
    )


def load(tiny: ModuleType, path: Path) -> Loaded:
    return load_weights(path, models=tiny.MODELS, operators=tiny.OPERATORS)


def test_model_and_operator_come_back_bit_for_bit(tiny: ModuleType, tmp_path: Path) -> None:
    model = trained(tiny)
    path = tmp_path / "weights.safetensors"
    write_weights(path, model, blueprint(tiny), {"psnr": 30.25, "step": 4})
    before = torch.get_rng_state()
    loaded = load(tiny, path)
    assert torch.equal(torch.get_rng_state(), before)
    assert type(loaded.model) is type(model)
    assert loaded.extra == {"psnr": 30.25, "step": 4}
    assert not loaded.model.training
    problem = tiny.Source().of([3, 4]).problem
    assert torch.equal(loaded.model(problem).image, model.eval()(problem).image)
    assert loaded.operator is not None
    image = torch.rand(1, 1, 6, 6)
    assert torch.equal(loaded.operator(image), problem.operator(image))


@pytest.mark.parametrize("fidelity", ["least_squares", "kullback_leibler"])
def test_the_data_term_is_kept(tiny: ModuleType, tmp_path: Path, fidelity: FidelityName) -> None:
    path = tmp_path / "weights.safetensors"
    write_weights(path, trained(tiny), replace(blueprint(tiny), fidelity=fidelity))
    assert load(tiny, path).fidelity == fidelity


def test_a_file_without_a_data_term_is_of_least_squares(tiny: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    write_weights(path, trained(tiny), blueprint(tiny))
    tensors, content = read_tensors(path)
    del content["fidelity"]
    write_tensors(path, tensors, content)
    assert load(tiny, path).fidelity == "least_squares"
    write_tensors(path, tensors, {**content, "fidelity": "least_sqares"})
    with pytest.raises(FileFormatError, match="did you mean 'least_squares'"):
        load(tiny, path)


def test_a_run_folder_has_its_best_weights(tiny: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="a checkpoint in"):
        load(tiny, tmp_path)
    folder = tmp_path / "checkpoints"
    for name, psnr in (("last", 1.0), ("best", 2.0)):
        path = folder / f"{name}.safetensors"
        write_weights(path, trained(tiny), blueprint(tiny), {"psnr": psnr})
        assert load(tiny, tmp_path).extra == {"psnr": psnr}


OF_ONE_SIZE = ("lista", "lista_cp", "lista_cpss")
THRESHOLDING = ("alista", "psi_donet")
OF_BLUR = ("shrinkage_field",)
OF_COILS = ("end_to_end_variational",)
SMALL = UNetSpec(base=4, depth=1, groups=2)


@pytest.mark.parametrize("name", MODELS)
def test_every_method_comes_back_bit_for_bit(tmp_path: Path, name: str) -> None:
    """Those without weights too, each with its operator, from the registries of the package."""
    geometry: Any = ParallelBeam((16, 16), AngleRange(12), FlatDetector(24, 1.0), 1.0)
    operator: Operator = RayTransform(geometry)
    if name in OF_BLUR:
        geometry = PointSpread((16, 16), Gaussian(1.0))
        operator = Blur(geometry)
    sizes: dict[str, Any] = {"rows": 288, "columns": 256} if name in OF_ONE_SIZE else {}
    if name in OF_COILS:
        geometry = Cartesian((16, 16), coils=2)
        operator = CartesianMRI(geometry, maps=torch.full((2, 16, 16), 0.5**0.5) + 0j)
        sizes = {"iterations": 2, "network": SMALL, "maps": SMALL, "like": Like.of(operator)}
    entry = MODELS[name]
    spec = entry.spec(**REQUIRED.get(name, {}), **sizes)
    model = entry.build(spec).eval()
    generator = torch.Generator().manual_seed(7)
    for parameter in model.parameters():
        kept = parameter.data if name in THRESHOLDING else 0  # drawn thresholds would leave nothing
        parameter.data.copy_(kept + 0.05 * torch.randn(parameter.shape, generator=generator))
    path = tmp_path / "weights.safetensors"
    save_weights(path, model, operator=operator)
    loaded = load_weights(path)
    assert loaded.model.spec == spec
    assert loaded.operator is not None
    assert loaded.operator.spec == geometry
    data = operator(torch.rand(2, 1, 16, 16, generator=generator, dtype=operator.domain.dtype))
    used = operator if name in OF_COILS else loaded.operator  # coil maps are not part of a spec
    problem = InverseProblem(used, data)
    with torch.no_grad():
        image = model(problem).image
        assert torch.equal(loaded.model(problem).image, image)
    assert image.abs().max() > 0


def test_an_operator_is_not_needed(tiny: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    plain = Blueprint.of(tiny.TinySpec(width=4), models=tiny.MODELS, operators=tiny.OPERATORS)
    write_weights(path, trained(tiny), plain)
    loaded = load(tiny, path)
    assert loaded.operator is None


def test_an_unregistered_spec_is_named(tiny: ModuleType) -> None:
    with pytest.raises(ConfigError, match="Blueprint"):
        Blueprint.of(Blueprint({}), models=tiny.MODELS, operators=tiny.OPERATORS)


def rewritten(tiny: ModuleType, path: Path, **changes: Any) -> None:
    """A file like that of ``trained``, whole and signed, but with other content."""
    write_weights(path, trained(tiny), blueprint(tiny))
    tensors, content = read_tensors(path)
    tensors.update(with_prefix(MODEL, changes.pop("add", {})))
    for name in changes.pop("drop", ()):
        del tensors[MODEL + name]
    write_tensors(path, tensors, {**content, **changes})


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"drop": ["last.bias"]}, "missing last.bias"),
        ({"add": {"third.weight": torch.zeros(1)}}, "unexpected third.weight"),
        ({"add": {"last.bias": torch.zeros(2)}}, r"last.bias of float32 \(2,\)"),
        ({"add": {"last.bias": torch.zeros(1).double()}}, "last.bias of float64"),
        ({"add": {"last.bias": torch.tensor([float("nan")])}}, "NaN or infinity in last.bias"),
        ({"model": {"name": "tinny"}}, "did you mean 'tiny'"),
        ({"model": {"name": "tiny", "with": 4}}, "did you mean 'width'"),
        ({"model": {"name": "tiny", "width": "four"}}, "model.width"),
        ({"model": {"name": "tiny", "width": 3}}, "first.weight of float32"),
        ({"model": None}, "'model' with a 'name'"),
        ({"model": ["tiny"]}, "'model' with a 'name'"),
        ({"operator": {"name": "faint"}}, "one of fade"),
    ],
)
def test_files_that_do_not_fit_are_named(
    tiny: ModuleType, tmp_path: Path, changes: dict[str, Any], named: str
) -> None:
    path = tmp_path / "weights.safetensors"
    rewritten(tiny, path, **changes)
    with pytest.raises(FileFormatError, match=named) as caught:
        load(tiny, path)
    assert "weights.safetensors" in str(caught.value)


HOSTILE: dict[str, dict[str, object]] = {
    "no text as the data term": {"fidelity": {"a": 1}},
    "a list as the model": {"model": [1]},
    "a model with a list as its name": {"model": {"name": ["x"]}},
    "weights that no memory holds": {"model": {"name": "fbp_unet", "network": {"base": 10**8}}},
    "an operator with a list as its name": {"operator": {"name": ["x"]}},
    "no operator": {"operator": 3},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_descriptions_of_nothing_are_named(tmp_path: Path, name: str) -> None:
    content = {"model": {"name": "fbp"}, "operator": None, "extra": None} | HOSTILE[name]
    path = tmp_path / "w.safetensors"
    write_tensors(path, {"model.x": torch.ones(1)}, content)
    with pytest.raises(FileFormatError, match=r"w\.safetensors.* Found .* What to do: "):
        load_weights(path)


def test_extra_of_another_kind_is_none(tmp_path: Path) -> None:
    write_tensors(tmp_path / "w.safetensors", {}, {"model": {"name": "fbp"}, "extra": [1]})
    assert load_weights(tmp_path / "w.safetensors").extra == {}


@pytest.mark.parametrize("size", [{"hidden": 3000}, {"hidden": 2, "iterations": 30_000}])
def test_a_model_far_larger_than_its_file_is_not_built(
    tmp_path: Path, size: dict[str, int]
) -> None:
    """A gigabyte, or a minute, before the shapes would be found not to fit."""
    model = {"name": "filtered_primal_dual", **size}
    write_tensors(tmp_path / "w.safetensors", {}, {"model": model})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FileFormatError, match=r"w\.safetensors.*far larger model"):
        load_weights(tmp_path / "w.safetensors")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 18

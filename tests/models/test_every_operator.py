"""One table {methods} × {operators}: every method runs, trains and is stored, or says why not."""

from __future__ import annotations

import math
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import torch
from tests.models.settled import SPLITTING, bend, settle
from torch import Tensor

from learnedrecon.errors import ConfigError, GeometryError
from learnedrecon.models.equilibrium import FixedPointSolver, PotentialLayers
from learnedrecon.models.like import Like
from learnedrecon.models.lista_coupled import Support
from learnedrecon.models.registry import MODELS
from learnedrecon.networks.experts import Experts
from learnedrecon.networks.unet import UNetSpec
from learnedrecon.operators.imaging.blur import Blur, PointSpread
from learnedrecon.operators.imaging.point_spread import Gaussian
from learnedrecon.operators.matrix import MatrixOperator
from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.cartesian_spec import Cartesian
from learnedrecon.operators.ray.flat_panel import FlatPanel
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.geometry3d import ConeBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transform3d import RayTransform3D
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.fixed_point import FixedPoint
from learnedrecon.schemes.reconstructor import Iterative
from learnedrecon.solvers.anderson import Anderson
from learnedrecon.solvers.normal import NormalSolver
from learnedrecon.testing import check_reconstructor
from learnedrecon.testing.steps import perturb
from learnedrecon.weights.checkpoint import load_weights, save_weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from learnedrecon.operators.base import Operator
    from learnedrecon.schemes.reconstructor import Reconstructor

F32, F64 = torch.float32, torch.float64


def random(*shape: int, seed: int, dtype: torch.dtype = F64) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def ct(dtype: torch.dtype) -> Operator:
    return RayTransform(ParallelBeam((6, 5), AngleRange(4), FlatDetector(9)), dtype)


def sense(dtype: torch.dtype) -> Operator:
    """Three coils; every sample has lines and maps of its own."""
    mask = random(2, 1, 1, 1, 6, seed=1) < 0.6
    mask[..., 3] = True
    maps = random(2, 1, 3, 6, 6, seed=2, dtype=dtype.to_complex())
    maps = maps / maps.abs().square().sum(2, keepdim=True).sqrt()
    operator = CartesianMRI(Cartesian((6, 6), 3), dtype=dtype.to_complex())
    return operator.with_tensors({"mask": mask, "maps": maps})


def blur(dtype: torch.dtype) -> Operator:
    return Blur(PointSpread((6, 5), Gaussian(0.7)), dtype)


def cone(dtype: torch.dtype) -> Operator:
    panel = FlatPanel(4, 6)
    return RayTransform3D(ConeBeam((3, 4, 4), AngleRange(4, 2 * math.pi), panel, 20, 10), dtype)


def matrix(dtype: torch.dtype) -> Operator:
    """From images with one axis to data with one."""
    return MatrixOperator(random(12, 10, seed=3, dtype=dtype) - 0.5)


def transmission(dtype: torch.dtype) -> Operator:
    scan = ParallelBeam((6, 5), AngleRange(4), FlatDetector(9))
    return TransmissionCT(Transmission(scan, 0.1), dtype)


class Column(NamedTuple):
    """Operators of one kind.

    Attributes:
        operator: From a real dtype to T.
        channels: Channels of an image.
    """

    operator: Callable[[torch.dtype], Operator]
    channels: int = 1


OPERATORS = {
    "ct": Column(ct),
    "sense": Column(sense),
    "rgb blur": Column(blur, channels=3),
    "cone": Column(cone),
    "matrix": Column(matrix),
    "transmission": Column(transmission),
}
# What the kit asserts holds for any number of steps. A training step changes the loss by 1e-4 of
# itself, which is compared to 10%: residuals of 1e-8 are far below that.
BRIEF = FixedPointSolver(1e-9, 8, backward_tolerance=1e-6)
EXACT = FixedPointSolver(1e-8, 400, backward_tolerance=1e-5)
EXACT_STEP = NormalSolver(1e-12, 100)
EQUILIBRIUM: dict[str, Any] = {
    "epsilon": 0.3,
    "network": PotentialLayers(1, 3, 4, 0.02),
}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "fbp": {},
    "tv": {"weight": 0.1, "gap": 0.1},
    "zero_filled": {},
    "cg_sense": {"weight": 0.1},
    "wavelet_sense": {"weight": 0.1, "wavelet": "haar", "levels": 1},
    "post_processing": {"network": UNetSpec(base=2, depth=1, groups=1)},
    "learned_gradient": {"iterations": 2, "memory": 2, "hidden": 4},
    "learned_primal_dual": {"iterations": 2, "primal": 2, "dual": 1, "hidden": 4},
    "learned_primal": {"iterations": 2, "primal": 2, "hidden": 4},
    "learned_pdhg": {"iterations": 2, "hidden": 4},
    "denoiser_pdhg": {"iterations": 2, "layers": 2, "hidden": 4},
    "filtered_primal_dual": {"iterations": 2, "primal": 2, "dual": 1, "hidden": 4},
    "equilibrium_gradient": EQUILIBRIUM | {"weight": 1.0},
    "equilibrium_proximal": EQUILIBRIUM,
    "equilibrium_admm": EQUILIBRIUM | {"data_step": NormalSolver(1e-10, 30)},
    "equilibrium_primal_dual": EQUILIBRIUM,
    "denoiser": {"network": PotentialLayers(2, 3, 4, 0.02)},
    "plug_and_play_fbs": {"network": PotentialLayers(1, 3, 4, 0.3)},
    "plug_and_play_admm": {
        "network": PotentialLayers(1, 3, 8, 1.0),
        "data_step": NormalSolver(1e-10, 30),
    },
    "gradient_step": {
        "network": PotentialLayers(1, 3, 8, 1.0),
        "data_step": NormalSolver(1e-10, 30),
    },
    "unrolled_gradient": {"iterations": 2, "layers": 2, "hidden": 4},
    "invertible_primal_dual": {"iterations": 2, "hidden": 4},
    "split_primal_dual": {"iterations": 2, "primal": 1, "dual": 1, "hidden": 4},
    "learned_proximal": {"iterations": 2, "hidden": 4},
    "generalised_scheme": {"iterations": 2, "hidden": 4},
    "deep_gradient_descent": {"iterations": 2, "hidden": 4},
    "subset_primal_dual": {"iterations": 2, "primal": 2, "dual": 1, "hidden": 4},
    "subset_gradient": {"iterations": 2, "hidden": 4},
    "modl": {"iterations": 2, "layers": 2, "hidden": 4, "data_step": EXACT_STEP},
    "half_quadratic_splitting": {
        "iterations": 2,
        "network": UNetSpec(base=2, depth=1, groups=0),
        "data_step": EXACT_STEP,
    },
    "recurrent_inference_machine": {"iterations": 2, "hidden": 3},
    "admm_net": {"iterations": 2, "nodes": 9, "threshold": 0.1, "data_step": EXACT_STEP},
    "neumann": {"iterations": 2, "layers": 2, "hidden": 4},
    "preconditioned_neumann": {
        "iterations": 2,
        "layers": 2,
        "hidden": 4,
        "data_step": EXACT_STEP,
    },
    "operator_recurrent": {"iterations": 2, "features": 3},
    "psi_donet": {"iterations": 2, "levels": 2},
    "shrinkage_field": {"iterations": 2, "experts": Experts(3, 3, 7, 2.0, 0.2), "weight": 2.0},
    "semi_implicit_flow": {
        "iterations": 2,
        "experts": Experts(3, 3, 7, 2.0, 0.2),
        "data_step": EXACT_STEP,
    },
    "variational_flow": {"iterations": 2, "experts": Experts(3, 3, 7, 2.0, 0.2)},
    "variational_network": {"iterations": 2, "experts": Experts(3, 3, 7, 2.0, 0.2)},
    "end_to_end_variational": {
        "iterations": 2,
        "network": UNetSpec(base=2, depth=1, groups=1),
        "maps": UNetSpec(base=2, depth=1, groups=1),
    },
    "lista": {"iterations": 3},
    "lista_cp": {"iterations": 2},
    "lista_cpss": {"iterations": 2, "support": Support(10.0, 20.0)},
    "alista": {"iterations": 2, "support": Support(10.0, 20.0), "damping": 0.1},
}
PLUGGED = ("plug_and_play_fbs", "plug_and_play_admm", "gradient_step")
SIZED = ("lista", "lista_cp", "lista_cpss")
CLASSICAL = {"fbp", "tv", "zero_filled", "cg_sense", "wavelet_sense"}
LEARNED = [name for name in ARGUMENTS if name not in CLASSICAL]
NO_PSEUDO_INVERSE = (GeometryError, r"a ray transform, MRI.*start from T\*y")
NOT_LINEAR = (GeometryError, r"[Ll]inear")
NO_RAMP = (GeometryError, r"a ray transform.*ramp filter.*LearnedPrimalDual")
NO_MATRIX = (GeometryError, r"a linear operator on real coefficients.*LearnedPrimalDual")
NO_ROWS = (GeometryError, r"an operator with rows to choose from.*Blur")
NO_MAPS = (GeometryError, r"an operator with coil maps.*LearnedProximal")
NO_BLUR = (GeometryError, r"convolution with periodic borders.*MoDL")
REFUSED: dict[tuple[str, str], tuple[type[Exception], str]] = {
    ("fbp", "rgb blur"): NO_PSEUDO_INVERSE,
    ("fbp", "matrix"): NO_PSEUDO_INVERSE,
    ("filtered_primal_dual", "sense"): (ConfigError, r"real data.*ramp filter.*LearnedPrimalDual"),
    ("filtered_primal_dual", "rgb blur"): NO_RAMP,
    ("filtered_primal_dual", "matrix"): NO_RAMP,
    ("subset_primal_dual", "rgb blur"): NO_ROWS,
    ("subset_gradient", "rgb blur"): NO_ROWS,
    ("tv", "transmission"): NOT_LINEAR,
    ("zero_filled", "transmission"): NOT_LINEAR,
    ("cg_sense", "transmission"): NOT_LINEAR,
    ("wavelet_sense", "transmission"): NOT_LINEAR,
    ("invertible_primal_dual", "transmission"): NOT_LINEAR,
    ("equilibrium_admm", "transmission"): NOT_LINEAR,
    ("equilibrium_primal_dual", "transmission"): NOT_LINEAR,
    ("plug_and_play_admm", "transmission"): NOT_LINEAR,
    ("gradient_step", "transmission"): NOT_LINEAR,
    ("modl", "transmission"): NOT_LINEAR,
    ("admm_net", "transmission"): NOT_LINEAR,
    ("half_quadratic_splitting", "transmission"): NOT_LINEAR,
    ("neumann", "transmission"): NOT_LINEAR,
    ("preconditioned_neumann", "transmission"): NOT_LINEAR,
    ("denoiser_pdhg", "transmission"): NOT_LINEAR,
    ("operator_recurrent", "transmission"): NOT_LINEAR,
    ("semi_implicit_flow", "transmission"): NOT_LINEAR,
    ("psi_donet", "transmission"): NOT_LINEAR,
    **{("end_to_end_variational", name): NO_MAPS for name in OPERATORS if name != "sense"},
    **{("shrinkage_field", name): NO_BLUR for name in OPERATORS if name != "rgb blur"},
    **{(name, "sense"): NO_MATRIX for name in (*SIZED, "alista")},
    **{(name, "transmission"): NO_MATRIX for name in (*SIZED, "alista")},
}
TABLE = list(product(ARGUMENTS, OPERATORS))
RUNNING = [pair for pair in TABLE if pair not in REFUSED]
TRAINED = [pair for pair in RUNNING if pair[0] in LEARNED]


def built(
    name: str,
    column: str,
    dtype: torch.dtype = F64,
    solver: FixedPointSolver = BRIEF,
    iterations: int | None = None,
) -> Reconstructor:
    """The method with weights of which none is zero, with so many iterations where it has some."""
    torch.manual_seed(0)
    arguments = dict(ARGUMENTS[name])
    if iterations is not None and "iterations" in arguments:
        arguments["iterations"] = iterations
    if name.startswith("equilibrium") or name in PLUGGED:
        arguments["solver"] = solver
    if name in LEARNED:
        make, channels = OPERATORS[column]
        arguments["like"] = Like.of(make(dtype), channels)
    if name in SIZED:
        operator = OPERATORS[column].operator(dtype)
        arguments |= {"rows": operator.codomain.size, "columns": operator.domain.size}
    model = MODELS[name].build(MODELS[name].spec(**arguments)).to(dtype)
    perturb(model, seed=0)
    if name in SPLITTING:
        settle(model)
    if name in PLUGGED:
        bend(model)
    return model


@cache
def given(column: str, dtype: torch.dtype = F64) -> tuple[InverseProblem, Tensor]:
    """Two samples and their true images."""
    make, channels = OPERATORS[column]
    operator = make(dtype)
    kind = dtype.to_complex() if operator.domain.is_complex else dtype
    truth = random(2, channels, *operator.domain.shape, seed=5, dtype=kind)
    return InverseProblem(operator, operator(truth)), truth


def loss_of(model: Reconstructor, column: str) -> Tensor:
    problem, truth = given(column)
    return (model(problem).image - truth).abs().square().mean()


def test_the_table_has_every_method() -> None:
    assert set(ARGUMENTS) == MODELS.own


@pytest.mark.parametrize(("name", "column"), RUNNING)
def test_the_kit(name: str, column: str) -> None:
    problem, truth = given(column)
    model = built(name, column)
    check_reconstructor(model, problem, tolerance=1e-7)
    assert model(problem).image.shape == truth.shape


@pytest.mark.parametrize(("name", "column"), TRAINED)
def test_a_training_step_lowers_the_loss_by_what_its_gradient_says(name: str, column: str) -> None:
    """A step of length t along -g changes the loss by -t‖g‖² to first order.

    Plain iterations are accelerated: the fixed point and its derivative are the same.
    """
    model = built(name, column, solver=EXACT)
    if name in PLUGGED:
        assert isinstance(model, Iterative)
        assert isinstance(model.scheme, FixedPoint)
        model.scheme.solver = Anderson(EXACT.tolerance, EXACT.max_iterations)
    before = loss_of(model, column)
    weights = list(model.parameters())
    slopes = torch.autograd.grad(before, weights)
    expected = 1e-4 * float(before.detach())
    step = expected / float(sum(g.abs().square().sum() for g in slopes))
    with torch.no_grad():
        for p, g in zip(weights, slopes, strict=True):
            p.sub_(step * g)
        after = loss_of(model, column)
    assert float(before.detach() - after) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(("name", "column"), RUNNING)
def test_what_is_stored_gives_the_same_image_bit_for_bit(
    name: str, column: str, tmp_path: Path
) -> None:
    problem, _ = given(column, F32)
    model = built(name, column, F32).eval()
    save_weights(tmp_path / "model.safetensors", model)
    loaded = load_weights(tmp_path / "model.safetensors").model
    assert loaded.spec == model.spec
    with torch.no_grad():
        assert torch.equal(loaded(problem).image, model(problem).image)


@pytest.mark.parametrize(("name", "column"), REFUSED)
def test_why_a_method_refuses_an_operator(name: str, column: str) -> None:
    kind, words = REFUSED[name, column]
    with pytest.raises(kind, match=words):
        built(name, column)(given(column)[0])

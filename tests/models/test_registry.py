"""One table for all methods: the conformance kit, and how models are stored, cast and laid out."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import FrozenInstanceError, dataclass
from typing import TYPE_CHECKING, Any

import pytest
import torch
from tests.models.settled import SPLITTING, settle
from torch.utils._python_dispatch import TorchDispatchMode

from learnedrecon import specs
from learnedrecon.errors import ConfigError, DtypeError
from learnedrecon.models.equilibrium import FixedPointSolver, PotentialLayers
from learnedrecon.models.like import Like
from learnedrecon.models.lista_coupled import Support
from learnedrecon.models.plug_and_play_steps import DenoiserStep
from learnedrecon.models.registry import MODELS
from learnedrecon.models.start import FilteredBackprojection
from learnedrecon.models.subsets import Subsets
from learnedrecon.networks.experts import Experts
from learnedrecon.networks.unet import UNetSpec
from learnedrecon.operators.imaging.blur import Blur, PointSpread
from learnedrecon.operators.imaging.point_spread import Gaussian
from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.cartesian_spec import Cartesian
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.backward import Backprop, Backward, Checkpointed
from learnedrecon.schemes.differentiation import set_backward
from learnedrecon.schemes.fixed_point import FixedPoint
from learnedrecon.schemes.reconstructor import Iterative
from learnedrecon.schemes.reversible import Reversible
from learnedrecon.schemes.step import Chain, Repeat, Step
from learnedrecon.solvers.normal import NormalSolver
from learnedrecon.testing import check_reconstructor, check_step
from learnedrecon.testing.steps import perturb

if TYPE_CHECKING:
    from learnedrecon.operators.base import Operator
    from learnedrecon.operators.ray.planar import PlanarGeometry
    from learnedrecon.schemes.reconstructor import Reconstructor

GEOMETRY = ParallelBeam((12, 10), AngleRange(7), FlatDetector(17, 1.1, 0.4))
EXACT_STEP = NormalSolver(1e-13, 200)
HANN = FilteredBackprojection("hann")
EQUILIBRIUM: dict[str, Any] = {
    "epsilon": 0.7,
    "network": PotentialLayers(2, 3, 4, 0.1),
    "image_scale": 0.02,
}
# What this table asserts holds for any number of steps: few are enough.
SOLVER = FixedPointSolver(1e-11, 8, backward_tolerance=1e-11)
SENSE = Like(image_complex=True, data_complex=True, data_folded=1)
ARGUMENTS: dict[str, dict[str, Any]] = {
    "fbp": {"window": "hann", "bandwidth": 0.7},
    "tv": {"weight": 0.02, "nonnegative": False},
    "zero_filled": {},
    "cg_sense": {"weight": 0.02},
    "wavelet_sense": {"weight": 0.02, "wavelet": "db2", "levels": 2},
    "post_processing": {
        "network": UNetSpec(base=4, depth=2, groups=2, resampling=("strided", "bilinear"))
    },
    "learned_gradient": {"iterations": 3, "memory": 4, "hidden": 6, "start": HANN},
    "learned_primal_dual": {"iterations": 3, "primal": 3, "dual": 2, "hidden": 6},
    "learned_primal": {"iterations": 3, "primal": 3, "hidden": 6},
    "learned_pdhg": {"iterations": 3, "hidden": 6},
    "denoiser_pdhg": {"iterations": 3, "layers": 3, "hidden": 6, "start": HANN},
    "equilibrium_gradient": {**EQUILIBRIUM, "solver": SOLVER, "weight": 0.5},
    "equilibrium_proximal": {**EQUILIBRIUM, "solver": SOLVER},
    "equilibrium_admm": {**EQUILIBRIUM, "solver": SOLVER, "data_step": NormalSolver(1e-12, 30)},
    "equilibrium_primal_dual": {**EQUILIBRIUM, "solver": SOLVER},
    "denoiser": {"network": PotentialLayers(2, 3, 4, 0.02)},
    "plug_and_play_fbs": {"network": PotentialLayers(2, 3, 4, 0.1), "solver": SOLVER},
    "plug_and_play_admm": {
        "network": PotentialLayers(2, 3, 4, 0.1),
        "solver": SOLVER,
        "data_step": NormalSolver(1e-12, 30),
    },
    "gradient_step": {
        "network": PotentialLayers(1, 3, 4, 0.1),
        "solver": SOLVER,
        "data_step": NormalSolver(1e-12, 30),
    },
    "unrolled_gradient": {"iterations": 3, "layers": 3, "hidden": 4, "start": HANN},
    "filtered_primal_dual": {"iterations": 3, "primal": 3, "dual": 2, "hidden": 6},
    "invertible_primal_dual": {"iterations": 3, "hidden": 6},
    "split_primal_dual": {"iterations": 3, "primal": 3, "dual": 2, "hidden": 6},
    "learned_proximal": {"iterations": 3, "hidden": 6, "start": HANN},
    "generalised_scheme": {"iterations": 3, "hidden": 6, "start": HANN},
    "deep_gradient_descent": {"iterations": 3, "hidden": 6, "start": HANN},
    "subset_primal_dual": {
        "iterations": 3,
        "primal": 3,
        "dual": 2,
        "hidden": 6,
        "subsets": Subsets(7),
    },
    "subset_gradient": {"iterations": 3, "hidden": 6, "subsets": Subsets(7)},
    "modl": {"iterations": 3, "layers": 3, "hidden": 6, "data_step": EXACT_STEP},
    "half_quadratic_splitting": {
        "iterations": 3,
        "network": UNetSpec(base=4, depth=1, groups=0),
        "data_step": EXACT_STEP,
    },
    "recurrent_inference_machine": {"iterations": 3, "hidden": 3, "start": HANN},
    "admm_net": {"iterations": 3, "nodes": 9, "threshold": 0.1, "data_step": EXACT_STEP},
    "neumann": {"iterations": 3, "layers": 3, "hidden": 6},
    "preconditioned_neumann": {
        "iterations": 3,
        "layers": 3,
        "hidden": 6,
        "data_step": EXACT_STEP,
    },
    "operator_recurrent": {"iterations": 3, "features": 3},
    "psi_donet": {"iterations": 3, "levels": 2},
    "shrinkage_field": {"iterations": 3, "experts": Experts(4, 5, 9, 2.0, 0.2)},
    "semi_implicit_flow": {
        "iterations": 3,
        "experts": Experts(4, 5, 9, 2.0, 0.2),
        "data_step": EXACT_STEP,
    },
    "variational_flow": {"iterations": 3, "experts": Experts(4, 5, 9, 2.0, 0.2)},
    "variational_network": {"iterations": 3, "experts": Experts(4, 5, 9, 2.0, 0.2)},
    "end_to_end_variational": {
        "iterations": 3,
        "network": UNetSpec(base=4, depth=1, groups=2),
        "maps": UNetSpec(base=4, depth=1, groups=2),
        "like": SENSE,
    },
    "lista": {"iterations": 3, "rows": 119, "columns": 120},
    "lista_cp": {"iterations": 3, "rows": 119, "columns": 120},
    "lista_cpss": {"iterations": 3, "rows": 119, "columns": 120, "support": Support(5.0, 10.0)},
    "alista": {"iterations": 3, "support": Support(5.0, 10.0), "damping": 0.1},
}
CLASSICAL = {"fbp", "tv", "zero_filled", "cg_sense", "wavelet_sense"}
SPECS: dict[str, Any] = {
    name: MODELS[name].spec(**values | ({} if name in CLASSICAL else {"image_scale": 0.02}))
    for name, values in ARGUMENTS.items()
}
LEARNED = [name for name in SPECS if name not in CLASSICAL]
ITERATIVE = [name for name in LEARNED if name != "post_processing"]
FIXED = {name for name in ITERATIVE if name.startswith("equilibrium")}
FIXED |= {"plug_and_play_fbs", "plug_and_play_admm", "gradient_step"}
STORING = [name for name in ITERATIVE if name not in {*FIXED, "denoiser"}]  # which has one step
DENSE = ("lista", "lista_cp", "lista_cpss", "alista")
OF_BLUR = {"shrinkage_field"}
OF_COILS = {"end_to_end_variational"}
CONVOLUTIONAL = [name for name in LEARNED if name not in {*DENSE, *OF_BLUR, *OF_COILS}]
REVERSIBLE = {"invertible_primal_dual", "split_primal_dual"}
LINEAR = {"tv", "zero_filled", "cg_sense", "wavelet_sense"}
LINEAR |= {"invertible_primal_dual", "subset_primal_dual", "subset_gradient"}
LINEAR |= {"admm_net", "modl", "half_quadratic_splitting", "neumann", "preconditioned_neumann"}
LINEAR |= {"denoiser_pdhg", "operator_recurrent", "psi_donet", "shrinkage_field"}
LINEAR |= {"semi_implicit_flow", *DENSE} | FIXED | OF_COILS
NONLINEAR = [name for name in SPECS if name not in LINEAR]


def operator(dtype: torch.dtype = torch.float64, *, nonlinear: bool = False) -> Operator:
    if nonlinear:
        return TransmissionCT(Transmission(GEOMETRY), dtype)
    return RayTransform(GEOMETRY, dtype)


def problem(
    dtype: torch.dtype = torch.float64, *, nonlinear: bool = False, batch: int = 3, of: str = ""
) -> InverseProblem:
    """A scan, or a blurred image or coils for methods that take nothing else."""
    if of in OF_COILS:
        return coils(dtype, batch)
    t = operator(dtype, nonlinear=nonlinear)
    if of in OF_BLUR:
        t = Blur(PointSpread((12, 10), Gaussian(0.7)), dtype)
    generator = torch.Generator().manual_seed(5)
    u = 0.04 * torch.rand(batch, 1, 12, 10, generator=generator, dtype=dtype)
    return InverseProblem(t, t(u))


def coils(dtype: torch.dtype, batch: int) -> InverseProblem:
    """Three coils, two thirds of the lines and a fully sampled centre."""
    generator = torch.Generator().manual_seed(5)
    kind = dtype.to_complex()
    maps = torch.rand(3, 12, 10, generator=generator, dtype=kind)
    mask = torch.arange(10) % 3 != 0
    mask[3:7] = True
    t = CartesianMRI(Cartesian((12, 10), 3), mask, maps / maps.abs().square().sum(0).sqrt(), kind)
    u = 0.04 * torch.rand(batch, 1, 12, 10, generator=generator, dtype=kind)
    return InverseProblem(t, t(u))


def built(name: str, dtype: torch.dtype = torch.float64) -> Reconstructor:
    """The method with weights of which none is zero."""
    torch.manual_seed(0)
    model = specs.build(MODELS, SPECS[name]).to(dtype)
    perturb(model, seed=0)
    if name in SPLITTING:
        settle(model)
    return model


def gradients(model: Reconstructor, at: InverseProblem) -> dict[str, torch.Tensor]:
    model.zero_grad()
    model(at).image.abs().square().sum().backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def test_the_table_has_every_method() -> None:
    assert set(SPECS) == MODELS.own
    assert all(type(SPECS[name]) is MODELS[name].spec for name in SPECS)
    assert all(entry.summary for entry in MODELS.values())


# No network of the library rounds differently in training mode: each mode in one precision is all.
@pytest.mark.parametrize(("training", "dtype"), [(True, torch.float32), (False, torch.float64)])
@pytest.mark.parametrize("name", SPECS)
def test_every_method_passes_the_kit(name: str, training: bool, dtype: torch.dtype) -> None:
    report = check_reconstructor(built(name, dtype).train(training), problem(dtype, of=name))
    skipped = {finding.name for finding in report.skipped}
    assert skipped == (set() if name in LEARNED else {"gradients reach every parameter"})


@pytest.mark.parametrize("name", NONLINEAR)
def test_every_method_but_tv_passes_the_kit_with_photons(name: str) -> None:
    check_reconstructor(built(name), problem(nonlinear=True))


@pytest.mark.parametrize(
    ("name", "nonlinear"),
    [(name, False) for name in ITERATIVE]
    + [(name, True) for name in ITERATIVE if name in NONLINEAR],
)
def test_every_step_passes_the_kit(name: str, nonlinear: bool) -> None:
    model = built(name)
    assert isinstance(model, Iterative)
    assert isinstance(model.scheme, Chain | Repeat | FixedPoint | DenoiserStep)
    scaled, _ = model.scaled(problem(nonlinear=nonlinear, batch=2, of=name))
    first = model.scheme[0] if isinstance(model.scheme, Chain) else model.scheme
    step = first.step if isinstance(first, Repeat | FixedPoint) else first
    check_step(step, model.initial(scaled), scaled)


@pytest.mark.parametrize("name", SPECS)
def test_every_spec_goes_to_plain_data_and_back(name: str) -> None:
    spec = SPECS[name]
    plain = specs.named_to_plain(MODELS, spec)
    assert plain["name"] == name
    again = specs.named_from_plain(MODELS, json.loads(json.dumps(plain)))
    assert again == spec
    assert type(again) is type(spec)
    assert hash(again) == hash(spec)
    rebuilt = specs.build(MODELS, again).double()
    rebuilt.load_state_dict(built(name).state_dict(), strict=True)
    at = problem(of=name)
    torch.testing.assert_close(rebuilt(at).image, built(name)(at).image, rtol=0, atol=0)


@pytest.mark.parametrize("name", [name for name in SPECS if name != "tv"])
def test_every_spec_has_defaults_for_all_fields(name: str) -> None:
    assert specs.named_from_plain(MODELS, {"name": name}) == MODELS[name].spec()


@pytest.mark.parametrize("name", SPECS)
def test_unknown_keys_are_named(name: str) -> None:
    plain = specs.named_to_plain(MODELS, SPECS[name]) | {"iteration": 3}
    with pytest.raises(ConfigError, match=r"'model\.iteration'"):
        specs.named_from_plain(MODELS, plain, "model")


@pytest.mark.parametrize("name", SPECS)
def test_specs_are_frozen(name: str) -> None:
    field = next(iter(SPECS[name].__dataclass_fields__))
    with pytest.raises(FrozenInstanceError):
        setattr(SPECS[name], field, 1)


@pytest.mark.parametrize("name", LEARNED)
def test_gradients_reach_every_parameter_and_the_data(name: str) -> None:
    model, at = built(name), problem(of=name)
    at.data.requires_grad_()
    found = gradients(model, at)
    assert set(found) == {n for n, _ in model.named_parameters()}
    assert all(bool(g.any()) and bool(g.isfinite().all()) for g in found.values())
    assert at.data.grad is not None
    assert bool(at.data.grad.flatten(1).any(1).all())


@pytest.mark.parametrize("name", STORING)
@pytest.mark.parametrize("every", [1, 2])
def test_checkpointing_gives_the_same_gradients(name: str, every: int) -> None:
    model, at = built(name), problem(of=name)
    expected = gradients(model, at)
    own: Backward = Reversible() if name in REVERSIBLE else Backprop()
    assert scheme_of(model).backward_mode == own
    frugal = copy.deepcopy(model)
    set_backward(frugal, "auto")
    assert scheme_of(frugal).backward_mode == own
    set_backward(frugal, "checkpointed", every)
    assert scheme_of(frugal).backward_mode == Checkpointed(every)
    found = gradients(frugal, at)
    assert set(found) == set(expected)
    for weight, gradient in expected.items():
        torch.testing.assert_close(found[weight], gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in SPECS if name != "tv"])
def test_constructors_have_a_default_for_all_arguments(name: str) -> None:
    build = MODELS[name].build
    models = [MODELS[name].spec._of(), build(MODELS[name].spec())]
    assert models[0].spec == models[1].spec == MODELS[name].spec()
    shapes = [{key: t.shape for key, t in model.state_dict().items()} for model in models]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("given", [3, {"iterations": 3}, GEOMETRY], ids=["int", "dict", "geometry"])
def test_what_is_not_the_spec_is_named(name: str, given: object) -> None:
    kind = MODELS[name].spec.__name__
    with pytest.raises(ConfigError, match=rf"a {kind} as the spec.*{type(given).__name__}"):
        MODELS[name].build(given)


@pytest.mark.parametrize("name", [name for name in LEARNED if name not in OF_COILS])
@pytest.mark.parametrize(
    ("data", "weights", "fix"),
    [
        (torch.float64, torch.float32, r"data\.float\(\) or the model by model\.double\(\)"),
        (torch.float32, torch.float64, r"model\.to\(torch\.float32\)"),
    ],
)
def test_data_of_another_precision_are_refused(
    name: str, data: torch.dtype, weights: torch.dtype, fix: str
) -> None:
    t = Watched(GEOMETRY)
    at, model = InverseProblem(t, problem(data).data), built(name, weights)
    words = f"weights' precision, {str(weights)[6:]}. Found {str(data)[6:]}. .*{fix}"
    with pytest.raises(DtypeError, match=words):
        model(at)
    with pytest.raises(DtypeError, match=words):
        list(model.iterates(at))
    assert t.seen == []
    assert t._known is None


@pytest.mark.parametrize("name", sorted(CLASSICAL))
def test_methods_without_weights_take_both_precisions(name: str) -> None:
    for dtype in (torch.float32, torch.float64):
        assert built(name)(problem(dtype)).image.dtype == dtype


def scheme_of(model: Reconstructor) -> Chain[Any] | Repeat[Any]:
    assert isinstance(model, Iterative)
    assert isinstance(model.scheme, Chain | Repeat)
    return model.scheme


class Watched(RayTransform):
    """Notes the types of numbers that come by."""

    def __init__(self, geometry: PlanarGeometry) -> None:
        super().__init__(geometry)
        self.seen: list[torch.dtype] = []

    def restrict(self, rows: tuple[int, ...]) -> Watched:
        part = Watched(self.geometry.subset(rows))
        part.seen = self.seen
        return part

    def evaluate(self, u: torch.Tensor) -> torch.Tensor:
        return self._noted(super().evaluate(self._noted(u)))

    def evaluate_adjoint(self, v: torch.Tensor) -> torch.Tensor:
        return self._noted(super().evaluate_adjoint(self._noted(v)))

    def _noted(self, tensor: torch.Tensor) -> torch.Tensor:
        assert not torch.is_autocast_enabled("cpu")
        self.seen.append(tensor.dtype)
        return tensor


@dataclass
class Types:
    """A forward hook that notes the types of a module's results."""

    seen: set[torch.dtype]

    def __call__(self, _module: torch.nn.Module, _inputs: object, output: Any) -> None:
        tensors = output if isinstance(output, tuple) else (output,)
        self.seen |= {t.dtype for t in tensors if t.is_floating_point()}


class Convolutions(TorchDispatchMode):
    """Notes the types of the results of all convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[torch.dtype] = set()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Any = (),
        kwargs: Any = None,
    ) -> Any:
        del types
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.convolution.default:
            self.seen.add(result.dtype)
        return result


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_reduced_precision_is_for_networks_alone(name: str) -> None:
    model, t = built(name, torch.float32), Watched(GEOMETRY)
    at = InverseProblem(t, problem(torch.float32).data)
    networks, states = Convolutions(), Types(set())
    for module in model.modules():
        if isinstance(module, Step):
            module.register_forward_hook(states)
    t.seen.clear()
    with networks, torch.autocast("cpu", torch.bfloat16):
        image = model(at).image
    assert image.dtype == torch.float32
    assert set(t.seen) == ({torch.float32} if name in ITERATIVE else set())
    assert states.seen == ({torch.float32} if name in ITERATIVE else set())
    assert networks.seen == {torch.bfloat16}
    exact = model(at).image
    assert 0 < float((image - exact).detach().norm() / exact.detach().norm()) < 0.1


@pytest.mark.parametrize("name", DENSE)
def test_coefficients_keep_their_precision(name: str) -> None:
    model, at = built(name, torch.float32), problem(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        estimates = list(model.iterates(at))
    assert {each.image.dtype for each in estimates} == {torch.float32}
    exact = model(at).image
    assert float((estimates[-1].image - exact).detach().norm() / exact.detach().norm()) < 0.1


@pytest.mark.parametrize("name", SPECS)
def test_copies_and_pickles_are_independent_twins(name: str) -> None:
    model, at = built(name), problem(of=name)
    expected = model(at).image
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        torch.testing.assert_close(twin(at).image, expected, rtol=0, atol=0)
        perturb(twin, seed=2)
    torch.testing.assert_close(model(at).image, expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", LEARNED)
def test_channels_last_gives_the_same(name: str) -> None:
    model, at = built(name), problem(of=name)
    expected = model(at).image
    for p in model.parameters():
        if p.ndim == 4:
            p.data = p.data.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(model(at).image, expected, rtol=1e-10, atol=1e-12)

"""Compiled before the first eager call, after it, exported: every method gives the same numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from tests.models.test_every_operator import ARGUMENTS, OPERATORS, REFUSED, built, given, random
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter

from learnedrecon.errors import DifferentiationError
from learnedrecon.operators.mri import cartesian
from learnedrecon.operators.norm import Memory
from learnedrecon.operators.ray import transform2d
from learnedrecon.problem import InverseProblem
from learnedrecon.solvers.direct import backprojection, fbp, views

if TYPE_CHECKING:
    from learnedrecon.schemes.reconstructor import Reconstructor

pytestmark = [pytest.mark.usefixtures("fresh_compiler"), pytest.mark.slow]
TABLE = [
    (name, column)
    for name in ARGUMENTS
    for column in ("ct", "sense")
    if (name, column) not in REFUSED
]
# Whether a norm is known is the operator's affair: before it is, every method is compiled with one
# operator, complex where it can be, and one method of each way to use T with the other as well.
REAL = ("fbp", "learned_primal_dual", "subset_primal_dual", "modl", "equilibrium_gradient", "tv")
FIRST = [(name, c) for name, c in TABLE if c == "sense" or (name, "sense") in REFUSED]
FIRST += [(name, "ct") for name in REAL]
# Methods that look at numbers: before and after these there is a graph, if there is anything.
LOOKING = {
    "tv": 0,
    "cg_sense": 0,
    "wavelet_sense": 0,
    "equilibrium_gradient": 2,
    "equilibrium_proximal": 2,
    "equilibrium_admm": 2,
    "equilibrium_primal_dual": 2,
    "plug_and_play_fbs": 2,
    "plug_and_play_admm": 2,
    "gradient_step": 2,
    "invertible_primal_dual": 2,
    "split_primal_dual": 2,
    "modl": 3,
    "semi_implicit_flow": 4,
    "admm_net": 3,
    "half_quadratic_splitting": 4,
    "preconditioned_neumann": 7,
    "alista": 1,
    "end_to_end_variational": 2,
}
# Methods that build a geometry in a call, which export sees through and compilation does not.
BUILDING = {"subset_primal_dual": 9, "subset_gradient": 8}
TRAINED = [
    ("post_processing", "ct"),
    ("learned_primal_dual", "sense"),
    ("learned_gradient", "ct"),
    ("equilibrium_gradient", "ct"),
    ("invertible_primal_dual", "ct"),
]


@pytest.fixture(autouse=True)
def _nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """No norm and no table of an earlier test."""
    monkeypatch.setattr(transform2d, "_NORMS", Memory())
    monkeypatch.setattr(cartesian, "_NORMS", Memory())
    for function in (backprojection._views, fbp._ray_weights, views.added_pixels):
        function.cache_clear()


def problem_of(column: str) -> InverseProblem:
    """With an operator of its own, whose norm nobody has asked for."""
    make, channels = OPERATORS[column]
    operator = make(torch.float64)
    kind = torch.complex128 if operator.domain.is_complex else torch.float64
    truth = random(2, channels, *operator.domain.shape, seed=5, dtype=kind)
    with torch.no_grad():
        return InverseProblem(operator, operator(truth))


def short(name: str, column: str) -> Reconstructor:
    """The method with one iteration where their number is an argument."""
    return built(name, column, iterations=1).eval()


def assert_close(found: Tensor, expected: Tensor) -> None:
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-12


@torch.no_grad()
@pytest.mark.parametrize(("name", "column"), FIRST)
def test_compiled_before_the_first_eager_call(name: str, column: str) -> None:
    model, problem = short(name, column), problem_of(column)
    compiled = torch.compile(model, backend="eager")(problem).image
    assert_close(compiled, model(problem).image)
    assert_close(compiled, model(problem_of(column)).image)


@torch.no_grad()
@pytest.mark.parametrize("name", [name for name, column in TABLE if column == "ct"])
def test_compiled_after_the_first_eager_call(name: str) -> None:
    """There is one graph, or one on each side of what looks at numbers or builds a geometry."""
    model, problem, counter = short(name, "ct"), problem_of("ct"), CompileCounter()
    eager, other = model(problem).image, problem_of("ct")
    assert_close(model(other).image, eager)
    compiled = torch.compile(model, backend=counter)
    assert_close(compiled(problem).image, eager)
    assert counter.frame_count == (LOOKING | BUILDING).get(name, 1)
    if name in REAL:  # guards on the operator are those of the way to use it
        assert_close(compiled(other).image, eager)


@pytest.mark.filterwarnings("ignore:Torchinductor does not support code generation for complex")
@torch.no_grad()
def test_compiled_by_inductor() -> None:
    model, problem = short("unrolled_gradient", "ct"), problem_of("ct")
    assert_close(torch.compile(model)(problem).image, model(problem).image)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize(("name", "column"), TRAINED)
def test_gradients_of_compiled_methods(name: str, column: str) -> None:
    model = short(name, column)

    def gradients(call: Any) -> list[Tensor]:
        loss = call(problem_of(column)).image.abs().square().mean()
        return list(torch.autograd.grad(loss, list(model.parameters())))

    compiled = gradients(torch.compile(model, backend="aot_eager"))
    for found, expected in zip(compiled, gradients(model), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


class OfData(nn.Module):
    """y ↦ the image, for one operator: what can be exported of a method."""

    def __init__(self, model: Reconstructor, problem: InverseProblem) -> None:
        super().__init__()
        self.model, self.operator = model, problem.operator

    def forward(self, y: Tensor) -> Tensor:
        return self.model(InverseProblem(self.operator, y)).image


@torch.no_grad()
@pytest.mark.parametrize(("name", "column"), [pair for pair in TABLE if pair[0] not in LOOKING])
def test_exported_methods(name: str, column: str) -> None:
    """With a norm that is known; then for other data, and eager mode is as before."""
    model, problem = short(name, column), problem_of(column)
    other = InverseProblem(problem.operator, 0.5 * problem.data.roll(1, -1) + 0.1)
    before = model(problem).image
    exported = torch.export.export(OfData(model, problem), (problem.data,)).module()
    assert_close(exported(problem.data), before)
    assert_close(exported(other.data), model(other).image)
    assert_close(model(problem).image, before)


@torch.no_grad()
@pytest.mark.parametrize("name", LOOKING)
def test_what_looks_at_numbers_is_not_exported(name: str) -> None:
    column = "sense" if (name, "ct") in REFUSED else "ct"
    model, (problem, _) = short(name, column), given(column)
    before = model(problem).image
    with pytest.raises(DifferentiationError, match=r"the same for all numbers.*looks at numbers"):
        torch.export.export(OfData(model, problem), (problem.data,))
    assert_close(model(problem).image, before)


@torch.no_grad()
def test_an_unknown_norm_is_not_exported() -> None:
    model, problem = short("learned_primal_dual", "ct"), problem_of("ct")
    with pytest.raises(DifferentiationError, match=r"norm.*call the model once before"):
        torch.export.export(OfData(model, problem), (problem.data,))

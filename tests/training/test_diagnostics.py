"""What fixed points and reversible schemes say in the logs of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from learnedrecon.data.batch import Batch
from learnedrecon.metrics import FixedRange
from learnedrecon.models.equilibrium import EquilibriumGradient, FixedPointSolver, PotentialLayers
from learnedrecon.models.invertible_primal_dual import InvertiblePrimalDual
from learnedrecon.operators.pointwise import Diagonal
from learnedrecon.operators.space import Space
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.differentiation import set_backward
from learnedrecon.schemes.fixed_point import FixedPoint
from learnedrecon.schemes.invertible import inversion_error
from learnedrecon.schemes.step import Chain
from learnedrecon.training.accelerator import make_accelerator
from learnedrecon.training.losses import SquaredError
from learnedrecon.training.spec import TrainingSpec
from learnedrecon.training.update import Supervised, diagnostics_of
from learnedrecon.training.validation import MeanPsnr

if TYPE_CHECKING:
    import pytest

    from learnedrecon.schemes.reconstructor import Iterative


def batch(seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    u = torch.rand(2, 1, 6, 6, generator=generator)
    operator = Diagonal(Space((6, 6)), torch.linspace(0.5, 1, 36).reshape(6, 6))
    return Batch(InverseProblem(operator, operator(u)), u, None, ("a", "b"))


def equilibrium(iterations: int) -> Iterative:
    torch.manual_seed(0)
    layers = PotentialLayers(layers=2, width=2, filters=3)
    solver = FixedPointSolver(max_iterations=iterations, backward_tolerance=1e-4)
    return EquilibriumGradient(0.5, 0.5, network=layers, solver=solver)


def trained_once(model: Iterative) -> dict[str, float]:
    spec = TrainingSpec(steps=2)
    accelerator = make_accelerator("no", cpu=True)
    update = Supervised(model, loss=SquaredError(), spec=spec, accelerator=accelerator)
    return update(model.train(), [batch(1), batch()], step=0)


def test_a_training_step_says_how_the_fixed_points_ended() -> None:
    model = equilibrium(100)
    numbers = trained_once(model)
    assert list(numbers)[:3] == ["loss", "grad_norm", "learning_rate"]
    assert numbers["converged"] == 1.0
    assert numbers["residual"] <= 1e-4
    assert numbers["backward_residual"] <= 1e-4
    assert isinstance(model.scheme, FixedPoint)
    assert model.scheme.result is not None
    assert numbers["iterations"] == float(model.scheme.result.iterations.double().mean()) > 2


def test_never_silently_unconverged(caplog: pytest.LogCaptureFixture) -> None:
    numbers = trained_once(equilibrium(2))
    assert numbers["converged"] == 0.0
    assert numbers["residual"] > 1e-4
    assert numbers["iterations"] == 2.0
    assert "Not converged" in caplog.text


def test_a_validation_says_so_too() -> None:
    model = equilibrium(2).eval()
    with torch.no_grad():
        numbers = MeanPsnr(lambda: [batch(1), batch()], FixedRange(1.0))(model)
    assert next(iter(numbers)) == "psnr"
    assert numbers["converged"] == 0.0
    assert "backward_residual" not in numbers


def test_a_validation_reports_the_inversion_error_of_reversible_schemes() -> None:
    torch.manual_seed(0)
    model = InvertiblePrimalDual(3, 4).eval()
    with torch.no_grad():
        numbers = MeanPsnr(lambda: [batch()], FixedRange(1.0))(model)
    scaled, _ = model.scaled(batch().problem)
    error = inversion_error(model.scheme, model.initial(scaled), scaled)
    assert numbers["inversion_error"] == error
    assert 0 < error < 1e-5
    assert "inversion_error" not in trained_once(model)
    stored = InvertiblePrimalDual(3, 4).eval()
    set_backward(stored, "backprop")
    assert diagnostics_of(stored, batch().problem) == {}


def test_fixed_points_inside_a_chain_have_their_path() -> None:
    model = equilibrium(100)
    inner = model.scheme
    assert isinstance(inner, FixedPoint)
    model.scheme = Chain([inner, equilibrium(100).scheme])
    assert model.diagnostics() == {}
    with torch.no_grad():
        model(batch().problem)
    assert {"steps.0.converged", "steps.1.residual"} <= set(model.diagnostics())


def test_wrapped_models_and_plain_modules() -> None:
    model = equilibrium(100)
    with torch.no_grad():
        model(batch().problem)
    compiled: Any = torch.compile(model, backend="eager")
    assert diagnostics_of(compiled) == diagnostics_of(model) != {}
    assert diagnostics_of(torch.nn.Linear(1, 1)) == {}

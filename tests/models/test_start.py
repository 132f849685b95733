"""Where schemes start, above all on operators that have no filtered back-projection."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from learnedrecon import specs
from learnedrecon.errors import GeometryError
from learnedrecon.models.registry import MODELS
from learnedrecon.models.start import AdjointImage, FilteredBackprojection
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.operators.space import Space
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.reconstructor import Iterative
from learnedrecon.testing import check_reconstructor
from learnedrecon.testing.steps import perturb

SHAPE, ROWS = (6, 5), (4, 7)
METHODS: dict[str, dict[str, Any]] = {
    "learned_gradient": {"iterations": 2, "memory": 3, "hidden": 4},
    "learned_primal_dual": {"iterations": 2, "primal": 2, "dual": 2, "hidden": 4},
}
SPECS: list[Any] = [
    MODELS[name].spec(**values, start="adjoint", image_scale=0.5)
    for name, values in METHODS.items()
]


class Dense(LinearOperator):
    """A user's own linear operator: any matrix."""

    matrix: Tensor

    def __init__(self, matrix: Tensor) -> None:
        super().__init__(Space(SHAPE, matrix.dtype), Space(ROWS, matrix.dtype))
        self.register_buffer("matrix", matrix)

    def evaluate(self, u: Tensor) -> Tensor:
        return (u.flatten(-2) @ self.matrix.T.to(u.dtype)).unflatten(-1, ROWS)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return (v.flatten(-2) @ self.matrix.to(v.dtype)).unflatten(-1, SHAPE)


def problem() -> InverseProblem:
    generator = torch.Generator().manual_seed(3)
    matrix = 7.0 * torch.randn(28, 30, generator=generator, dtype=torch.float64)
    u = 0.5 * torch.rand(2, 1, *SHAPE, generator=generator, dtype=torch.float64)
    return InverseProblem(Dense(matrix), Dense(matrix)(u))


def built(spec: object) -> Iterative:
    torch.manual_seed(0)
    model = specs.build(MODELS, spec).double()
    assert isinstance(model, Iterative)
    return model


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: type(spec).__name__)
def test_methods_run_on_any_linear_operator(spec: Any) -> None:
    model = built(spec)
    perturb(model, seed=1)
    check_reconstructor(model, problem())
    with pytest.raises(GeometryError, match=r"Found Dense"):
        built(replace(spec, start="fbp"))(problem())
    torch.testing.assert_close(
        built(replace(spec, start="auto"))(problem()).image, built(spec)(problem()).image
    )


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: type(spec).__name__)
def test_with_zero_weights_the_image_is_that_of_the_adjoint(spec: Any) -> None:
    """c·(T/‖T‖)*(y/(c‖T‖)) = T*y/‖T‖²."""
    model, at = built(spec), problem()
    for p in model.parameters():
        torch.nn.init.zeros_(p)
    assert isinstance(at.operator, Dense)
    matrix = at.operator.matrix
    norm = torch.linalg.matrix_norm(matrix, 2)
    expected = (at.data.flatten(1) @ matrix / norm**2).reshape(2, 1, *SHAPE)
    torch.testing.assert_close(model(at).image, expected, rtol=1e-5, atol=0)


def test_a_nonlinear_operator_starts_from_zero() -> None:
    scan = ParallelBeam(SHAPE, AngleRange(4), FlatDetector(9))
    photons = TransmissionCT(Transmission(scan, 0.1), torch.float64)
    image = AdjointImage()(InverseProblem(photons, torch.ones(3, 1, 4, 9, dtype=torch.float64)))
    assert torch.equal(image, torch.zeros(3, 1, *SHAPE, dtype=torch.float64))


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: type(spec).__name__)
def test_starts_go_to_plain_data_and_back(spec: Any) -> None:
    plain = specs.named_to_plain(MODELS, spec)
    assert plain["start"] == "adjoint"
    assert specs.named_from_plain(MODELS, plain) == spec
    filtered = {"window": "hann", "bandwidth": 0.5}
    assert specs.named_from_plain(MODELS, plain | {"start": filtered}) == replace(
        spec, start=FilteredBackprojection("hann", 0.5)
    )

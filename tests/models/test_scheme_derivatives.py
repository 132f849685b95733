"""Derivatives of unrolled schemes in weights and data, against finite differences."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from learnedrecon.models.like import Like
from learnedrecon.models.registry import MODELS
from learnedrecon.networks.unet import UNetSpec
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.space import Space
from learnedrecon.problem import InverseProblem
from learnedrecon.solvers.normal import NormalSolver
from learnedrecon.testing.steps import perturb

EXACT = NormalSolver(1e-14, 50)
SCHEMES: dict[str, dict[str, Any]] = {
    "modl": {"iterations": 2, "layers": 2, "hidden": 2, "weight": 0.3, "data_step": EXACT},
    "half_quadratic_splitting": {
        "iterations": 2,
        "network": UNetSpec(base=1, depth=1, groups=0),
        "weight": 0.3,
        "data_step": EXACT,
    },
    "recurrent_inference_machine": {"iterations": 2, "hidden": 2, "start": "adjoint"},
    "admm_net": {"iterations": 2, "nodes": 9, "threshold": 0.3, "data_step": EXACT},
    "neumann": {"iterations": 2, "layers": 2, "hidden": 2},
    "preconditioned_neumann": {
        "iterations": 2,
        "layers": 2,
        "hidden": 2,
        "weight": 0.3,
        "data_step": EXACT,
    },
}


class Dense(LinearOperator):
    """A matrix without a closed form of its normal equations, so that these are solved by CG."""

    matrix: Tensor

    def __init__(self, matrix: Tensor) -> None:
        rows, columns = matrix.shape
        super().__init__(Space((columns,), matrix.dtype), Space((rows,), matrix.dtype))
        self.register_buffer("matrix", matrix)

    def evaluate(self, u: Tensor) -> Tensor:
        return u @ self.matrix.T

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return v @ self.matrix.conj()


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("name", SCHEMES)
def test_derivatives_in_weights_and_data(name: str, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(4)
    operator = Dense(torch.randn(5, 4, generator=generator, dtype=dtype))
    torch.manual_seed(2)
    spec = MODELS[name].spec(**SCHEMES[name], like=Like.of(operator))
    model = MODELS[name].build(spec).double()
    perturb(model, seed=1)
    weights = dict(model.named_parameters())
    data = torch.randn(1, 1, 5, generator=generator, dtype=dtype, requires_grad=True)

    def image(y: Tensor, *values: Tensor) -> Tensor:
        given = dict(zip(weights, values, strict=True))
        found: Tensor = functional_call(model, given, (InverseProblem(operator, y),)).image
        return found

    leaves = [w.detach().clone().requires_grad_() for w in weights.values()]
    assert torch.autograd.gradcheck(image, (data, *leaves), atol=1e-6, rtol=1e-5, fast_mode=True)

"""Losses of every iterate hold the memory of checkpoints where the scheme is differentiated so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from learnedrecon.models.invertible_primal_dual import InvertiblePrimalDual
from learnedrecon.operators.matrix import MatrixOperator
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.backward import Backprop, Checkpointed
from learnedrecon.schemes.reversible import Reversible
from learnedrecon.schemes.step import Chain

if TYPE_CHECKING:
    from learnedrecon.schemes.backward import Backward

SIZE, HIDDEN = 64, 16
IMAGE = 8 * SIZE


class Live(TorchDispatchMode):
    """Counts the bytes of all storages that operations made and that are still held."""

    def __init__(self) -> None:
        super().__init__()
        self.made: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Any = (),
        kwargs: Any = None,
    ) -> Any:
        del types
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                self.made[storage.data_ptr()] = StorageWeakRef(storage), storage.nbytes()
        return result

    def held(self) -> int:
        return sum(size for storage, size in self.made.values() if not storage.expired())


def model_and_problem(iterations: int) -> tuple[InvertiblePrimalDual, InverseProblem]:
    torch.manual_seed(0)
    matrix = torch.randn(SIZE, SIZE, dtype=torch.float64) / SIZE**0.5
    operator = MatrixOperator(matrix)
    model = InvertiblePrimalDual(iterations, HIDDEN, like=operator).double()
    return model, InverseProblem(operator, torch.randn(1, 1, SIZE, dtype=torch.float64))


def loss_and_bytes(iterations: int, backward: Backward) -> tuple[Tensor, int, InvertiblePrimalDual]:
    model, problem = model_and_problem(iterations)
    assert isinstance(model.scheme, Chain)
    model.scheme.backward_mode = backward
    live = Live()
    with live:
        found = [estimate.image.square().sum() for estimate in model.iterates(problem)]
        loss = torch.stack(found).sum()
        return loss, live.held(), model


@pytest.mark.parametrize("backward", [Checkpointed(1), Checkpointed(3), Reversible()])
def test_a_further_iterate_costs_a_few_images(backward: Backward) -> None:
    """Against the activations of two networks of 16 hidden channels with backpropagation."""

    def per_step(mode: Backward) -> float:
        few, many = (loss_and_bytes(number, mode)[1] for number in (4, 12))
        return (many - few) / 8 / IMAGE

    assert per_step(Backprop()) > 4 * HIDDEN
    assert per_step(backward) < 12


@pytest.mark.parametrize("backward", [Checkpointed(1), Checkpointed(3), Reversible()])
def test_gradients_are_those_of_backpropagation(backward: Backward) -> None:
    gradients = []
    for mode in (Backprop(), backward):
        loss, _, model = loss_and_bytes(6, mode)
        gradients.append(torch.autograd.grad(loss, list(model.parameters())))
    for found, expected in zip(*gradients[::-1], strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("backward", [Checkpointed(2), Reversible()])
def test_a_loss_of_the_first_iterates_alone(backward: Backward) -> None:
    gradients = []
    for mode in (Backprop(), backward):
        model, problem = model_and_problem(5)
        model.scheme.backward_mode = mode  # type: ignore[assignment]
        walk = model.iterates(problem)
        loss = next(walk).image.square().sum() + next(walk).image.sum()
        found = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
        gradients.append([torch.zeros(1) if g is None else g for g in found])
    for found_, expected in zip(*gradients[::-1], strict=True):
        if expected.numel() > 1 or bool(expected.any()):
            torch.testing.assert_close(found_, expected, rtol=1e-10, atol=1e-10)

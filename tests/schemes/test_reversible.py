"""Going back by inverting: the same gradients, in constant memory, and what is refused."""

from __future__ import annotations

import gc
import logging
from typing import TYPE_CHECKING, NamedTuple

import pytest
import torch
from tests.helpers import normal
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from learnedrecon.errors import ConfigError, DifferentiationError, GeometryError
from learnedrecon.models.invertible_primal_dual import (
    HalvedPrimalDual,
    InvertiblePrimalDualStep,
    SplitPrimalDualStep,
)
from learnedrecon.models.learned_primal_dual import PrimalDual, PrimalDualStep
from learnedrecon.operators.pointwise import Diagonal
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.operators.space import Space
from learnedrecon.problem import InverseProblem, Problem
from learnedrecon.schemes.backward import Backprop, Backward, Checkpointed
from learnedrecon.schemes.invertible import InvertibleStep, inversion_error, invert
from learnedrecon.schemes.reversible import Reversible
from learnedrecon.schemes.step import Chain, Repeat, Step
from learnedrecon.testing import check_step

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch.autograd.function import FunctionCtx

SCAN = ParallelBeam((4, 5), AngleRange(6), FlatDetector(7))


def net(inputs: int, outputs: int, seed: int = 0, gain: float = 0.2) -> nn.Module:
    torch.manual_seed(seed)
    layers = [
        nn.Conv2d(inputs, 4, 3, padding=1, dtype=torch.float64),
        nn.PReLU(4, dtype=torch.float64),
        nn.Conv2d(4, outputs, 3, padding=1, dtype=torch.float64),
    ]
    with torch.no_grad():
        for parameter in layers[-1].parameters():
            parameter.mul_(gain)
    return nn.Sequential(*layers)


def problem() -> InverseProblem:
    return InverseProblem(RayTransform(SCAN, torch.float64) / 10, normal(2, 1, 6, 7))


def invertible(seed: int = 0) -> InvertiblePrimalDualStep:
    return InvertiblePrimalDualStep(net(2, 1, seed), net(1, 1, seed + 50))


def split(seed: int = 0) -> SplitPrimalDualStep:
    return SplitPrimalDualStep(net(4, 2, seed), net(3, 2, seed + 50), swapped=bool(seed % 2))


def start() -> PrimalDual:
    return PrimalDual(normal(2, 1, 4, 5), normal(2, 1, 6, 7, seed=1))


def split_start() -> HalvedPrimalDual:
    images = [normal(2, 2, 4, 5, seed=k) for k in range(2)]
    return HalvedPrimalDual(*images, *(normal(2, 2, 6, 7, seed=2 + k) for k in range(2)))


class Turn(InvertibleStep[PrimalDual]):
    """Invertible without being a coupling: a scaling of both variables and an exchange of parts."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor([0.3, -0.2], dtype=torch.float64))

    def forward(self, state: PrimalDual, problem: Problem) -> PrimalDual:
        primal, dual = self.scales(problem)
        return PrimalDual(state.primal.flip(-1) * primal, state.dual * dual)

    def inverse(self, state: PrimalDual, problem: Problem) -> PrimalDual:
        primal, dual = self.scales(problem)
        return PrimalDual((state.primal / primal).flip(-1), state.dual / dual)

    def scales(self, problem: Problem) -> list[Tensor]:
        size = 0.01 * problem.data.mean((1, 2, 3), keepdim=True)
        return [(scale + size).exp() for scale in self.log_scale]


def test_gradients_of_every_leaf_are_those_of_backprop() -> None:
    report = check_step(invertible(), start(), problem(), modes=[Reversible()])
    # state (2), data, and 5 tensors in each of two networks, of one step or of three
    assert report.measured("Repeat, Reversible(tolerance=0.001): gradients of 13 leaves") < 1e-12
    assert report.measured("Chain, Reversible(tolerance=0.001): gradients of 33 leaves") < 1e-12
    assert sum(finding.note == "refused" for finding in report.skipped) == 2


def test_the_way_back_passes_units_that_a_loss_does_not_see() -> None:
    """The last unit changes the image alone, and the loss is of the dual variable."""
    steps = [invertible(), invertible(1)]
    leaves = [parameter for step in steps for parameter in step.parameters()]
    found = []
    for backward in (Backprop(), Reversible()):
        end = Chain(steps, backward)(start(), problem())
        gradients = torch.autograd.grad(end.dual.square().sum(), leaves, materialize_grads=True)
        found.append(torch.cat([gradient.flatten() for gradient in gradients]))
    torch.testing.assert_close(*found, rtol=1e-10, atol=1e-12)


def test_the_split_step_passes_too() -> None:
    check_step(split(), split_start(), problem(), modes=[Reversible()])
    check_step(split(1), split_start(), problem(), modes=[Reversible(), Checkpointed(2)])


def test_a_step_that_is_no_coupling_passes_too() -> None:
    check_step(Turn(), start(), problem(), modes=[Reversible()])


def test_the_split_step_linearises_a_nonlinear_operator_where_it_stays() -> None:
    operator = TransmissionCT(Transmission(SCAN, 0.05), torch.float64)
    given = InverseProblem(operator, normal(2, 1, 6, 7).abs())
    check_step(split(), split_start(), given, modes=[Reversible()])


def test_tensors_of_the_operator_get_their_gradients() -> None:
    weights = normal(4, 5).requires_grad_()
    given = InverseProblem(Diagonal(Space((4, 5), torch.float64), weights), normal(2, 1, 4, 5))
    state = PrimalDual(normal(2, 1, 4, 5), normal(2, 1, 4, 5, seed=1))
    report = check_step(invertible(), state, given, modes=[Reversible()])
    assert report.measured("Repeat, Reversible(tolerance=0.001): gradients of 14 leaves") < 1e-12


def gradients(mode: Backward, build: Callable[[Backward], Step[PrimalDual]]) -> list[Tensor]:
    scheme = build(mode)
    end = scheme(start(), problem())
    loss = end.primal.square().sum() + end.dual.abs().sum()
    return list(torch.autograd.grad(loss, list(scheme.parameters())))


def nested(mode: Backward) -> Step[PrimalDual]:
    inner = Chain([invertible(1), Turn()], mode)
    return Chain([Repeat(inner, 2, mode), invertible(2), Repeat(Turn(), 2)], mode)


@pytest.mark.parametrize("outer", [Reversible(), Checkpointed(1), Checkpointed(2), Backprop()])
def test_compositions_nest(outer: Backward) -> None:
    def build(mode: Backward) -> Step[PrimalDual]:
        if isinstance(mode, Backprop):
            return nested(mode)
        inner = Chain([invertible(1), Turn()], Reversible())
        return Chain([Repeat(inner, 2, outer), invertible(2), Repeat(Turn(), 2)], outer)

    for found, expected in zip(
        gradients(Reversible(), build), gradients(Backprop(), build), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("reentrant", [False, True])
def test_within_torch_checkpoint(reentrant: bool) -> None:
    scheme, given = Chain([invertible(k) for k in range(3)], Reversible()), problem()
    leaf = start().primal.requires_grad_()

    def run(primal: Tensor) -> Tensor:
        return scheme(PrimalDual(primal, start().dual), given).primal.square().sum()

    inside = checkpoint(run, leaf, use_reentrant=reentrant)
    inside.backward()
    scheme.backward_mode = Backprop()
    (expected,) = torch.autograd.grad(run(leaf), leaf)
    torch.testing.assert_close(leaf.grad, expected, rtol=1e-10, atol=1e-12)


def test_a_second_backward_pass_gives_the_same() -> None:
    scheme = Chain([invertible(k) for k in range(3)], Reversible())
    loss = scheme(start(), problem()).primal.square().sum()
    first = torch.autograd.grad(loss, list(scheme.parameters()), retain_graph=True)
    last = list(scheme[2].parameters())
    part = torch.autograd.grad(loss, last, retain_graph=True)
    again = torch.autograd.grad(loss, list(scheme.parameters()))
    assert all(map(torch.equal, first, again))
    assert all(map(torch.equal, part, first[-len(last) :]))


def test_autocast_is_entered_again() -> None:
    def run(mode: Backward) -> list[Tensor]:
        scheme = Chain([invertible(k).float() for k in range(3)], mode)
        given = InverseProblem(RayTransform(SCAN) / 10, normal(2, 1, 6, 7).float())
        begin = PrimalDual(*(z.float() for z in start()))
        with torch.autocast("cpu", torch.bfloat16):
            end = scheme(begin, given)
        return list(torch.autograd.grad(end.primal.square().sum(), list(scheme.parameters())))

    for found, expected in zip(run(Reversible()), run(Backprop()), strict=True):
        torch.testing.assert_close(found, expected, rtol=2.0**-7, atol=2.0**-7)


def tensors() -> list[Tensor]:
    gc.collect()
    return [thing for thing in gc.get_objects() if issubclass(type(thing), Tensor)]


def held(mode: Backward, depth: int) -> int:
    """Tensors alive between forward and backward and not before, found by the garbage collector."""
    scheme = Chain([invertible(k) for k in range(depth)], mode)
    given, begin = problem(), start()
    before = tensors()  # kept alive, so that no address is used again
    end = scheme(begin, given)
    known = set(map(id, before))
    after = sum(id(thing) not in known for thing in tensors())
    del end
    return after


def saved_bytes(mode: Backward, depth: int) -> int:
    """Bytes that autograd saves, seen by hooks around everything."""
    total = 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal total
        total += tensor.numel() * tensor.element_size()
        return tensor

    scheme = Chain([invertible(k) for k in range(depth)], mode)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        scheme(start(), problem())
    return total


def test_what_is_held_does_not_grow_with_the_depth() -> None:
    grows = [saved_bytes(Backprop(), depth) for depth in (2, 4, 8)]
    assert grows[2] - grows[1] == 2 * (grows[1] - grows[0]) > 0
    assert saved_bytes(Reversible(), 2) == saved_bytes(Reversible(), 8) == 0
    assert held(Reversible(), 8) == held(Reversible(), 2) > 0


def test_the_inverse_is_the_inverse() -> None:
    scheme, given = nested(Reversible()), problem()
    back = invert(scheme, scheme(start(), given), given)
    for found, expected in zip(back, start(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)
    assert inversion_error(scheme, start(), given) < 1e-13


def test_drift_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    scheme = Chain([invertible(k) for k in range(3)], Reversible(tolerance=1e-18))
    scheme(PrimalDual(*(z + 0.1 for z in start())), problem()).primal.sum().backward()
    assert "ended" in caplog.text
    assert "6 reversible units" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        quiet = Chain([invertible(k) for k in range(3)], Reversible())
        quiet(start(), problem()).primal.sum().backward()
    assert not caplog.text


def test_second_derivatives_are_refused() -> None:
    scheme = Chain([invertible()], Reversible())
    loss = scheme(start(), problem()).primal.square().sum()
    with pytest.raises(DifferentiationError, match="create_graph"):
        torch.autograd.grad(loss, list(scheme.parameters()), create_graph=True)


class Noisy(InvertiblePrimalDualStep):
    def _dual(self, state: PrimalDual, problem: Problem) -> Tensor:
        return super()._dual(state, problem) + torch.randn(())


def with_layer(layer: nn.Module) -> InvertiblePrimalDualStep:
    return InvertiblePrimalDualStep(nn.Sequential(net(2, 1), layer.double()), net(1, 1))


@pytest.mark.parametrize(
    ("step", "what"),
    [
        (with_layer(nn.Dropout(0.1)), "Dropout"),
        (with_layer(nn.RReLU()), "RReLU"),
        (with_layer(nn.BatchNorm2d(1)), "BatchNorm2d"),
        (Noisy(net(2, 1), net(1, 1)), "default generator"),
    ],
)
def test_what_is_not_the_same_twice_is_refused(step: Step[PrimalDual], what: str) -> None:
    with pytest.raises(DifferentiationError, match=what):
        Chain([step], Reversible())(start(), problem())
    if what != "default generator":
        Chain([step.eval()], Reversible())(start(), problem())


def test_steps_without_an_inverse_are_refused_when_built() -> None:
    step = PrimalDualStep(net(4, 2), net(3, 2))
    for build in (lambda: Chain([step], Reversible()), lambda: Repeat(step, 2, Reversible())):
        with pytest.raises(ConfigError, match="PrimalDualStep, which has no inverse"):
            build()
    with pytest.raises(ConfigError, match="tolerance > 0"):
        Reversible(0.0)


def test_a_nonlinear_operator_is_refused_where_it_cannot_be_undone() -> None:
    operator = TransmissionCT(Transmission(SCAN, 0.05), torch.float64)
    with pytest.raises(GeometryError, match="linearised"):
        Chain([invertible()], Reversible())(
            start(), InverseProblem(operator, normal(2, 1, 6, 7).abs())
        )


class Peeking(InvertiblePrimalDualStep):
    def _primal(self, state: PrimalDual, problem: Problem) -> Tensor:
        return super()._primal(state, problem) + state.primal


def test_a_network_that_sees_what_it_changes_is_no_coupling() -> None:
    with pytest.raises(TypeError):
        Peeking(net(2, 1), net(1, 1))(start(), problem())


def test_an_end_that_was_written_into_is_noticed() -> None:
    scheme = Chain([invertible(0), invertible(1)], Reversible())
    end = scheme(start(), problem())
    with torch.no_grad():
        end.primal.clamp_(min=0)
    with pytest.raises(DifferentiationError, match="changed in place"):
        end.dual.sum().backward()


@pytest.mark.parametrize("what", ["the weights", "the data", "the initial state"])
def test_writes_before_the_backward_pass_are_noticed(what: str) -> None:
    scheme, given, begin = (
        Chain([invertible(k) for k in range(2)], Reversible()),
        problem(),
        start(),
    )
    loss = scheme(begin, given).primal.square().sum()
    written = {
        "the weights": next(scheme.parameters()),
        "the data": given.data,
        "the initial state": begin.primal,
    }
    with torch.no_grad():
        written[what].mul_(1.001)
    with pytest.raises(DifferentiationError, match=f"{what} as in the forward pass"):
        loss.backward()


class _Sine(torch.autograd.Function):
    """Reads what it has saved twice, as many functions do."""

    @staticmethod
    def forward(ctx: FunctionCtx, u: Tensor) -> Tensor:
        ctx.save_for_backward(u, u.cos())
        return u.sin()

    @staticmethod
    def backward(ctx: FunctionCtx, g: Tensor) -> Tensor:
        (u, _), (_, cosine) = ctx.saved_tensors, ctx.saved_tensors  # type: ignore[attr-defined]
        assert u.shape == g.shape
        return g * cosine


class Sine(nn.Module):
    calls = 0

    def forward(self, u: Tensor) -> Tensor:
        self.calls += 1
        return _Sine.apply(u)


def test_saved_tensors_that_are_read_twice_cost_one_evaluation_more() -> None:
    sine = Sine()
    steps = [
        InvertiblePrimalDualStep(nn.Sequential(net(2, 1, k), sine), net(1, 1, k)) for k in range(8)
    ]
    results = []
    for mode in (Reversible(), Backprop()):
        sine.calls = 0
        scheme = Chain(steps, mode)
        loss = scheme(start(), problem()).primal.square().sum()
        results.append(torch.autograd.grad(loss, list(scheme.parameters())))
        assert sine.calls == (8 if mode == Backprop() else 8 + 2 * 8)
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


class Triple(NamedTuple):
    primal: Tensor
    dual: Tensor
    number: Tensor


class Counting(InvertibleStep[Triple]):
    """Integers may travel in a state."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Turn()

    def forward(self, state: Triple, problem: Problem) -> Triple:
        primal, dual = self.inner(PrimalDual(*state[:2]), problem)
        return Triple(primal, dual, state.number + 1)

    def inverse(self, state: Triple, problem: Problem) -> Triple:
        primal, dual = self.inner.inverse(PrimalDual(*state[:2]), problem)
        return Triple(primal, dual, state.number - 1)


def test_integers_in_a_state() -> None:
    state = Triple(*start(), torch.zeros(2, dtype=torch.int64))
    scheme = Repeat(Counting(), 3, Reversible())
    end = scheme(state, problem())
    assert end.number.tolist() == [3, 3]
    end.primal.sum().backward()
    assert scheme.step.get_parameter("inner.log_scale").grad is not None

"""Checks of steps: states, samples, and equal gradients of all ways of differentiating."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from learnedrecon.errors import DifferentiationError, PropertyError, describe
from learnedrecon.problem import Problem
from learnedrecon.schemes.backward import Backprop, Backward, Checkpointed
from learnedrecon.schemes.step import Chain, Repeat, Step
from learnedrecon.testing.batches import can_take_data, singles, why_not_split, with_data
from learnedrecon.testing.numbers import distance, seeded
from learnedrecon.testing.report import Checklist, Report, tolerance_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from torch import Tensor, nn

    from learnedrecon.operators.base import Operator
    from learnedrecon.operators.rows import Rows

S = TypeVar("S", bound=tuple)  # type: ignore[type-arg]
_TIMES = 3


def check_step(
    step: Step[S],
    state: S,
    problem: Problem,
    *,
    modes: Sequence[Backward] = (Checkpointed(1), Checkpointed(2)),
    seed: int = 0,
    tolerance: float | None = None,
) -> Report:
    """Check of a step alone, in a chain of independent copies, and repeated.

    Alone: the step keeps the type and the shapes of its state, changes no argument, gives the same
    result twice, does not use ``problem.operator``, and treats a batch as a stack of its samples
    (where the problem can be split: more than one sample, and no tensors for each sample but those
    of data and operator). Composed: every one of ``modes`` gives the gradients of :class:`Backprop`
    in every differentiable leaf, which are the weights, the data, the tensors of operator and
    regulariser that require gradients, and the initial state; and the same second derivatives,
    unless it raises an error for them.

    Args:
        step: Step Λ.
        state: Initial state, a NamedTuple of tensors.
        problem: Problem of one batch; its data and tensors are not changed.
        modes: Exact ways of differentiating, compared with :class:`Backprop`.
        seed: Seed of the cotangents and of the weights of the copies.
        tolerance: Relative tolerance; 1e-10 in float64 and 1e-5 in float32 unless given.

    Returns:
        Report with one number per property.

    Raises:
        PropertyError: A property does not hold; the message has its number and its tolerance.
    """
    checks = Checklist(type(step).__name__, tolerance_of(problem.data.dtype, given=tolerance))
    state = _make(state, [tensor.detach() for tensor in state])
    _check_alone(checks, step, state, problem)
    _check_batch(checks, step, state, problem)
    copies = [perturbed(step, seed + k) for k in range(_TIMES)]
    for mode in modes:
        for name, pair in {
            "Chain": (Chain(copies, Backprop()), Chain(copies, mode)),
            "Repeat": (
                Repeat(copies[0], _TIMES, Backprop()),
                Repeat(copies[0], _TIMES, mode),
            ),
        }.items():
            _compare(checks, f"{name}, {mode}", pair, (state, problem), seed)
    return checks.report()


def perturbed(module: Step[S], seed: int) -> Step[S]:
    """A copy with slightly different weights, so that no gradient vanishes by its initial values.

    Args:
        module: Step to copy.
        seed: Seed of the perturbation.
    """
    twin = copy.deepcopy(module)
    perturb(twin, seed)
    return twin


@torch.no_grad()
def perturb(module: nn.Module, seed: int) -> None:
    """Addition of seeded noise to every parameter, in place.

    Args:
        module: Module to perturb.
        seed: Seed of the noise.
    """
    generator = seeded(seed)
    for parameter in module.parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
        size = 0.05 * (1.0 if parameter.numel() < 2 else float(parameter.std()) or 1.0)
        parameter.add_(size * noise.to(parameter.device))


def snapshot(problem: Problem) -> list[Tensor]:
    """Copies of all tensors of a problem that a step might change.

    Args:
        problem: Problem.
    """
    return [tensor.detach().clone() for tensor in _contents(problem)]


def is_unchanged(problem: Problem, before: list[Tensor]) -> bool:
    """True if the tensors of the problem are those of a :func:`snapshot`.

    Args:
        problem: Problem.
        before: Result of :func:`snapshot`.
    """
    return all(map(torch.equal, before, _contents(problem)))


def _contents(problem: Problem) -> list[Tensor]:
    return [problem.data, *_tensors_of(problem).values()]


def _tensors_of(problem: Problem) -> dict[str, Tensor]:
    parts: dict[str, nn.Module | None] = {
        "operator": problem.operator,
        "regulariser": problem.regulariser,
    }
    return {
        f"{part}.{name}": tensor
        for part, module in parts.items()
        if module is not None
        for name, tensor in (*module.named_parameters(), *module.named_buffers())
    }


def _make(like: S, tensors: Sequence[Tensor]) -> S:
    return type(like)(*tensors)


@torch.no_grad()
def _check_alone(checks: Checklist, step: Step[S], state: S, problem: Problem) -> None:
    given = _make(state, [tensor.clone() for tensor in state])
    before = snapshot(problem)
    result = step(given, problem)
    checks.require_true(
        "the state keeps its type", type(result) is type(state), "return the NamedTuple you got"
    )
    kept = all(
        a.shape == b.shape and a.dtype == b.dtype for a, b in zip(result, state, strict=True)
    )
    checks.require_true("the state keeps shapes and types of numbers", kept, "check channels")
    checks.require_true(
        "the given state is left alone",
        all(map(torch.equal, given, state)),
        "do not write into a tensor of the state",
    )
    checks.require_true(
        "the problem is left alone", is_unchanged(problem, before), "do not write into the problem"
    )
    again = step(given, problem)
    checks.require_true(
        "it gives the same twice",
        all(map(torch.equal, result, again)),
        "take random numbers from problem.draws, and keep nothing between calls",
    )
    sealed = step(given, Sealed(problem))
    checks.require_true(
        "another problem can stand in",
        all(map(torch.equal, result, sealed)),
        "use forward, adjoint, gradient and subset of the problem only",
    )


@torch.no_grad()
def _check_batch(checks: Checklist, step: Step[S], state: S, problem: Problem) -> None:
    title = "a batch is a stack of singles"
    number = problem.data.shape[0]
    reason = why_not_split(problem)
    if any(tensor.ndim == 0 or tensor.shape[0] != number for tensor in state):
        reason = reason or "the state has tensors without a batch axis"
    if reason:
        checks.skip(title, reason)
        return
    starts = zip(*(tensor.split(1) for tensor in state), strict=True)
    ends = [step(_make(state, s), p) for s, p in zip(starts, singles(problem), strict=True)]
    stacks = [torch.cat(parts) for parts in zip(*ends, strict=True)]
    gaps = list(map(distance, step(state, problem), stacks))
    checks.require(title, max(gaps), "use no statistics and no sums over the batch axis")


class Sealed(Problem):
    """A problem that raises where its operator is used.

    Args:
        problem: Problem to which everything else is delegated.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self.data = problem.data
        self.regulariser = problem.regulariser
        self.draws = problem.draws

    @property
    def operator(self) -> Operator:  # type: ignore[override]
        raise PropertyError(
            describe(
                expected="a step that does not use problem.operator",
                found="a step that uses it",
                fix="use forward, adjoint and gradient, which a scaled problem also has",
            )
        )

    def forward(self, u: Tensor) -> Tensor:
        return self._problem.forward(u)

    def adjoint(self, v: Tensor, at: Tensor | None = None) -> Tensor:
        return self._problem.adjoint(v, at)

    def gradient(self, u: Tensor) -> Tensor:
        return self._problem.gradient(u)

    def solve(self, b: Tensor, weight: Tensor | float) -> Tensor:
        return self._problem.solve(b, weight)

    def subset(self, rows: Rows) -> Sealed:
        return Sealed(self._problem.subset(rows))

    def to(self, device: torch.device | str) -> Self:
        return type(self)(self._problem.to(device))


def _compare(
    checks: Checklist,
    name: str,
    pair: tuple[Step[S], Step[S]],
    start: tuple[S, Problem],
    seed: int,
) -> None:
    exact, other = (_derivatives(scheme, *start, seed) for scheme in pair)
    fix = "recompute exactly what the forward pass computed, and pass every tensor on"
    for order, (first, second) in enumerate(zip(exact, other, strict=True), start=1):
        title = f"{name}: {'gradients' if order == 1 else 'second derivatives'}"
        if second is None:
            checks.skip(title, "refused")
            continue
        assert first is not None
        gaps = {leaf: gap_of(second[leaf], gradient) for leaf, gradient in first.items()}
        worst = max(gaps, key=lambda leaf: (math.isnan(gaps[leaf]), gaps[leaf]))
        checks.require(f"{title} of {len(gaps)} leaves", gaps[worst], f"{fix} (worst: {worst})")


def gap_of(found: Tensor | None, expected: Tensor | None) -> float:
    """The relative distance of two gradients, where None is zero.

    Args:
        found: Gradient to check.
        expected: Reference gradient.
    """
    if expected is None or found is None:
        rest = expected if found is None else found
        return 0.0 if rest is None or not rest.any() else float("inf")
    return distance(found, expected)


Gradients = dict[str, "Tensor | None"]


def _derivatives(
    scheme: Step[S], state: S, problem: Problem, seed: int
) -> tuple[Gradients, Gradients | None]:
    """The gradients of a random functional of the last state, and those of their own sum."""
    start, problem, leaves = differentiable(scheme, state, problem)
    return _twice(scheme(start, problem), leaves, seed)


def differentiable(
    scheme: Step[S], state: S, problem: Problem
) -> tuple[S, Problem, dict[str, Tensor]]:
    """State and problem with tensors that require gradients, and all leaves by name.

    Args:
        scheme: Step or scheme.
        state: State.
        problem: Problem.
    """
    leaves = {
        f"state.{name}": tensor.clone().requires_grad_()
        for name, tensor in zip(_names(state), state, strict=True)
        if tensor.is_floating_point() or tensor.is_complex()
    }
    moving = iter(leaves.values())
    start = _make(
        state,
        [next(moving) if t.is_floating_point() or t.is_complex() else t for t in state],
    )
    problem, data = _with_leaf(problem)
    leaves |= {f"weights.{name}": p for name, p in scheme.named_parameters() if p.requires_grad}
    leaves |= {name: t for name, t in _tensors_of(problem).items() if t.requires_grad}
    if data is not None:
        leaves["data"] = data
    return start, problem, leaves


def _twice(
    result: Sequence[Tensor], leaves: dict[str, Tensor], seed: int
) -> tuple[Gradients, Gradients | None]:
    generator = seeded(seed)
    names, tensors = list(leaves), list(leaves.values())
    ends = [tensor for tensor in result if tensor.requires_grad]
    loss = curved_functional(ends, generator)
    refused = False
    try:
        first = torch.autograd.grad(loss, tensors, create_graph=True, allow_unused=True)
    except DifferentiationError:
        refused = True
        first = torch.autograd.grad(loss, tensors, allow_unused=True)
    gradients: Gradients = {
        name: None if g is None else g.detach() for name, g in zip(names, first, strict=True)
    }
    if refused:
        return gradients, None
    curved = [g for g in first if g is not None and g.requires_grad]
    if not curved:
        return gradients, dict.fromkeys(names)
    try:
        second = torch.autograd.grad(_pairing(curved, generator), tensors, allow_unused=True)
    except DifferentiationError:
        return gradients, None
    return gradients, dict(zip(names, second, strict=True))


def curved_functional(tensors: Sequence[Tensor], generator: torch.Generator) -> Tensor:
    """A seeded random quadratic functional, whose gradient has a graph.

    Args:
        tensors: Arguments of the functional.
        generator: Random generator.
    """
    return _pairing(tensors, generator) + 0.5 * sum((t * t.conj()).real.sum() for t in tensors)


def _pairing(tensors: Sequence[Tensor], generator: torch.Generator) -> Tensor:
    """Σ Re⟨w, t⟩ with seeded random w."""
    terms = []
    for tensor in tensors:
        weight = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
        product = weight.to(tensor.device).conj() * tensor
        terms.append(product.real.sum() if product.is_complex() else product.sum())
    return torch.stack(terms).sum()


def _names(state: tuple[Any, ...]) -> Sequence[str]:
    return getattr(state, "_fields", tuple(map(str, range(len(state)))))


def _with_leaf(problem: Problem) -> tuple[Problem, Tensor | None]:
    """The problem with data that require gradients, where it can be rebuilt."""
    if can_take_data(problem):
        data = problem.data.detach().clone().requires_grad_()
        return with_data(problem, data), data
    return problem, problem.data if problem.data.requires_grad else None

"""Checks of fixed points and of their implicit and Jacobian-free derivatives."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from learnedrecon.schemes.fixed_point import FixedPoint
from learnedrecon.schemes.implicit import Implicit, JacobianFree
from learnedrecon.schemes.step import Repeat
from learnedrecon.testing.numbers import distance, seeded
from learnedrecon.testing.report import Checklist, Report
from learnedrecon.testing.steps import curved_functional, differentiable, gap_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from learnedrecon.problem import Problem
    from learnedrecon.schemes.implicit import FixedPointBackward
    from learnedrecon.schemes.step import Step

S = TypeVar("S", bound=tuple)  # type: ignore[type-arg]
_LIMITS = {torch.float64: 1e-8, torch.float32: 1e-3}
Gradients = dict[str, "Tensor | None"]


def check_fixed_point(
    fixed_point: FixedPoint[S],
    state: S,
    problem: Problem,
    *,
    unrolled: int = 200,
    steps: Sequence[int] = (1, 2, 4, 8),
    seed: int = 0,
    tolerance: float | None = None,
) -> Report:
    """Check of a fixed point and its derivative against ``unrolled`` plain steps.

    The solvers run to a hundredth of the tolerance, with at most 1000 evaluations. The checks are:
    the solvers converge, as recorded in ``result`` and ``backward_result``; the fixed point is the
    limit of the steps; the gradient of :class:`Implicit` is that of the steps in every leaf, which
    are the weights, the data, and the tensors of operator and regulariser that require gradients;
    and the derivative in the initial state is zero. Observed without a tolerance are the relative
    error and the cosine of :class:`JacobianFree` against Implicit, all leaves together, for every
    number in ``steps``, as 'JacobianFree(k): relative error' and 'JacobianFree(k): cosine'.

    A ``backward_mode`` of the fixed point that is an Implicit is the one that is checked, and one
    that is a JacobianFree, with its damping, the one that is observed.

    Args:
        fixed_point: Fixed point of a contraction that is fast enough: for its factor γ, γ^unrolled
            is well below the tolerance.
        state: Initial state.
        problem: Problem of one batch; its data and tensors are not changed.
        unrolled: Number of steps that are differentiated through, with all activations stored.
        steps: Numbers of steps of JacobianFree.
        seed: Seed of the functional that is differentiated.
        tolerance: Relative tolerance; 1e-8 in float64 and 1e-3 in float32 unless given.

    Returns:
        Report with one number per property.

    Raises:
        PropertyError: A property does not hold; the message has its number and its tolerance.
    """
    limit = _LIMITS[problem.data.dtype.to_real()] if tolerance is None else tolerance
    step, mode = fixed_point.step, fixed_point.backward_mode
    checks = Checklist(type(step).__name__, limit)
    solver = replace(fixed_point.solver, tolerance=limit / 100, max_iterations=1000)
    implicit = mode if isinstance(mode, Implicit) else Implicit(solver)
    implicit = replace(
        implicit,
        solver=replace(implicit.solver, tolerance=limit / 100, max_iterations=1000),
        tolerance=None,
    )
    state = type(state)(*(tensor.detach() for tensor in state))
    tight = FixedPoint(step, solver, implicit)
    point, exact = _solved(tight, state, problem, seed)
    _check_ends(checks, tight)
    end, expected = _solved(Repeat(step, unrolled), state, problem, seed)
    gap = max(map(distance, point, end))
    checks.require("the fixed point is where the steps end", gap, "allow more steps")
    _check_gradients(checks, exact, expected)
    free = mode if isinstance(mode, JacobianFree) else JacobianFree()
    for number in steps:
        approximate: FixedPointBackward = replace(free, steps=number)
        found = _solved(FixedPoint(step, solver, approximate), state, problem, seed)[1]
        for name, value in _agreement(found, exact).items():
            checks.observe(f"JacobianFree({number}): {name}", value)
    return checks.report()


def _solved(scheme: Step[S], state: S, problem: Problem, seed: int) -> tuple[S, Gradients]:
    """The last state and the gradients of a functional of it."""
    start, problem, leaves = differentiable(scheme, state, problem)
    end = scheme(start, problem)
    loss = curved_functional([t for t in end if t.requires_grad], seeded(seed))
    found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    return type(end)(*(t.detach() for t in end)), dict(zip(leaves, found, strict=True))


def _check_ends(checks: Checklist, fixed_point: FixedPoint[Any]) -> None:
    for name, result in (
        ("forward", fixed_point.result),
        ("backward", fixed_point.backward_result),
    ):
        residual = math.nan if result is None else float(result.residual.max())
        checks.require(
            f"the {name} solve converges",
            residual,
            "use a contraction, or another solver, and record its result",
            within=checks.tolerance / 100,
        )


def _check_gradients(checks: Checklist, found: Gradients, expected: Gradients) -> None:
    outer = {name for name in expected if name.startswith("state.")}
    moved = [name for name in outer if (g := found[name]) is not None and bool(g.any())]
    checks.require_true("the initial state has no derivative", not moved, "start from detached")
    gaps = {name: gap_of(found[name], g) for name, g in expected.items() if name not in outer}
    worst = max(gaps, key=lambda name: (math.isnan(gaps[name]), gaps[name]))
    checks.require(
        f"implicit gradients of {len(gaps)} leaves are those of the steps",
        gaps[worst],
        f"solve g = J*g + v and pass every tensor on, or unroll more steps (worst: {worst})",
    )


def _agreement(found: Gradients, exact: Gradients) -> dict[str, float]:
    names = [name for name, g in exact.items() if g is not None and not name.startswith("state.")]
    pairs = [(exact[name], found[name]) for name in names]
    a = torch.cat([_flat(g, g) for g, _ in pairs])
    b = torch.cat([_flat(h, g) for g, h in pairs])
    return {
        "relative error": float((b - a).norm() / a.norm()),
        "cosine": float(a @ b / (a.norm() * b.norm())),
    }


def _flat(gradient: Tensor | None, like: Tensor | None) -> Tensor:
    assert like is not None
    tensor = torch.zeros_like(like) if gradient is None else gradient
    real = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    return real.flatten().double()
